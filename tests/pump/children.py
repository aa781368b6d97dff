"""What a test does in a process of its own, because it can't be undone: privileges given up, system calls refused."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
import traceback
from collections.abc import Callable

import pytest

_AT_MOST_S = 100
"""A child that hangs is not seen by the tests' own time limit."""

_SYSCALLS = {
    "x86_64": {"write": 1, "poll": 7, "recvmmsg": 299},
    "aarch64": {"write": 64, "poll": 73, "recvmmsg": 243},
}
"""Numbers of what glibc's functions of these names call: poll() on aarch64 ppoll."""

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _SECCOMP_MODE_FILTER = 22, 38, 2
_LOAD_WORD, _JUMP_EQUAL, _JUMP_GREATER_OR_EQUAL, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER_AT, _ARGUMENTS_AT = 0, 16
"""In struct seccomp_data."""


def in_a_child(work: Callable[[], None]) -> int:
    """Do it in a forked process; return its exit status, 1 after an exception, whose traceback is
    shown."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(_AT_MOST_S)
        try:
            work()
            os._exit(0)
        except BaseException:
            os.writev(2, [traceback.format_exc().encode()])  # write() may be refused
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def refuse(call: str, errno: int, argument: int, at_least: int, below: int) -> None:
    """From now on the kernel answers `call` with `errno` where its argument of that number is in the range.

    A filter of seccomp(2): it can't be taken back. Skips the test where the kernel has none.
    """
    numbers = _SYSCALLS.get(platform.machine())
    if numbers is None:
        pytest.skip(f"the numbers of system calls on {platform.machine()} are not known here")
    program = b"".join(
        struct.pack("<HBBI", *instruction)
        for instruction in (
            (_LOAD_WORD, 0, 0, _NUMBER_AT),
            (_JUMP_EQUAL, 0, 4, numbers[call]),
            (_LOAD_WORD, 0, 0, _ARGUMENTS_AT + 8 * argument),
            (_JUMP_GREATER_OR_EQUAL, 0, 2, at_least),
            (_JUMP_GREATER_OR_EQUAL, 1, 0, below),
            (_RETURN, 0, 0, _ERRNO | errno),
            (_RETURN, 0, 0, _ALLOW),
        )
    )
    buffer = ctypes.create_string_buffer(program)
    filter_ = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, filter_):
        raise OSError(ctypes.get_errno(), "seccomp")


def can_refuse() -> bool:
    """Whether this kernel and machine have what refuse() needs."""
    return platform.machine() in _SYSCALLS and in_a_child(lambda: refuse("write", 1, 0, 1 << 31, 1 << 31)) == 0
