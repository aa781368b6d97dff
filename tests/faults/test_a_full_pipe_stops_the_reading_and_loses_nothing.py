"""A worker that is stopped, slow, or never reads: back-pressure up to the feed's socket, in bounded memory."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from harness import Authority, Feed, Flood, Lb, inline
from harness.flood import numbers_of

SMALL = {"lb.balancer.WAITING_BYTES": 1 << 18}
NEVER_READS = inline("import signal; signal.pause()")


def resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def await_full(lb: Lb) -> dict[str, Any]:
    """The line of statistics that tells of a full pipe first."""
    while True:
        line = lb.await_line("statistics")
        if line["full"]:
            return line


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("pipes", [1, 4])
def test_a_stopped_worker_goes_on_where_it_was(authority: Authority, tls: bool, pipes: int) -> None:
    total = 40_000
    context = authority.server_context("127.0.0.1") if tls else None
    options = ("--pipe-size", "4096", "--stats-interval", "0.05", "--ca-file", authority.ca_file)
    with (
        Feed(tls=context) as feed,
        Lb(feed.url, pipes, *options, constants=SMALL) as lb,
        feed.session() as peer,
    ):
        (worker,) = lb.await_recorders(1)
        with Flood(peer, limit=total) as flood:
            lb.await_records(1000)
            os.kill(worker, signal.SIGSTOP)
            await_full(lb)
            stopped = lb.balance()
            assert stopped["exact"]
            assert stopped["waiting"] > 0
            os.kill(worker, signal.SIGCONT)
            flood.wait()
        lb.await_records(total)
        end = lb.stop()
        for pipe in range(pipes):
            assert numbers_of(lb.recording.pipes[pipe]) == list(range(pipe, total, pipes))
        assert (end.exit_code, end.balance["received"], end.balance["waiting"]) == (0, total, 0)


def test_the_feed_is_not_read_while_a_pipe_is_full_and_memory_stays_bounded() -> None:
    """The feed sends as much as it can; what lb takes of it ends."""
    options = ("--pipe-size", "65536", "--stats-interval", "0.05")
    with (
        Feed() as feed,
        Lb(feed.url, 4, *options, worker=NEVER_READS, constants={"lb.balancer.SECOND_STOP_AFTER_S": 0.0}) as lb,
        feed.session() as peer,
        Flood(peer) as flood,
    ):
        line = await_full(lb)
        while line["records"] != (line := lb.await_line("statistics"))["records"]:
            pass
        assert flood.sent > line["records"], "the rest waits in the feed's socket"
        assert all(32_768 < backlog_bytes <= 65_536 for backlog_bytes in line["backlog_bytes"])
        assert resident_bytes(lb.pid) < 200 << 20
        balance = lb.balance()
        assert balance["exact"]
        assert balance["waiting"] > 0
        lb.send_signal(signal.SIGTERM)
        lb.await_line("stopping")
        assert lb.stop().exit_code == 1


def test_one_slow_pipe_of_many_disturbs_no_order() -> None:
    """Its worker reads next to nothing; with --spawn per-pipe the others are served up to the common bound."""
    total = 20_000
    with (
        Feed() as feed,
        Lb(
            feed.url, 3, "--spawn", "per-pipe", "--pipe-size", "4096", "--stats-interval", "0.05", constants=SMALL
        ) as lb,
        feed.session() as peer,
        Flood(peer, limit=total) as flood,
    ):
        lb.await_recorders(3)
        slow = lb.await_line("worker started", slot=1)["pid"]
        os.kill(slow, signal.SIGSTOP)
        await_full(lb)
        for _ in range(5):
            os.kill(slow, signal.SIGCONT)
            lb.await_line("statistics")
            os.kill(slow, signal.SIGSTOP)
        os.kill(slow, signal.SIGCONT)
        flood.wait()
        by_pid = lb.await_records(total).by_pid
        shares = sorted((numbers_of(share[0]) for share in by_pid.values()), key=min)
        assert shares == [list(range(pipe, total, 3)) for pipe in range(3)]


@pytest.mark.parametrize("end", ["fin", "protocol fault", "close"])
def test_a_session_that_ends_while_a_pipe_is_full(end: str) -> None:
    """What was received is dealt once there is room, and only then the next session begins."""
    total = 30_000
    with (
        Feed() as feed,
        Lb(feed.url, 1, "--pipe-size", "4096", "--stats-interval", "0.05", constants=SMALL) as lb,
    ):
        with feed.session() as peer:
            (worker,) = lb.await_recorders(1)
            os.kill(worker, signal.SIGSTOP)
            with Flood(peer, limit=total) as flood:
                await_full(lb)
                os.kill(worker, signal.SIGCONT)
                flood.wait()
            os.kill(worker, signal.SIGSTOP)
            if end == "close":
                peer.close(1001)
            elif end == "protocol fault":
                peer.send(b"\xff" * 100)
        os.kill(worker, signal.SIGCONT)
        with feed.session() as peer, Flood(peer, begin=total, limit=total + 100) as flood:
            flood.wait()
            assert numbers_of(lb.await_records(total + 100).pipes[0]) == list(range(total + 100))
        assert lb.stop().balance["exact"]
