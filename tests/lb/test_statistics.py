"""Statistics and balance, as `lb` writes them to standard error."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from harness import SOON, Feed, Lb, frame, message
from harness.flood import record

NO_FEED = "ws://127.0.0.1:1/stocks"


def test_lines_come_at_the_interval_with_all_counts() -> None:
    with Feed() as feed, Lb(feed.url, 2, "--stats-interval", "0.1", constants=SOON) as lb:
        with feed.session() as peer:
            peer.send(frame(message(record(number) for number in range(10))) + frame(b"garbage"))
            lb.await_records(10)
        with feed.session() as peer:
            peer.say(message([record(10), b'{"ev":"T","x":{}}']))
            lb.await_records(12)
            lb.await_line("statistics")
            while (line := lb.await_line("statistics"))["records"] < 12:
                pass
            assert line.items() >= {
                "records": 12, "malformed": 1, "full": 0, "backlog_bytes": [0, 0], "reconnects": 1, "restarts": 0,
                "records_exact": 1, "tls": "none",
            }.items()  # fmt: skip
            assert line["frames"] == 2 * 3 + 3, "connected, auth_success and the acknowledgement among them"
            assert line["bytes"] > 12 * len(record(0))
            assert line["reads"] >= 2
            assert line["records_per_s"] >= 0
        lb.stop()


def test_the_backlog_is_what_workers_have_not_read() -> None:
    with Feed() as feed, Lb(feed.url, 2, "--stats-interval", "0.05") as lb, feed.session() as peer:
        (worker,) = lb.await_recorders(1)
        peer.say(message([record(0), record(1)]))
        lb.await_records(2)
        os.kill(worker, signal.SIGSTOP)
        while ") T " not in Path(f"/proc/{worker}/stat").read_text():  # it may be in the middle of a read
            pass
        peer.say(message([record(2), record(3), record(4)]))
        while (line := lb.await_line("statistics"))["records"] < 5:
            pass
        line = lb.await_line("statistics")
        assert sum(line["backlog_bytes"]) <= sum(4 + len(record(number)) for number in (2, 3, 4))
        assert line["backlog_bytes"][0] >= len(record(4))
        os.kill(worker, signal.SIGCONT)
        lb.await_records(5)


def test_interval_0_is_off_but_for_the_last_line() -> None:
    with Feed() as feed, Lb(feed.url, 1, "--stats-interval", "0") as lb, feed.session() as peer:
        peer.say(message([record(0)]))
        lb.await_records(1)
        end = lb.stop()
        assert sum(line["message"] == "statistics" for line in lb.lines) == 1
        assert end.statistics["records"] == 1
        assert [line["message"] for line in lb.lines[-2:]] == ["statistics", "balance"]


def test_sigusr1_gives_one_line_at_any_time() -> None:
    with Lb(NO_FEED, 3) as lb:
        lb.await_line("pipes ready")
        for _ in range(3):
            line = lb.balance()
            assert line.items() >= {"received": 0, "written": 0, "waiting": 0, "exact": True}.items()
            assert line["per_pipe"] == [0, 0, 0]


def test_57_pipes_are_summed_up() -> None:
    with Feed() as feed, Lb(feed.url, 57) as lb, feed.session() as peer:
        peer.say(message(record(number) for number in range(100)))
        lb.await_records(100)
        end = lb.stop()
        assert end.balance.items() >= {"per_pipe_least": 1, "per_pipe_most": 2, "per_pipe_sum": 100}.items()
        assert end.statistics["backlog_bytes_most"] == 0


def test_the_lag_is_told_in_the_records_own_time() -> None:
    """Of a feed that is 2 s behind; one without a time of its own tells none."""
    with Feed() as feed, Lb(feed.url, 2, "--stats-interval", "0.1") as lb, feed.session() as peer:
        assert lb.await_line("statistics")["lag_p50_ms"] is None
        sent_s = time.time()
        peer.say(message([b'{"ev":"T","sym":"AAPL","t":%d}' % (1000 * (sent_s - 2))]))
        while (line := lb.await_line("statistics"))["lag_p50_ms"] is None:
            pass
        end = lb.stop()
        for told in (line, end.statistics):
            assert 2000 <= told["lag_p50_ms"] == told["lag_p99_ms"] <= 2001 + 1000 * (time.time() - sent_s)
