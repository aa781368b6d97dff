"""What a process is doing, as far as it explains that it does not read its pipe."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lb.slots.condition import condition

SLEEPS = "import sys; print(flush=True); sys.stdin.read()"
SPINS = "print(flush=True)\nwhile True: pass"
HAS_A_CHILD = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-I", "-S", "-c", {SLEEPS!r}], stdout=subprocess.PIPE, pass_fds=[FD])
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    fds = os.pipe()
    yield fds
    for fd in fds:
        os.close(fd)


@contextmanager
def process(code: str, *fds: int) -> Iterator[tuple[int, bytes]]:
    """Its pid, and what it printed first."""
    command = [sys.executable, "-I", "-S", "-c", code]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, pass_fds=fds, start_new_session=True, **pipes) as started:
        assert started.stdout is not None
        try:
            yield started.pid, started.stdout.readline()
        finally:
            os.killpg(started.pid, signal.SIGKILL)


def until_stopped(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)


def test_the_states_of_a_process(pipe: tuple[int, int]) -> None:
    with process(SPINS, pipe[0]) as (pid, _):
        assert condition(pid, pipe[0]) == "running (R)"
        until_stopped(pid)
        assert condition(pid, pipe[0]) == "stopped (T)"
    with process(SLEEPS, pipe[0]) as (pid, _):
        while (told := condition(pid, pipe[0])) == "running (R)":  # on its way into read(2)
            pass
        assert told == "sleeping (S)"


def test_the_one_of_a_family_that_explains_most(pipe: tuple[int, int]) -> None:
    """The child is stopped, its parent waits for it."""
    with process(HAS_A_CHILD.replace("FD", str(pipe[0])), pipe[0]) as (parent, child):
        os.kill(int(child), signal.SIGSTOP)
        while ") T " not in Path(f"/proc/{int(child)}/stat").read_text():
            pass
        assert condition(parent, pipe[0]) == "stopped (T)"


def test_who_has_closed_the_pipe(pipe: tuple[int, int]) -> None:
    with process(SPINS) as (pid, _):
        assert condition(pid, pipe[0]) == "has closed the pipe"


def test_one_that_is_held_by_a_child_alone_is_not_closed(pipe: tuple[int, int]) -> None:
    code = f"import os; FD = {pipe[0]}\n" + HAS_A_CHILD.replace("print(child", "os.close(FD); print(child")
    with process(code, pipe[0]) as (parent, _):
        assert condition(parent, pipe[0]) in ("running (R)", "sleeping (S)")


def test_a_process_that_is_not_there(pipe: tuple[int, int]) -> None:
    with process(SLEEPS) as (pid, _):
        pass
    assert condition(pid, pipe[0]) is None
