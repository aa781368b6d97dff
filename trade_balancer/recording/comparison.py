"""Whether two recordings hold the same records, byte by byte and in the same order; when they were received, and in
which files and blocks they stand, is no part of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trade_balancer.errors import InputError
from trade_balancer.recording.files import SUFFIX
from trade_balancer.recording.reader import Recording

_NAME = re.compile(r"(.*)-(\d{8}T\d{6}Z)-(\d+)-(\d+)")


@dataclass(frozen=True)
class Comparison:
    """How many records are the same from the first on, and what follows in each; None where one has ended."""

    same_total: int
    ours: bytes | None = None
    theirs: bytes | None = None

    @property
    def is_same(self) -> bool:
        return self.ours is None and self.theirs is None


def compare(ours: Path, theirs: Path) -> Comparison:
    """Two files, or folders of them.

    Raises:
        InputError: one can't be read, or is damaged.
    """
    same_total = 0
    left: list[list[bytes]] = [[], []]
    sources = [_blocks(ours), _blocks(theirs)]
    while True:
        for side, source in zip(left, sources, strict=True):
            if not side:
                side.extend(next(source, []))
        count = min(map(len, left))
        if not count or left[0][:count] != left[1][:count]:
            break
        same_total += count
        for side in left:
            del side[:count]
    same = next((number for number in range(count) if left[0][number] != left[1][number]), count)
    return Comparison(same_total + same, *(side[same] if same < len(side) else None for side in left))


def _blocks(path: Path) -> Iterator[list[bytes]]:
    for file in _in_order(path) if path.is_dir() else [path]:
        with Recording(file) as recording:
            for block in recording.blocks():
                yield block.lines()
            if recording.damage:
                raise InputError(recording.damage)


def _in_order(folder: Path) -> list[Path]:
    """The recordings of a folder, as they were begun."""
    paths = [path for path in folder.iterdir() if path.name.endswith(SUFFIX)]
    if not paths:
        raise InputError(f"{folder}: no recording in it")
    return sorted(paths, key=_begun)


def _begun(path: Path) -> tuple[str, str, int]:
    match = _NAME.match(path.name)
    return (match[1], match[2], int(match[4])) if match else (path.name, "", 0)
