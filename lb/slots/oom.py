"""How many processes the kernel has killed for want of memory.

Law: reads what it tells, and trusts nothing to be there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lb.slots.control_group import own_folders

_COUNTS = {"cgroup2": "memory.events", "cgroup": "memory.oom_control"}
"""Files of a control group (cgroup-v2.rst, cgroup-v1/memory.rst): lines of a name and a number, oom_kill among them."""


class OomKills:
    """In the control group of this process, to which its workers belong; in the root group, which counts none, those of
    the whole machine. A group around it that is out of memory is no other case: the one killed is counted in its own.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        """`root`: where /proc and /sys are looked for."""
        self._path = next((path for path in _paths(root) if _oom_kills(path) is not None), None)

    def total(self) -> int | None:
        """Since the group, or the machine, was started; None where that can't be read."""
        return None if self._path is None else _oom_kills(self._path)


def _paths(root: Path) -> Iterator[Path]:
    for kind, (own, *_) in own_folders(root):
        yield own / _COUNTS[kind]
    yield root / "proc/vmstat"


def _oom_kills(path: Path) -> int | None:
    try:
        counts = dict(line.split() for line in path.read_text().splitlines())
        return int(counts["oom_kill"])
    except (OSError, ValueError, KeyError):  # not there, or of a kernel before 4.13
        return None
