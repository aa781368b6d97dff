"""How much memory lb and what it starts may use. Law: reads what the kernel tells, and trusts nothing to be there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from lb.slots.control_group import own_folders

_LIMITS = {"cgroup2": ("memory.max", "memory.high"), "cgroup": ("memory.limit_in_bytes",)}
"""Files of a control group (cgroup-v2.rst, cgroup-v1/memory.rst). Over the second one a group is held up, not ended."""


def allowed_memory_bytes(root: Path = Path("/")) -> int:
    """The machine's memory, or the least limit of a control group around this process, whose own counts pages of pipes.

    `root`: where /proc and /sys are looked for.
    """
    machine_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine_bytes, *_limits_bytes(root)])


def _limits_bytes(root: Path) -> Iterator[int]:
    for kind, folders in own_folders(root):
        for folder in folders:
            for name in _LIMITS[kind]:
                yield from _limit_bytes(folder / name)


def _limit_bytes(path: Path) -> Iterator[int]:
    try:
        yield int(path.read_text())
    except (OSError, ValueError):  # not there, or "max"
        return
