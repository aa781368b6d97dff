"""A child that is killed at a chosen place: at the n-th begin or end of a system call, or so many instructions behind
that.

By ptrace(2): what is killed is a real process, and the place is the same every time. Skips where that may not be.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable

from need import leave_untested

_TRACEME, _SINGLESTEP, _SYSCALL, _SETOPTIONS = 0, 9, 24, 0x4200
_TRACESYSGOOD, _EXITKILL = 1, 1 << 20
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def killed(work: Callable[[], object], stops: int, steps: int = 0) -> bool:
    """Do it in a forked process, and kill that where the `stops`-th call begins or ends (counted from 1), `steps`
    instructions later. Returns False where it has come to its end before."""
    pid = os.fork()
    if pid == 0:
        if _libc.ptrace(_TRACEME, 0, None, None) == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
            work()
        os._exit(0)
    if not _await(pid):
        leave_untested("ptrace(2)")
    _libc.ptrace(_SETOPTIONS, pid, None, _TRACESYSGOOD | _EXITKILL)
    for request in [_SYSCALL] * stops + [_SINGLESTEP] * steps:
        _libc.ptrace(request, pid, None, None)
        if not _await(pid):
            return False
    os.kill(pid, signal.SIGKILL)
    while _await(pid):
        pass
    return True


def _await(pid: int) -> bool:
    """Whether it stands still, and has not ended."""
    return os.WIFSTOPPED(os.waitpid(pid, 0)[1])
