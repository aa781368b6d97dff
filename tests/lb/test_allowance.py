"""CPUs and descriptors of workers: what lb was given, not what it takes for itself; what it is given later counts."""

from __future__ import annotations

import os
import resource
import signal

import pytest
from harness import Lb, inline, run_lb

from lb.errors import EX_UNAVAILABLE

NO_FEED = "ws://127.0.0.1:1/stocks"

TELLS = inline("""
    import os, resource, sys
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    sys.stdout.write(f"{limit[0]} {limit[1]} {sorted(os.sched_getaffinity(0))}\\n")
    sys.stdout.flush()
    os.read(int(sys.argv[1]), 1)
""")

needs_two_cpus = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="NOT TESTED here, for want of two CPUs")


def with_descriptors(soft: int, hard: int = 4096) -> tuple[str, ...]:
    """A command that runs the command behind it with these limits."""
    return inline(f"""
        import os, resource, sys
        resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
        os.execv(sys.argv[1], sys.argv[1:])
    """)


def told(lb: Lb, line: int) -> tuple[int, str]:
    """The soft limit and the CPUs that the worker of this line has told."""
    soft, _, cpus = lb.await_output_lines(line + 1)[line].decode().rstrip().split(" ", 2)
    return int(soft), cpus


def test_what_lb_has_raised_for_itself_is_not_the_workers() -> None:
    """select(2) in a worker can't take a number of 1024 or more, and systems give 1024 for that reason."""
    with Lb(NO_FEED, 4, "--spawn", "per-pipe", before=with_descriptors(100), worker=TELLS) as lb:
        lb.await_line("worker started", slot=3)
        assert resource.prlimit(lb.pid, resource.RLIMIT_NOFILE) == (108, 4096)
        assert {told(lb, line)[0] for line in range(4)} == {100}


def test_but_a_worker_can_open_and_poll_what_it_has() -> None:
    with Lb(NO_FEED, 300, before=with_descriptors(100), worker=TELLS) as lb:
        assert told(lb, 0)[0] == 300 + 64


def test_what_is_not_raised_is_passed_on_as_it_is() -> None:
    with Lb(NO_FEED, before=with_descriptors(999), worker=TELLS) as lb:
        assert told(lb, 0)[0] == 999
        assert resource.prlimit(lb.pid, resource.RLIMIT_NOFILE) == (999, 4096)


def test_a_limit_that_lb_is_given_later_is_the_workers_from_then_on() -> None:
    with Lb(NO_FEED, before=with_descriptors(90), worker=TELLS) as lb:
        assert told(lb, 0)[0] == 90
        resource.prlimit(lb.pid, resource.RLIMIT_NOFILE, (1000, 4096))
        os.kill(lb.await_line("worker started")["pid"], signal.SIGKILL)
        assert told(lb, 1)[0] == 1000


@needs_two_cpus
@pytest.mark.parametrize("options", [(), ("--cpu", str(max(os.sched_getaffinity(0))))])
def test_cpus_that_lb_is_given_later_are_the_workers_from_then_on(options: tuple[str, ...]) -> None:
    """taskset -p. What --cpu has chosen is lb's alone."""
    allowed = sorted(os.sched_getaffinity(0))
    with Lb(NO_FEED, 1, *options, worker=TELLS) as lb:
        assert told(lb, 0)[1] == str(allowed)
        os.sched_setaffinity(lb.pid, {allowed[0]})
        os.kill(lb.await_line("worker started")["pid"], signal.SIGKILL)
        assert told(lb, 1)[1] == str(allowed[:1])


def test_a_hard_limit_that_is_too_low_for_channels_is_said_as_well() -> None:
    done = run_lb("--spawn", "per-pipe", "k", NO_FEED, "100", "/", "/bin/cat", preexec_fn=_exactly_for_pipes)
    assert done.returncode == EX_UNAVAILABLE
    assert "396 descriptors are needed, 350 are allowed" in done.stderr


def _exactly_for_pipes() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (350, 350))
