"""Starts a worker process that can't outlive the thread that started it.

Law: fork and exec happen in C. In Python the child would run on with whatever locks other threads held at the fork.
"""

import os
from collections.abc import Collection, Mapping, Sequence

from lb.slots.spawn._spawn import ffi, lib

_STEPS = {
    lib.SPAWN_PIPE: "making a pipe",
    lib.SPAWN_FORK: "forking",
    lib.SPAWN_DEATH_SIGNAL: "setting the parent-death signal",
    lib.SPAWN_CPUS: "choosing CPUs",
    lib.SPAWN_DIRECTORY: "entering directory",
    lib.SPAWN_DESCRIPTORS: "passing descriptors",
    lib.SPAWN_EXEC: "running",
}


_LONG_BYTES = ffi.sizeof("unsigned long")
_LONG_BITS = 8 * _LONG_BYTES


def spawn(
    path: str,
    argv: Sequence[str],
    environment: Mapping[str, str],
    directory: str,
    fds: Sequence[int],
    cpus: Collection[int],
) -> int:
    """Start `path` and return its pid once it runs.

    The process has `argv` (with its own name first), `environment`, and the working directory `directory`; it may run
    on `cpus`, whatever this process may. Of this process's descriptors it has 0, 1, 2 and `fds`, under the same
    numbers. It leads a process group of its own and gets SIGKILL when the calling thread ends (prctl(2),
    PR_SET_PDEATHSIG), also where that happens before it is told so. Descendants whose own parent ends become this
    process's children (PR_SET_CHILD_SUBREAPER).

    Raises OSError with the errno of the step that failed and the path it was about.
    """
    failure = ffi.new("struct spawn_failure *")
    mask = [0] * (max(cpus) // _LONG_BITS + 1)
    for cpu in cpus:
        mask[cpu // _LONG_BITS] |= 1 << cpu % _LONG_BITS
    keep = [ffi.new("char[]", os.fsencode(text)) for text in argv]
    keep_environment = [ffi.new("char[]", os.fsencode(f"{name}={value}")) for name, value in environment.items()]
    pid = lib.spawn_process(
        ffi.new("char[]", os.fsencode(path)),
        ffi.new("char *[]", [*keep, ffi.NULL]),
        ffi.new("char *[]", [*keep_environment, ffi.NULL]),
        ffi.new("char[]", os.fsencode(directory)),
        ffi.new("unsigned long[]", mask),
        len(mask) * _LONG_BYTES,
        fds,
        len(fds),
        failure,
    )
    if pid < 0:
        subject = {lib.SPAWN_DIRECTORY: directory, lib.SPAWN_EXEC: path}.get(failure.step, path)
        raise OSError(failure.error, f"{_STEPS[failure.step]}: {os.strerror(failure.error)}", subject)
    return pid
