"""The last sessions, and why they ended."""

from __future__ import annotations

from lb.errors import ConnectFailed, Evicted, FeedSilent, SessionLost
from lb.feed.history import MOST_KEPT, History


def test_sessions_are_told_with_their_ends_and_attempts_counted() -> None:
    history = History("ws://feed")
    history.end(0.5, ConnectFailed("refused"))
    history.begin(1.0, "none")
    history.end(2.5, Evicted("max_connections"))
    history.begin(3.0, "kernel TLS 1.3")
    assert history.status() == {
        "sessions": [
            {
                "began": "1970-01-01T00:00:01.000Z", "tls": "none", "ended": "1970-01-01T00:00:02.500Z",
                "kind": "evicted", "reason": "max_connections",
            },
            {"began": "1970-01-01T00:00:03.000Z", "tls": "kernel TLS 1.3"},
        ],
        "sessions_total": 2,
        "takeovers_total": 0,
        "ends_total": {"evicted": 1},
        "failures_total": {"connect": 1},
        "last_reason": "max_connections",
    }  # fmt: skip


def test_however_many_there_were_the_newest_are_kept_and_all_counted() -> None:
    history = History("ws://feed")
    for number in range(1000):
        history.begin(number, "none")
        history.end(number + 0.5, SessionLost(str(number)) if number % 2 else FeedSilent(str(number)))
    status = history.status()
    sessions = status["sessions"]
    assert isinstance(sessions, list)
    assert [session["reason"] for session in sessions] == [str(number) for number in range(1000 - MOST_KEPT, 1000)]
    assert status["ends_total"] == {"lost": 500, "silent": 500}
