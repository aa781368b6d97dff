"""What /proc tells of a process (proc(5))."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

_TERMINAL = 4
"""Of the fields behind the name: tty_nr."""


def fields_of(pid: int) -> Sequence[str]:
    """The fields of its stat behind its name: state, parent, and so on; none where they can't be seen.

    /proc may be that of another PID namespace, in a container that has mounted none of its own: then its numbers are
    other processes'.
    """
    try:
        if str(Path("/proc/self").readlink()) != str(os.getpid()):
            return ()
        text = Path(f"/proc/{pid}/stat").read_text(errors="surrogateescape")
    except OSError:
        return ()
    return text.rpartition(") ")[2].split()


def has_terminal() -> bool:
    """Whether this process has a controlling terminal, whose end comes as SIGHUP."""
    return fields_of(os.getpid())[_TERMINAL : _TERMINAL + 1] not in ([], ["0"])
