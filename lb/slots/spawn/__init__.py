"""Starts a worker process that hears of the end of the thread that started it.

Law: fork and exec happen in C. In Python the child would run on with whatever locks other threads held at the fork.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lb.slots.proc import fields_of
from lb.slots.spawn._spawn import ffi, lib

_STEPS = {
    lib.SPAWN_FORK: "forking",
    lib.SPAWN_DEATH_SIGNAL: "setting the parent-death signal",
    lib.SPAWN_CPUS: "choosing CPUs",
    lib.SPAWN_DIRECTORY: "entering directory",
    lib.SPAWN_DESCRIPTORS: "passing descriptors",
    lib.SPAWN_LIMIT: "limiting descriptors",
    lib.SPAWN_EXEC: "running",
}

_FLAGS = 6
"""Of the fields behind the name."""
_FORKED_NO_EXEC = 0x40

_LONG_BYTES = ffi.sizeof("unsigned long")
_LONG_BITS = 8 * _LONG_BYTES


@dataclass(frozen=True)
class Order:
    """What to run, and how."""

    path: str
    """Seen from `directory`."""
    argv: Sequence[str]
    """With its own name first."""
    environment: Mapping[str, str]
    directory: str
    fds: Sequence[int]
    """Of this process; the new one has them under the same numbers, and 0, 1, 2."""
    soft_descriptors: int
    """Its soft limit of descriptors (RLIMIT_NOFILE)."""
    cpus: Collection[int]
    """On which it may run."""


def spawn(order: Order, report_fd: int) -> int:
    """Start a process; return its pid at once.

    Whether it runs its program stands on the pipe whose write end is `report_fd` (O_CLOEXEC), see report(). It leads a
    process group of its own and gets SIGTERM when the calling thread ends (prctl(2), PR_SET_PDEATHSIG), or ends without
    a word where that happens before it is told so. Descendants whose own parent ends become this process's children
    (PR_SET_CHILD_SUBREAPER).

    Raises OSError.
    """
    path, directory = _c_string(order.path), _c_string(order.directory)
    argv = [_c_string(word) for word in order.argv]
    environment = [_c_string(f"{name}={value}") for name, value in order.environment.items()]
    cpus = _mask(order.cpus)
    arrays = {
        "argv": ffi.new("char *[]", [*argv, ffi.NULL]),
        "envp": ffi.new("char *[]", [*environment, ffi.NULL]),
        "cpus": ffi.new("unsigned long[]", cpus),
        "fds": ffi.new("int[]", list(order.fds)),
    }
    c_order = ffi.new(
        "struct spawn_order *",
        {
            "path": path,
            "directory": directory,
            "cpus_bytes": len(cpus) * _LONG_BYTES,
            "fd_count": len(order.fds),
            "soft_descriptors": order.soft_descriptors,
            "report_fd": report_fd,
            **arrays,
        },
    )
    pid = lib.spawn_process(c_order)
    if pid < 0:
        raise _error(order, lib.SPAWN_FORK, ffi.errno)
    return pid


def report(order: Order, report_fd: int) -> OSError | None:
    """Why the process that was started by `order` can't run its program; None: it runs it, or was killed before.

    `report_fd` is the read end. It becomes readable as soon as that is known, by its end or by the failure; until then
    this would wait. What None means, has_run_program() tells.
    """
    data = os.read(report_fd, ffi.sizeof("struct spawn_failure"))
    if not data:
        return None
    failure = ffi.from_buffer("struct spawn_failure *", data)
    return _error(order, failure.step, failure.error)


def has_run_program(pid: int) -> bool:
    """Whether a process that was forked, and was not reaped yet, has come to run its program; also where that can't be
    seen. It is in its flags: PF_FORKNOEXEC of linux/sched.h goes with the exec."""
    fields = fields_of(pid)
    return not fields or not int(fields[_FLAGS]) & _FORKED_NO_EXEC


def _c_string(text: str) -> Any:
    return ffi.new("char[]", os.fsencode(text))


def _mask(cpus: Collection[int]) -> list[int]:
    mask = [0] * (max(cpus) // _LONG_BITS + 1)
    for cpu in cpus:
        mask[cpu // _LONG_BITS] |= 1 << cpu % _LONG_BITS
    return mask


def _error(order: Order, step: int, error: int) -> OSError:
    subject = order.directory if step == lib.SPAWN_DIRECTORY else order.path
    return OSError(error, f"{_STEPS[step]}: {os.strerror(error)}", subject)
