"""The folder of `--on-full spill=DIR`: whose it is, and what an earlier lb has left in it.

Law: files are opened, read and deleted by the pump alone (lb/pump/csrc/spill_file.c); here they are only listed and
renamed, before it begins.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from lb import logs
from lb.errors import Unavailable
from lb.pump import Recovered

LARGEST_SEGMENT_BYTES = 16 << 20
"""A file is given back as a whole: with smaller ones less is held that is read already, with larger ones less is
opened."""
LEAST_SEGMENT_BYTES = 1 << 20

_NAME = re.compile(r"(\d{5})-(\d{16})\.spill")


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    pipe: int
    number: int

    @property
    def name(self) -> str:
        return f"{self.pipe:05}-{self.number:016}.spill"


class SpillFolder:
    """Made where there is none, with mode 0700, and held: no other lb may use it meanwhile."""

    def __init__(self, path: str, adopted_fd: int | None = None) -> None:
        """`adopted_fd`: held since before this program took the process over. Raises Unavailable."""
        self._path = path
        if adopted_fd is not None:
            self._fd = adopted_fd
            return
        try:
            Path(path).mkdir(0o700, parents=True, exist_ok=True)
            if not os.access(path, os.W_OK | os.X_OK):
                raise _refusal(path)
            self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise Unavailable(f"spill={path}: {error.strerror}") from None
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            why = "another lb uses this folder" if isinstance(error, BlockingIOError) else error.strerror
            raise Unavailable(f"spill={path}: {why}") from None

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        os.close(self._fd)

    def take_over(self, pipes: int, recover: Callable[[int, int], Recovered]) -> None:
        """Have `recover(pipe, segment)` take what is left, and tell of it. Raises Unavailable."""
        records = bytes_ = 0
        for segment in self.segments(pipes):
            try:
                found = recover(segment.pipe, segment.number)
            except (OSError, Unavailable) as error:
                why = error.strerror if isinstance(error, OSError) else error
                raise Unavailable(f"spill={self._path}: {segment.name}: {why}") from None
            records += found.records
            bytes_ += found.bytes
            if found.cut_bytes:
                logs.warning(
                    "a segment is cut off behind its last whole record", segment=segment.name, bytes=found.cut_bytes
                )
            if found.is_damaged:
                logs.warning("a segment does not say what of it was delivered: all of it comes", segment=segment.name)
        if records:
            logs.info("spilled records are delivered first", records=records, bytes=bytes_)

    def segments(self, pipes: int) -> list[Segment]:
        """What is left, each pipe's in their order, numbered without a gap.

        Segments of a pipe that there is no more are put behind those of pipe `number modulo pipes`. Raises Unavailable.
        """
        taken: list[Segment] = []
        try:
            left = sorted(self._listed(), key=lambda segment: (segment.pipe % pipes, segment))
            for pipe, mine in groupby(left, key=lambda segment: segment.pipe % pipes):
                for number, segment in enumerate(mine):  # never over the name of a later one
                    taken.append(Segment(pipe, number))
                    if segment != taken[-1]:
                        os.rename(segment.name, taken[-1].name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except OSError as error:
            raise Unavailable(f"spill={self._path}: {error.strerror}") from None
        return taken

    def _listed(self) -> list[Segment]:
        names = filter(None, map(_NAME.fullmatch, os.listdir(self._fd)))  # noqa: PTH208 - there is no other way to list what a descriptor stands for
        return [Segment(int(name[1]), int(name[2])) for name in names]


def _refusal(path: str) -> OSError:
    """Why no file can be made there."""
    number = errno.EROFS if os.statvfs(path).f_flag & os.ST_RDONLY else errno.EACCES
    return OSError(number, os.strerror(number))


def segment_bytes(max_bytes: int, pipes: int) -> int:
    """How large a segment gets: each pipe may have some of them."""
    return max(min(LARGEST_SEGMENT_BYTES, max_bytes // (4 * pipes)), LEAST_SEGMENT_BYTES)
