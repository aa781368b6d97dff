"""Files of lines, one after the other: a new one by size and by time, each whole or not there.

Law: what a crash leaves is a .part file, whole but for its end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from trade_balancer.part_files import FileNames, PartFile

_FLUSH_S = 1.0


class Compressor(Protocol):
    """Of one file. `flush` gives what `compress` has kept back, so that all before it can be decompressed."""

    def compress(self, data: bytes) -> bytes: ...
    def flush(self) -> bytes: ...
    def finish(self) -> bytes: ...


@dataclass(frozen=True)
class Rotation:
    """When a file ends: with the write that takes it to `most_bytes`, as they lie on the disk, or past them; and at
    every multiple of `every_s` since 1970, UTC. 0 is never.
    """

    most_bytes: int
    every_s: int

    def period(self, now_s: float) -> int:
        return int(now_s // self.every_s) if self.every_s else 0


class LineFiles:
    """Writes lines to files called PREFIX-YYYYMMDDTHHMMSSZ-PID-N.SUFFIX, after the time of their first line, UTC.

    `files_total` and `bytes_total`, as they lie on the disk, are those of complete files.

    Args:
        folder: where they are written; it must be there.
        new_compressor: one for each file, if they shall be compressed.
        clock: the wall clock, seconds since 1970.

    Raises, in each method:
        OutputError: a file can't be written. It stays behind as .part, and nothing is written any more.
    """

    def __init__(
        self,
        folder: Path,
        prefix: str,
        suffix: str,
        rotation: Rotation,
        new_compressor: Callable[[], Compressor] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.files_total = 0
        self.bytes_total = 0
        self._folder = folder
        self._names = FileNames(prefix, suffix)
        self._rotation = rotation
        self._new_compressor = new_compressor
        self.is_compressed = new_compressor is not None
        self._clock = clock
        self._part: _Lines | None = None

    def write(self, lines: Sequence[bytes]) -> None:
        """Writes the lines, a newline behind each; a newline in a line, which JSON allows between members, as a space.

        On return the kernel has them, but for what a compressor keeps back until `tick` is called.
        """
        self.tick()
        data = b"\n".join(lines) + b"\n"
        if data.count(b"\n") != len(lines):
            data = b"\n".join(line.replace(b"\n", b" ") for line in lines) + b"\n"
        if self._part is None:
            self._part = self._begin(self._clock())
        self._part.put(data)
        if self._rotation.most_bytes and self._part.size_bytes >= self._rotation.most_bytes:
            self.close()

    def tick(self) -> None:
        """Ends the file if its time is over; else, once in a while, makes all that is in it readable.

        To be called as often as files and lines may be late.
        """
        if self.is_over:
            self.close()
        elif self._part is not None and not 0 <= self._clock() - self._part.flushed_s < _FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """Makes all that is in the file readable now."""
        if self._part is not None:
            self._part.flush(self._clock())

    @property
    def is_over(self) -> bool:
        """Whether the time of the file that is begun has passed: `tick` would complete it."""
        return self._part is not None and self._rotation.period(self._clock()) != self._rotation.period(
            self._part.begin_s
        )

    @property
    def is_flushed(self) -> bool:
        """Whether the kernel has all lines."""
        return self._part is None or self._part.is_flushed

    def close(self) -> None:
        """Completes the file, if there is one that has not failed."""
        part, self._part = self._part, None
        if part is not None and not part.has_failed:
            part.complete()
            self.files_total += 1
            self.bytes_total += part.size_bytes

    def _begin(self, now_s: float) -> _Lines:
        def lines(path: Path) -> _Lines:
            return _Lines(path, self._new_compressor() if self._new_compressor else None, now_s)

        return self._names.begin(self._folder, now_s, lines)


class _Lines(PartFile):
    """A file of lines, compressed if there is a compressor; `size_bytes` as it lies on the disk."""

    def __init__(self, path: Path, compressor: Compressor | None, now_s: float) -> None:
        super().__init__(path)
        self.begin_s = self.flushed_s = now_s
        self.size_bytes = 0
        self.is_flushed = True
        self._compressor = compressor

    def put(self, data: bytes) -> None:
        self.is_flushed = self._compressor is None
        self.write(self._compressor.compress(data) if self._compressor else data)

    def flush(self, now_s: float) -> None:
        self.flushed_s = now_s
        if self._compressor:
            self.write(self._compressor.flush())
        self.is_flushed = True

    def complete(self) -> None:
        if self._compressor:
            self.write(self._compressor.finish())
        super().complete()

    def write(self, data: bytes) -> None:
        self.size_bytes += len(data)
        super().write(data)
