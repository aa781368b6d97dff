"""poll(2) refuses more descriptors than RLIMIT_NOFILE allows: lb pauses and tries again, obeys signals meanwhile, and
loses nothing."""

from __future__ import annotations

import os
import resource
import signal

from harness import Feed, Lb, message
from harness.flood import record

RECORDS = 2000


def test_while_the_limit_is_below_the_full_pipes() -> None:
    options = ("--spawn", "per-pipe", "--pipe-size", "4096", "--stats-interval", "0")
    with Feed() as feed, Lb(feed.url, 4, *options) as lb, feed.session() as peer:
        workers = lb.await_recorders(4)
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        peer.say(message(map(record, range(RECORDS))))
        while sum(lb.balance()["per_pipe"]) == RECORDS or not lb.balance()["waiting"]:
            pass
        before = resource.prlimit(lb.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(lb.pid, resource.RLIMIT_NOFILE, (4, before[1]))
        assert all(lb.balance()["exact"] for _ in range(3)), "signals are obeyed"
        resource.prlimit(lb.pid, resource.RLIMIT_NOFILE, before)
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        lb.await_records(RECORDS)
        end = lb.stop()
        assert (end.exit_code, end.balance["written"]) == (0, RECORDS)
        assert len(lb.lines) < 100
