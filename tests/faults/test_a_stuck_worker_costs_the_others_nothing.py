"""One worker of several stands still with a full pipe: at a stop the others get and finish all of theirs, and what the
stuck one did not take is told."""

from __future__ import annotations

import os
import signal

from harness import Feed, Lb, inline, message
from harness.flood import numbers_of, record

RECORDS = 4000
PIPES = 4


def test_at_a_stop() -> None:
    options = ("--spawn", "per-pipe", "--pipe-size", "4096", "--grace", "2")
    with Feed() as feed, Lb(feed.url, PIPES, *options) as lb, feed.session() as peer:
        lb.await_recorders(PIPES)
        pids = {line["slot"]: line["pid"] for line in lb.lines if line["message"] == "worker started"}
        stuck = pids[0]
        os.kill(stuck, signal.SIGSTOP)
        peer.say(message(map(record, range(RECORDS))))
        while lb.balance()["received"] < RECORDS:
            pass
        end = lb.stop()
        for pipe in range(1, PIPES):
            assert numbers_of(lb.recording.by_pid[pids[pipe]][0]) == list(range(pipe, RECORDS, PIPES))
        assert lb.recording.ended_pipes >= PIPES - 1
        ends = {line["pid"]: line for line in lb.lines if line["message"] == "worker ended"}
        assert all(line["exit_code"] == 0 for pid, line in ends.items() if pid != stuck)
        assert next(reversed(ends)) == stuck, "the others did not wait for it"
        assert end.balance["exact"]


def test_what_it_did_not_take_is_an_error_and_exit_code_74() -> None:
    """Neither SIGCONT nor SIGTERM makes this one read."""
    worker = inline("""
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            signal.pause()
    """)
    with (
        Feed() as feed,
        Lb(feed.url, 2, "--pipe-size", "4096", "--grace", "0.3", worker=worker) as lb,
        feed.session() as peer,
    ):
        peer.say(message(map(record, range(RECORDS))))
        while lb.balance()["received"] < RECORDS:
            pass
        end = lb.stop()
        assert end.exit_code == 74
        told = [line for line in lb.lines if line["message"] == "records not delivered"]
        assert [line["pipe"] for line in told] == [0, 1]
        assert all(line["level"] == "error" for line in told)
        assert sum(line["records"] for line in told) == RECORDS
        assert sum(line["unread"] for line in told) == end.balance["unread"] > 0
        assert sum(line["waiting"] for line in told) == end.balance["waiting"] > 0
        assert end.balance["written"] == end.balance["unread"]


def test_a_worker_that_ends_without_having_read_is_told_too() -> None:
    worker = inline("""
        import os, select, sys
        fd = int(sys.argv[1])
        poll = select.poll()
        poll.register(fd, 0)
        while not any(event & select.POLLHUP for _, event in poll.poll()):
            pass
        raise SystemExit(1)
    """)
    with Feed() as feed, Lb(feed.url, 1, worker=worker) as lb, feed.session() as peer:
        lb.await_line("session open")
        peer.say(message(map(record, range(100))))
        while lb.balance()["written"] < 100:
            pass
        end = lb.stop()
        assert end.exit_code == 74
        assert lb.await_line("worker ended", level="error", exit_code=1)
        assert lb.await_line("records not delivered", level="error", pipe=0, records=100, waiting=0, unread=100)
        assert (end.balance["received"], end.balance["written"], end.balance["unread"]) == (100, 100, 100)


def test_while_it_lasts_it_is_told_once_and_again_when_it_is_over() -> None:
    constants = {"lb.balancer.WAITING_BYTES": 1 << 16, "lb.balancer.STALLED_AFTER_S": 0.2}
    options = ("--spawn", "per-pipe", "--pipe-size", "4096", "--stats-interval", "0")
    with Feed() as feed, Lb(feed.url, 2, *options, constants=constants) as lb, feed.session() as peer:
        lb.await_recorders(2)
        stuck = next(line["pid"] for line in lb.lines if line.get("slot") == 1)
        os.kill(stuck, signal.SIGSTOP)
        peer.say(message(map(record, range(RECORDS))))
        assert lb.await_line("a full pipe stops the reading", level="warning", pipe=1, slot=1, pid=stuck)
        os.kill(stuck, signal.SIGCONT)
        line = lb.await_line("reading goes on", level="warning", pipe=1)
        assert line["stopped_s"] >= 0.2
        lb.await_records(RECORDS)
        assert lb.stop().exit_code == 0
        assert sum(line["message"] == "a full pipe stops the reading" for line in lb.lines) == 1
