"""A process that is traced, or amid a system call on dead hardware, does not go away when it is killed."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

from harness import Lb, inline
from need import leave_untested

NO_FEED = "ws://127.0.0.1:1/stocks"
PTRACE_SEIZE = 0x4206
WALL = 0x40000000


@contextmanager
def traced(pid: int) -> Iterator[None]:
    """Its end is told to the tracer first, and lb hears of it when that one has taken notice."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if libc.ptrace(PTRACE_SEIZE, pid, None, None) < 0:
        leave_untested(f"the right to trace: {os.strerror(ctypes.get_errno())}")
    try:
        yield
    finally:
        os.waitpid(pid, WALL)


def test_lb_tells_and_leaves() -> None:
    worker = inline("import signal; signal.pause()")
    with Lb(NO_FEED, 1, "--grace", "0.1", worker=worker) as lb:
        pid = lb.await_line("worker started")["pid"]
        with traced(pid):
            lb.stop()
            lb.await_line("worker killed: it did not end in time", pid=pid)
            lb.await_line("worker left behind: it does not end", pid=pid, level="error")
            assert sum("left behind" in line["message"] for line in lb.lines) == 1
