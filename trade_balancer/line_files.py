"""Files of lines, one after the other: a new one by size and by time, each whole or not there.

Law: a file is written as NAME.part. It gets its name when it is complete and on the disk (fsync of the file, rename,
fsync of the folder), never before. What a crash leaves is a .part file, whole but for its end.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from trade_balancer.errors import OutputError

PART = ".part"
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
        self._prefix = prefix
        self._suffix = suffix
        self._rotation = rotation
        self._new_compressor = new_compressor
        self._clock = clock
        self._part: _PartFile | None = None
        self._begun_total = 0

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
        self._part.write(data)
        if self._rotation.most_bytes and self._part.size_bytes >= self._rotation.most_bytes:
            self.close()

    def tick(self) -> None:
        """Ends the file if its time is over; else, once in a while, makes all that is in it readable.

        To be called as often as files and lines may be late.
        """
        if self._part is None:
            return
        now_s = self._clock()
        if self._rotation.period(now_s) != self._rotation.period(self._part.begin_s):
            self.close()
        elif not 0 <= now_s - self._part.flushed_s < _FLUSH_S:
            self._part.flush(now_s)

    def close(self) -> None:
        """Completes the file, if there is one that has not failed."""
        part, self._part = self._part, None
        if part is not None and not part.has_failed:
            part.complete()
            self.files_total += 1
            self.bytes_total += part.size_bytes

    def _begin(self, now_s: float) -> _PartFile:
        compressor = self._new_compressor() if self._new_compressor else None
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s))
        while True:
            self._begun_total += 1
            path = self._folder / f"{self._prefix}-{stamp}-{os.getpid()}-{self._begun_total}{self._suffix}"
            with contextlib.suppress(FileExistsError):  # of a process that had this number within the same second
                return _PartFile(path, compressor, now_s)


class _PartFile:
    """A file that is not complete yet.

    Raises, in each method:
        OutputError: it is closed then, and `has_failed`.
    """

    def __init__(self, path: Path, compressor: Compressor | None, now_s: float) -> None:
        """Raises FileExistsError where there is one of that name, complete or not."""
        self.begin_s = self.flushed_s = now_s
        self.size_bytes = 0
        self.has_failed = False
        self._path = path
        self._part_path = path.with_name(path.name + PART)
        self._compressor = compressor
        try:
            self._fd = os.open(self._part_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:
            raise
        except OSError as fault:
            raise OutputError(f"cannot write to {self._part_path}: {fault.strerror}") from fault
        if path.exists():
            os.close(self._fd)
            self._part_path.unlink()
            raise FileExistsError(path)

    def write(self, data: bytes) -> None:
        self._put(self._compressor.compress(data) if self._compressor else data)

    def flush(self, now_s: float) -> None:
        self.flushed_s = now_s
        if self._compressor:
            self._put(self._compressor.flush())

    def complete(self) -> None:
        if self._compressor:
            self._put(self._compressor.finish())
        with self._checked():
            os.fsync(self._fd)
            self._part_path.rename(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)  # or the name might be lost with the power, though the file is not
            finally:
                os.close(folder)
        os.close(self._fd)

    def _put(self, data: bytes) -> None:
        with self._checked():
            self.size_bytes += len(data)
            while data:
                data = data[os.write(self._fd, data) :]

    @contextlib.contextmanager
    def _checked(self) -> Iterator[None]:
        try:
            yield
        except OSError as fault:
            self.has_failed = True
            os.close(self._fd)
            raise OutputError(f"cannot write to {self._part_path}: {fault.strerror}") from fault
