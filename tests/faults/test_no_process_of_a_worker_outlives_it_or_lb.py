"""SIGKILL to lb ends every worker, one way or another; the end of a worker ends every process that it started."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import Feed, Flood, Lb, inline, lb_environment, message
from harness.flood import numbers_of, record
from harness.preload import preload

from lb.errors import EX_IOERR

NO_FEED = "ws://127.0.0.1:1/stocks"


@contextmanager
def watched(pid: int) -> Iterator[int]:
    """A pidfd: readable when the process has ended."""
    fd = os.pidfd_open(pid)
    yield fd
    os.close(fd)


def assert_ends(pidfd: int) -> None:
    assert select.select([pidfd], [], [], 10)[0], "the process lives on"


def is_alive(pidfd: int) -> bool:
    return not select.select([pidfd], [], [], 0)[0]


NEVER_READS = inline("""
    import signal
    print("ready", flush=True)
    while True:
        signal.pause()
""")


@pytest.mark.parametrize("spawn", ["shared", "per-pipe"])
def test_a_worker_that_does_nothing_about_it_gets_sigterm(spawn: str) -> None:
    """One that reads nothing would never see the end of its pipes."""
    with Lb(NO_FEED, 4, "--spawn", spawn, worker=NEVER_READS) as lb:
        pids = [lb.await_line("worker started")["pid"] for _ in range(4 if spawn == "per-pipe" else 1)]
        lb.await_output(b"ready\n" * len(pids))
        with watched(pids[0]) as first, watched(pids[-1]) as last:
            assert is_alive(first)
            lb.send_signal(signal.SIGKILL)
            assert_ends(first)
            assert_ends(last)
        assert lb.wait().exit_code == -signal.SIGKILL


READS_ON_AFTER_LB = inline("""
    import os, signal, sys
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    print("ready", flush=True)
    signal.sigwait([signal.SIGTERM])
    while data := os.read(int(sys.argv[1]), 65536):
        sys.stdout.buffer.write(data)
    sys.stdout.buffer.write(b" the end")
""")


def test_a_worker_that_ignores_sigterm_reads_its_pipes_to_their_end() -> None:
    """What lb had written to them is not lost with lb."""
    records = [record(number) for number in range(1000)]
    with Feed() as feed, Lb(feed.url, 1, worker=READS_ON_AFTER_LB) as lb, feed.session() as peer:
        lb.await_output(b"ready\n")
        peer.say(message(records))
        while lb.balance()["written"] < len(records):
            pass
        lb.send_signal(signal.SIGKILL)
        assert lb.wait().exit_code == -signal.SIGKILL
        framed = b"".join(len(text).to_bytes(4, "little") + text for text in records)
        assert lb.output == b"ready\n" + framed + b" the end"


def test_nor_one_that_was_restarted_while_sessions_came_and_went() -> None:
    """The parent-death signal follows the thread that forked: that must not be one which ends."""
    with Feed() as feed, Lb(feed.url) as lb:
        for number in range(3):
            with feed.session():
                lb.await_line("session open")
                os.kill(lb.await_recorders(number + 1)[-1], signal.SIGKILL)
                lb.await_line("worker ended")
                pid = lb.await_line("worker started")["pid"]
            lb.await_line("session lost")
        with watched(pid) as pidfd:
            lb.await_recorders(4)
            assert is_alive(pidfd), "the end of a session's thread is not the end of lb"
            lb.send_signal(signal.SIGKILL)
            assert_ends(pidfd)


# Holds the child between fork() and prctl() until its parent is dead.
LATE_PRCTL = r"""
int prctl(int option, ...)
{
    va_list arguments;
    va_start(arguments, option);
    const unsigned long argument = va_arg(arguments, unsigned long);
    va_end(arguments);
    if (option == PR_SET_PDEATHSIG) {
        const pid_t parent = getppid();
        if (write(1, "forked\n", 7) != 7)
            _exit(99);
        while (getppid() == parent)
            usleep(1000);
    }
    int (*const next)(int, ...) = (int (*)(int, ...))dlsym(RTLD_NEXT, "prctl");
    return next(option, argument);
}
"""

SPAWNS = """
import os
from lb.slots.spawn import Order, report, spawn
order = Order("/bin/sh", ["sh", "-c", "echo the worker runs"], os.environ, "/", [], 64, os.sched_getaffinity(0))
report_fd, report_end = os.pipe2(os.O_CLOEXEC)
spawn(order, report_end)
os.close(report_end)
report(order, report_fd)
"""


def test_a_worker_whose_parent_died_before_it_asked_for_the_signal_does_not_start(tmp_path: Path) -> None:
    """Between fork() and prctl(PR_SET_PDEATHSIG) nobody would tell it."""
    environment = lb_environment() | preload(tmp_path, LATE_PRCTL)
    with subprocess.Popen([sys.executable, "-c", SPAWNS], env=environment, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"forked\n"
        parent.kill()
        assert parent.stdout.read() == b"", "the child has ended, and never ran its program"


HAS_CHILDREN = inline("""
    import os, signal, sys
    for _ in range(3):
        if os.fork() == 0:
            if os.fork() == 0:
                os.write(1, b"%d " % os.getpid())
                while os.read(int(sys.argv[1]), 1):
                    pass
            signal.pause()
    signal.pause()
""")


def test_what_a_worker_has_forked_ends_with_it() -> None:
    """Otherwise it would go on reading the pipe beside the next worker."""
    with Lb(NO_FEED, 1, "--grace", "0.3", worker=HAS_CHILDREN) as lb:
        leader = lb.await_line("worker started")["pid"]
        while len(children := [int(pid) for pid in lb.output.split()]) < 3:
            lb.balance()
        with watched(children[0]) as first, watched(children[1]) as second, watched(children[2]) as third:
            assert is_alive(first)
            os.kill(leader, signal.SIGKILL)
            for pidfd in (first, second, third):
                assert_ends(pidfd)
        lb.await_line("worker started")
        assert lb.stop().exit_code == EX_IOERR, "its successor never ends by itself"


HAS_A_LARGE_CHILD = inline("""
    import os, signal
    if os.fork() == 0:
        memory = b"x" * (256 << 20)
        print(os.getpid(), flush=True)
    signal.pause()
""")


def test_the_next_worker_starts_only_when_all_of_it_has_ended() -> None:
    """To give back so much memory takes a killed process longer than lb needs to start another."""
    with Lb(NO_FEED, 1, "--grace", "0.3", worker=HAS_A_LARGE_CHILD) as lb:
        leader = lb.await_line("worker started")["pid"]
        with watched(int(lb.await_output())) as child:
            os.kill(leader, signal.SIGKILL)
            lb.await_line("worker ended", pid=leader)
            lb.await_line("worker started")
            assert not is_alive(child)
        assert lb.stop().exit_code == EX_IOERR


def test_a_workers_children_end_with_the_grace_too() -> None:
    with Feed() as feed, Lb(feed.url, 1, "--grace", "0.3", worker=HAS_CHILDREN) as lb, feed.session():
        while len(children := [int(pid) for pid in lb.output.split()]) < 3:
            lb.balance()
        with watched(children[0]) as pidfd:
            assert lb.stop().exit_code == EX_IOERR
            assert_ends(pidfd)


CHILD_RECORDS = """
    import os, signal, sys
    sys.path.insert(0, {directory!r})
    import recorder
    if os.fork() == 0:
        recorder.main()
        os._exit(0)
    os.wait()
"""


def test_a_child_that_reads_at_full_speed_reads_nothing_more_when_its_parent_is_killed() -> None:
    """What it takes away while the pipe is put in order again would be missing there."""
    directory = str(Path(sys.modules["harness"].__file__ or "").parent)
    kills = 15
    constants = {"lb.slots.supervisor.STABLE_S": 0.0}
    worker = inline(CHILD_RECORDS.format(directory=directory))
    with (
        Feed() as feed,
        Lb(feed.url, 1, "--pipe-size", "65536", constants=constants, worker=worker, records=True) as lb,
        feed.session() as peer,
        Flood(peer),
    ):
        for number in range(kills):
            leader = lb.await_line("worker started")["pid"]
            lb.await_recorders(number + 1)
            lb.await_records(lb.recording.total + 500)
            os.kill(leader, signal.SIGKILL)
            lb.await_line("worker ended", pid=leader)
        lb.await_recorders(kills + 1)
        end = lb.stop()
    assert end.exit_code == 0
    numbers = numbers_of(lb.recording.pipes[0])
    assert numbers == sorted(set(numbers))
    assert 0 <= end.balance["received"] - len(numbers) <= 2 * kills
