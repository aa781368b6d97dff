"""A worker lives and does not read: stopped, in a deadlock, or without its pipe. lb has a read end, too, so that no
write fails for it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness import RECORDER, Feed, Flood, Lb, Peer, inline, message
from harness.flood import numbers_of, record

SOON = ("--stuck-after", "0.1")
STUCK = "worker does not read its pipe"


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    for thread in Path(f"/proc/{pid}/task").iterdir():
        while ") T " not in (thread / "stat").read_text():  # it may be in the middle of a read
            pass


@contextmanager
def stopped_worker(*options: str, **lb: Any) -> Iterator[tuple[Lb, Peer, int]]:
    """It has read something of its pipe, and is stopped with something in it."""
    with Feed() as feed, Lb(feed.url, 1, *SOON, *options, **lb) as process, feed.session() as peer:
        (pid,) = process.await_recorders(1)
        peer.say(message([record(0)]))
        process.await_records(1)
        stop(pid)
        peer.say(message([record(1), record(2)]))
        yield process, peer, pid


def test_one_that_is_stopped_is_told_once_and_again_when_it_goes_on() -> None:
    with stopped_worker("--stats-interval", "0.05") as (lb, _, pid):
        line = lb.await_line(STUCK, level="warning", slot=0, pid=pid, pipe=0, condition="stopped (T)")
        assert line["held_bytes"] == sum(4 + len(record(number)) for number in (1, 2))
        assert line["still_s"] >= 0.1
        lb.await_line("statistics", stuck=1, stuck_total=1)
        os.kill(pid, signal.SIGCONT)
        over = lb.await_line("worker reads again", level="warning", slot=0, pid=pid)
        assert over["stuck_s"] >= line["still_s"]
        lb.await_line("statistics", stuck=0, stuck_total=1)
        lb.await_records(3)
        assert lb.stop().exit_code == 0
        assert sum(line["message"] == STUCK for line in lb.lines) == 1


def test_where_that_is_asked_it_is_killed_and_the_next_one_reads_on() -> None:
    with stopped_worker("--on-stuck", "restart") as (lb, _, pid):
        lb.await_line(STUCK, pid=pid)
        lb.await_line("worker killed: it does not read its pipe", level="warning", pid=pid)
        lb.await_line("worker ended", level="error", pid=pid, signal="SIGKILL")
        recording = lb.await_records(3)
        assert recording.by_pid[recording.pids[1]] == {0: [record(1), record(2)]}
        end = lb.stop()
        assert (end.exit_code, end.balance["exact"], end.statistics["stuck"]) == (0, True, 0)


def test_also_when_the_feed_is_not_read_because_of_it() -> None:
    """And no record is lost: the stuck one had read none that it had not told of."""
    constants = {"lb.balancer.WAITING_BYTES": 1 << 16, "lb.balancer.STALLED_AFTER_S": 0.05}
    options = ("--pipe-size", "4096", "--on-stuck", "restart", "--stuck-after", "1")
    with stopped_worker(*options, constants=constants) as (lb, peer, pid):
        with Flood(peer, begin=3, limit=4000):
            lb.await_line("a full pipe stops the reading", pid=pid)
            lb.await_line(STUCK, pid=pid)
            lb.await_line("reading goes on", pipe=0)
            assert numbers_of(lb.await_records(4000).pipes[0]) == list(range(4000))
        assert lb.stop().exit_code == 0


CLOSES_ITS_PIPE = """
    import os, signal, socket, sys
    from pathlib import Path
    has_closed = Path("has_closed")
    if not has_closed.exists():
        os.read(int(sys.argv[-1]), 65536)
        os.close(int(sys.argv[-1]))
        has_closed.touch()
        socket.socket(fileno=int(os.environ["LB_CHANNEL"])).send(b"READY")
        signal.pause()
    os.execv(sys.argv[1], sys.argv[1:])
"""


def test_one_that_has_closed_its_pipe_and_lives_on(tmp_path: Path) -> None:
    worker = (*inline(CLOSES_ITS_PIPE), *RECORDER)
    run = {"worker": worker, "records": True, "directory": tmp_path}
    options = ("--on-stuck", "restart", "--stuck-after", "1", "--log-level", "debug")
    with Feed() as feed, Lb(feed.url, 1, *options, **run) as lb, feed.session() as peer:
        peer.say(message([record(0)]))
        lb.await_line("worker ready")
        with Flood(peer, begin=1, limit=5000):
            lb.await_line(STUCK, pipe=0, condition="has closed the pipe")
            assert numbers_of(lb.await_records(4999).pipes[0]) == list(range(1, 5000))
        assert lb.stop().exit_code == 0


def test_one_that_has_just_started_has_time_of_its_own() -> None:
    worker = inline("import signal; signal.pause()")
    constants = {"lb.slots.watch.FIRST_READ_S": 0.5}
    options = (*SOON, "--grace", "0")
    with Feed() as feed, Lb(feed.url, 1, *options, worker=worker, constants=constants) as lb, feed.session() as peer:
        peer.say(message([record(0)]))
        assert lb.await_line(STUCK, condition="sleeping (S)")["still_s"] >= 0.5
        lb.stop()
