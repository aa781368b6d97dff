"""What a worker's processes are doing, in words.

Law: reads what /proc tells (proc(5)), and trusts nothing to be there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from lb.slots.proc import fields_of

_WORDS = {
    "T": "stopped (T)",
    "t": "stopped by a debugger (t)",
    "D": "in a system call that can't be interrupted (D)",
    "Z": "ended, and still there (Z)",
    "X": "ended (X)",
    "R": "running (R)",
    "S": "sleeping (S)",
    "I": "idle (I)",
}
"""With what explains most first."""


def condition(leader: int, read_fd: int) -> str | None:
    """Why the process `leader`, with all that it has started, might not read the pipe of which `read_fd` is an end.

    None where that can't be seen.
    """
    states = {pid: state for pid in _family(leader) if (state := _state(pid)) is not None}
    if not states:
        return None
    if not any(_may_hold(pid, f"pipe:[{os.fstat(read_fd).st_ino}]") for pid in states):
        return "has closed the pipe"
    known = [state for state in _WORDS if state in states.values()]
    return _WORDS[known[0]] if known else f"in state {min(states.values())}"


def _family(leader: int) -> Iterator[int]:
    """A process and its descendants. Without CONFIG_PROC_CHILDREN, it alone."""
    left = [leader]
    while left:
        pid = left.pop()
        yield pid
        for children in _paths(f"/proc/{pid}/task"):
            left += map(int, _text(children / "children").split())


def _state(pid: int) -> str | None:
    return next(iter(fields_of(pid)), None)


def _may_hold(pid: int, target: str) -> bool:
    """False: none of its descriptors is that. A process of another user does not show them."""
    try:
        return any(str(path.readlink()) == target for path in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return True


def _paths(folder: str) -> list[Path]:
    try:
        return list(Path(folder).iterdir())
    except OSError:
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="surrogateescape")
    except OSError:
        return ""
