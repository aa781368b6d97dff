"""The feed ends the session in its own words: the next one authenticates and subscribes again, and workers notice
nothing."""

from __future__ import annotations

import pytest
from harness import KEY, SOON, Feed, Lb, message
from harness.feed import CONNECTED, Peer
from harness.flood import record

NEXT_TO_NOTHING = SOON | {
    "lb.feed.venues.polygon.MAX_CONNECTIONS_LEAST_DELAY_S": 0.01,
    "lb.feed.keeper.ENDING_S": 0.1,
}

EVICTIONS = [
    ("auth_timeout", "No authentication request received."),
    ("max_connections", "Maximum number of websocket connections exceeded. "),
    ("disconnected", "Reason: Max connections reached"),
    ("force_disconnect", "bye } ] {"),
    ("slow_consumer", "you are too slow"),
]


def eviction(status: str, words: str) -> bytes:
    return b'{"ev":"status","status":"%s","message":"%s"}' % (status.encode(), words.encode())


def assert_whole_dialogue(feed: Feed) -> Peer:
    """The next session, with the dialogue spelled out."""
    peer = feed.connection().upgrade()
    peer.say(CONNECTED)
    assert peer.receive_action("auth") == KEY
    peer.say(b'[{"ev":"status","status":"auth_success","message":"authenticated"}]')
    assert peer.receive_action("subscribe") == "T.AAPL,Q.*"
    peer.say(b'[{"ev":"status","status":"success","message":"subscribed to: T.AAPL"}]')
    return peer


@pytest.mark.parametrize(("status", "words"), EVICTIONS)
@pytest.mark.parametrize("end", ["close", "reset", "silence"])
def test_in_the_middle_of_a_session(status: str, words: str, end: str) -> None:
    with Feed() as feed, Lb(feed.url, 3, "--subscribe", "T.AAPL,Q.*", constants=NEXT_TO_NOTHING) as lb:
        with assert_whole_dialogue(feed) as peer:
            peer.say(message([record(0), eviction(status, words), record(1)]))
            peer.say(message([record(2), record(3)]))
            lb.await_records(4)
            if end == "close":
                peer.close(1008)
            elif end == "reset":
                peer.reset()
            line = lb.await_line("session lost")
            assert f"the feed ends the session: {status}: {words.strip()}" in line["reason"]
        with assert_whole_dialogue(feed) as peer:
            peer.say(message([record(4), record(5)]))
            recording = lb.await_records(6)
            assert recording.pipes == {
                0: [record(0), record(3)],
                1: [record(1), record(4)],
                2: [record(2), record(5)],
            }, "round-robin goes on where it was; no status among the records"
            assert len(recording.pids) == 1, "the worker lives on"
            stopped = lb.stop()
        assert (stopped.exit_code, stopped.balance["received"], stopped.balance["exact"]) == (0, 6, True)
        assert stopped.statistics["reconnects"] == 1


@pytest.mark.parametrize(("status", "words"), EVICTIONS)
def test_in_the_middle_of_the_dialogue(status: str, words: str) -> None:
    with Feed() as feed, Lb(feed.url, 1, "--subscribe", "T.AAPL,Q.*", constants=NEXT_TO_NOTHING) as lb:
        with feed.connection().upgrade() as peer:
            peer.say(CONNECTED)
            peer.receive_action("auth")
            peer.say(message([eviction(status, words)]))
            assert status in lb.await_line("no session")["reason"]
        with assert_whole_dialogue(feed) as peer:
            peer.say(message([record(0)]))
            assert lb.await_records(1).pipes == {0: [record(0)]}


@pytest.mark.parametrize("status", ["max_connections", "disconnected"])
def test_when_the_key_is_in_use_elsewhere_the_pause_is_at_least_10_s(status: str) -> None:
    with Feed() as feed, Lb(feed.url) as lb, feed.session() as peer:
        peer.say(message([eviction(status, "")]))
        peer.close(1008)
        assert lb.await_line("next session")["delay_s"] >= 10
        assert not feed.has_caller()


@pytest.mark.parametrize("status", ["auth_timeout", "force_disconnect", "slow_consumer"])
def test_otherwise_the_pause_is_that_of_any_lost_session(status: str) -> None:
    with Feed() as feed, Lb(feed.url) as lb, feed.session() as peer:
        peer.say(message([eviction(status, "")]))
        peer.close(1008)
        assert 0.25 <= lb.await_line("next session")["delay_s"] <= 0.5


def test_a_key_that_is_used_elsewhere_is_told_as_such() -> None:
    with Feed() as feed, Lb(feed.url, constants=NEXT_TO_NOTHING) as lb, feed.session() as peer:
        peer.say(message([eviction("max_connections", "Maximum number of websocket connections exceeded. ")]))
        reason = "this key is used elsewhere, the feed ends the session: max_connections: Maximum number of"
        assert lb.await_line("session lost")["reason"].startswith(reason)


def test_a_status_that_ends_nothing_never_reaches_a_worker() -> None:
    statuses = [
        b'{"ev":"status","status":"%s","message":"a } ] b"}' % status for status in (b"success", b"error", b"x")
    ]
    with Feed() as feed, Lb(feed.url) as lb, feed.session() as peer:
        peer.say(message([statuses[0], record(0), statuses[1], statuses[2], record(1)]))
        peer.say(message(statuses))
        peer.say(message([record(2)]))
        assert lb.await_records(3).pipes == {0: [record(0), record(1), record(2)]}
        assert lb.stop().exit_code == 0
        assert lb.recording.total == 3
