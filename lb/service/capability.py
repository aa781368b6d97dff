"""CAP_SYS_RESOURCE, which lets pipes be large: given by a service manager, and given up once they are made.

Law: only what was given for this, in the ambient set (capabilities(7)), is given up: root's is root's. To be called
while the process has one thread, for each thread has capabilities of its own.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from cffi import FFI

from lb import logs

_CAP_SYS_RESOURCE = 24
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_VERSION_3 = 0x20080522
"""Of capset(2): two words for each set."""


def give_up() -> None:
    """Have no capability any more, where CAP_SYS_RESOURCE was given. What can't be given up, workers at least do not
    inherit."""
    if not _ambient() >> _CAP_SYS_RESOURCE & 1:
        return
    ffi = FFI()
    ffi.cdef("int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long); int capset(void *, void *);")
    libc: Any = ffi.dlopen(None)
    header = ffi.new("unsigned int[2]", [_VERSION_3, 0])
    nothing = ffi.new(
        "unsigned int[6]"
    )  # effective, permitted, inheritable; and once more, for capabilities from 32 on
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)  # it can't fail
    if libc.capset(header, nothing) < 0:
        logs.warning("CAP_SYS_RESOURCE can't be given up", error=os.strerror(ffi.errno))


def _ambient() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapAmb:"):
            return int(line.split()[1], 16)
    return 0
