"""--cpu keeps lb on one CPU, and nobody else."""

from __future__ import annotations

import os

from harness import Lb, inline

NO_FEED = "ws://127.0.0.1:1/stocks"
TELLS_CPUS = inline("""
    import os, sys
    print(*sorted(os.sched_getaffinity(0)), "|", *sorted(os.sched_getaffinity(os.getppid())), flush=True)
    os.read(int(sys.argv[1]), 1)
""")


def told(*options: str) -> bytes:
    with Lb(NO_FEED, 1, *options, worker=TELLS_CPUS) as lb:
        return lb.await_output()


def test_only_lb_stays_on_the_cpu_chosen() -> None:
    everywhere = " ".join(map(str, sorted(os.sched_getaffinity(0))))
    cpu = max(os.sched_getaffinity(0))
    assert told("--cpu", str(cpu)) == f"{everywhere} | {cpu}\n".encode()
    assert told() == f"{everywhere} | {everywhere}\n".encode()


def test_a_worker_may_run_where_lb_might_at_its_start() -> None:
    before, cpu = os.sched_getaffinity(0), min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpu})
    try:
        assert told("--cpu", str(cpu)) == f"{cpu} | {cpu}\n".encode()
    finally:
        os.sched_setaffinity(0, before)
