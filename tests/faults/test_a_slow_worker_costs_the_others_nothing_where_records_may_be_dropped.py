"""--on-full drop-oldest, drop-newest: a worker that stands still stops nobody; what it misses is counted and told."""

from __future__ import annotations

import os
import signal

import pytest
from harness import Feed, Lb, message
from harness.flood import numbers_of, record
from harness.lb_process import hold

RECORDS = 20_000
BATCH = 500
SOON = {"lb.reporter.LOOK_AHEAD_S": 0.05, "lb.episodes.CALM_S": 0.2}


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest"])
def test_the_others_get_all_and_its_own_loss_is_exact(policy: str) -> None:
    options = ("--spawn", "per-pipe", "--pipe-size", "4096", "--on-full", policy, "--backlog", "65536")
    with Feed() as feed, Lb(feed.url, 2, *options, constants=SOON) as lb, feed.session() as peer:
        pids = lb.await_workers(2)
        hold(pids[1])
        for begin in range(0, RECORDS, BATCH):
            peer.say(message(map(record, range(begin, begin + BATCH))))
            lb.await_records((begin + BATCH) // 2)  # the other one does not wait
        assert lb.await_line("a pipe is full: records for it are dropped", level="warning", pipe=1, slot=1, pid=pids[1])
        balance = lb.balance()
        assert (balance["received"], balance["exact"]) == (RECORDS, True)
        assert balance["dropped_per_pipe"] == [0, balance["dropped"]]
        os.kill(pids[1], signal.SIGCONT)
        end = lb.stop()
        assert end.exit_code == 0
        told = [line for line in lb.lines if line["message"] == "no records are dropped any more"]
        assert {line["pipe"] for line in told} == {1}
        assert sum(line["dropped"] for line in told) == balance["dropped"]
        assert end.statistics["dropped"] == [0, balance["dropped"]]
        assert end.statistics["full"] == 0
        assert end.balance["unread"] == 0
        assert numbers_of(lb.recording.by_pid[pids[0]][0]) == list(range(0, RECORDS, 2))
        got = numbers_of(lb.recording.by_pid[pids[1]][0])
        assert len(got) == RECORDS // 2 - balance["dropped"]
        assert got == sorted(set(got))
        is_newest_there = got[-1] == RECORDS - 1
        assert is_newest_there == (policy == "drop-oldest")
        assert sum("dropped" in line["message"] for line in lb.lines) == 2 * len(told)
