"""A system call of ours that fails for good ends lb with 70, in a few lines, and signals are obeyed meanwhile."""

from __future__ import annotations

import os
import resource
import signal

from harness import Feed, Lb, message
from harness.flood import record

RECORDS = 2000


def test_poll_refuses_more_descriptors_than_the_limit_allows() -> None:
    """poll(2) answers EINVAL once RLIMIT_NOFILE is below the number of full pipes."""
    options = ("--spawn", "per-pipe", "--pipe-size", "4096", "--grace", "0.3")
    with Feed() as feed, Lb(feed.url, 4, *options) as lb, feed.session() as peer:
        for pid in lb.await_recorders(4):
            os.kill(pid, signal.SIGSTOP)
        peer.say(message(map(record, range(RECORDS))))
        while sum(lb.balance()["per_pipe"]) == RECORDS or not lb.balance()["waiting"]:
            pass
        resource.prlimit(lb.pid, resource.RLIMIT_NOFILE, (4, 4))
        lb.send_signal(signal.SIGUSR1)  # poll comes back, and is called again
        end = lb.wait()
        assert end.exit_code == 70
        assert end.balance["exact"]
        assert sum("poll failed" in line["message"] for line in lb.lines) == 2, lb.log
        assert len(lb.lines) < 100
