"""A worker that proves what its pipe brings: whole records, in their order, none twice, none left out.

    python -I -S worker.py RECORDS PIPES FD

runs where the files of tape.write_streams() are. What it has proven it tells in a file `life-INODE-PID-START`, which is
mapped, so that it outlives a SIGKILL; INODE is the pipe's, START as start_of() has it. A fault is text in a file
`fault-PID`, and exit code 3.

Law: stands on the pipe protocol alone. Between two reads, all whole records of the first are finished.
"""

from __future__ import annotations

import mmap
import os
import re
import signal
import struct
import sys
from array import array
from bisect import bisect_right
from pathlib import Path

READ_BYTES = 1 << 16
"""At once: so much, and a part of a record, a killed worker has read and not finished."""
LONGEST_BYTES = 1 << 10
"""Over every record."""
LIFE = struct.Struct("<QQqqQ")
"""Records finished, jumps (to the beginning of a session), the first and the last number (-1: none), 1 at the pipe's
end."""
SLOT_BYTES = 64
"""Byte 0 of the file says which of two slots, at 64 and 128, is valid: a kill never finds it written by half."""

_NUMBER = re.compile(rb'"n":(\d+),')


def start_of(pid: int | str) -> int | None:
    """When this process began, in ticks since the machine did (proc(5)); None where it is no more. Numbers of processes
    come again within an hour, these two together never."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return None


class Fault(Exception):
    """What lb must never do."""


class Life:
    """What is told of one worker's life."""

    def __init__(self, fd: int) -> None:
        path = f"life-{os.fstat(fd).st_ino}-{os.getpid()}-{start_of('self')}"
        Path(path + ".new").write_bytes(bytes(3 * SLOT_BYTES))
        with open(path + ".new", "r+b") as file:  # noqa: PTH123 - mmap wants a descriptor
            self._map = mmap.mmap(file.fileno(), 0)
        self.finished = self.jumps = self.has_ended = 0
        self.first = self.last = -1
        self.tell()
        os.rename(path + ".new", path)  # noqa: PTH104

    def tell(self) -> None:
        slot = 1 - self._map[0]
        LIFE.pack_into(
            self._map, (1 + slot) * SLOT_BYTES, self.finished, self.jumps, self.first, self.last, self.has_ended
        )
        self._map[0] = slot


class Checker:
    """Follows one pipe."""

    def __init__(self, records: int, pipes: int, life: Life) -> None:
        self._per_stream = records // pipes
        self._pipes = pipes
        self._life = life
        self._streams = [Path(f"stream-{residue}").read_bytes() for residue in range(pipes)]
        self._starts = [array("Q", Path(f"starts-{residue}").read_bytes()) for residue in range(pipes)]
        self._residue: int | None = None
        self._at = 0  # the number, within its stream, of the record that must come next
        self._rest = b""

    def take(self, data: bytes) -> None:
        """The next bytes of the pipe. Raises Fault."""
        data = self._rest + data
        while data:
            if self._residue is None and not self._locate(data):
                break
            taken, is_broken = self._follow(data)
            data = data[taken:]
            if not is_broken:
                break
            self._residue = None
        self._rest = data
        self._life.tell()

    def end(self) -> None:
        """The end of the pipe."""
        if self._rest:
            raise Fault(f"the pipe ends amid a record: {self._rest[:80]!r}")
        self._life.has_ended = 1
        self._life.tell()

    def _locate(self, data: bytes) -> bool:
        """Find the record that data begins with: any where a life begins, else one that begins a session. False where
        more is needed to tell."""
        size = int.from_bytes(data[:4], "little")
        if len(data) < 4:
            return False
        if size > LONGEST_BYTES:
            raise Fault(f"a length of {size} behind record {self._life.last}: {data[:80]!r}")
        if len(data) < 4 + size:
            return False
        found = _NUMBER.search(data, 4, 4 + size)
        number = int(found[1]) if found else -1
        if not 0 <= number < self._per_stream * self._pipes:
            raise Fault(f"none of the feed's records behind record {self._life.last}: {data[: 4 + size]!r}")
        if self._life.first >= 0:
            if number >= self._pipes:
                raise Fault(f"record {number} behind record {self._life.last}, without a new session")
            self._life.jumps += 1
        self._residue, self._at = number % self._pipes, number // self._pipes
        if self._streams[self._residue][self._byte() :][: 4 + size] != data[: 4 + size]:
            raise Fault(f"a torn record {number} behind record {self._life.last}: {data[: 4 + size]!r}")
        return True

    def _follow(self, data: bytes) -> tuple[int, bool]:
        """Compare with the stream. Returns the bytes of whole records, and whether it goes on otherwise behind them."""
        assert self._residue is not None
        stream, starts, begin = self._streams[self._residue], self._starts[self._residue], self._byte()
        same = len(data)
        if stream[begin : begin + same] != data:
            expected = zip(stream[begin : begin + same], data, strict=True)
            same = next(at for at, (wanted, got) in enumerate(expected) if wanted != got)
        behind = bisect_right(starts, begin + same) - 1
        count = behind - self._at
        taken = starts[behind] - begin
        if count:
            number = self._residue + self._pipes * self._at
            self._life.first = number if self._life.first < 0 else self._life.first
            self._at = behind % self._per_stream
            self._life.last = self._residue + self._pipes * ((behind - 1) % self._per_stream)
            self._life.finished += count
        return taken, same < len(data)

    def _byte(self) -> int:
        assert self._residue is not None
        return self._starts[self._residue][self._at]


def main() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # whoever stops lb and its workers at once
    signal.signal(signal.SIGUSR2, lambda *_: os._exit(0))  # a worker that ends by itself, amid its work
    records, pipes, fd = map(int, sys.argv[1:])
    life = Life(fd)
    checker = Checker(records, pipes, life)
    try:
        while data := os.read(fd, READ_BYTES):
            checker.take(data)
        checker.end()
    except Fault as fault:
        life.tell()
        Path(f"fault-{os.getpid()}.new").write_text(str(fault))
        os.rename(f"fault-{os.getpid()}.new", f"fault-{os.getpid()}")  # noqa: PTH104
        sys.exit(3)


if __name__ == "__main__":
    main()
