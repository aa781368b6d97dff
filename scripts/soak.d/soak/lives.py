"""What the workers have told, living and dead: see worker.py. Law: reads files, never writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from soak.worker import LIFE, SLOT_BYTES, start_of


@dataclass(frozen=True)
class Told:
    """Of one life."""

    pid: int
    inode: int
    """Of its pipe."""
    finished: int
    jumps: int
    first: int
    last: int
    has_ended: bool
    """With its pipe."""


class Lives:
    """Of all workers that ran in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path_of: dict[tuple[int, int], Path] = {}

    def of(self, pid: int) -> Told | None:
        """What this worker has told so far; None before it has begun, and when it is no more."""
        start = start_of(pid)
        if start is None:
            return None
        if (pid, start) not in self._path_of:
            found = list(self._folder.glob(f"life-*-{pid}-{start}"))
            if not found:
                return None
            (self._path_of[pid, start],) = found
        return _read(self._path_of[pid, start])

    def all(self) -> list[Told]:
        return [_read(path) for path in self._folder.glob("life-*[0-9]")]

    def faults(self) -> list[str]:
        """What workers have found wrong."""
        return [f"worker {path.name[6:]}: {path.read_text()}" for path in self._folder.glob("fault-*[0-9]")]


def _read(path: Path) -> Told:
    """Read again where the worker has told something new meanwhile."""
    _, inode, pid, _ = path.name.split("-")
    while True:
        data = path.read_bytes()
        told = LIFE.unpack_from(data, (1 + data[0]) * SLOT_BYTES)
        if path.read_bytes()[0] == data[0]:
            finished, jumps, first, last, has_ended = told
            return Told(int(pid), int(inode), finished, jumps, first, last, bool(has_ended))
