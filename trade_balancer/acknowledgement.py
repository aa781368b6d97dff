"""Tells lb which records are finished: with --redeliver it keeps all others, for the next worker.

Law: a message is for the records of 20 ms or of half a MiB, however small the batches, and it is true: a record is
finished when whoever took it has asked for the next batch, or has said so.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from trade_balancer.channel import first_number, retained_bytes, say_finished, wants_acknowledgement
from trade_balancer.frames import FrameCutter

EVERY_S = 0.02
EVERY_BYTES = 512 << 10
"""Between two messages about a pipe: whichever comes first. What lb keeps is to stay in the CPU's cache."""


def acknowledge(fd: int, number: int) -> None:
    """Tells lb that all records of a pipe with a number below `number` are finished: none of them comes again.

    For programs that read with `acknowledge=False` because they finish later, when a file is on the disk, say. Does
    nothing where lb does not want it. Each call is a message to lb (ACK in docs/pipe-protocol.md): one
    for many records.

    Args:
        fd: the pipe.
        number: as `numbered` counts them, from `first_number(fd)` on. More than was read is told by lb, and ignored.

    Raises nothing: that lb has gone is no error, the pipes end then.
    """
    if wants_acknowledgement(fd):
        say_finished(fd, number - first_number(fd), waits=True)


class Acknowledger:
    """Of some pipes: what was handed over is finished when the next is asked for."""

    def __init__(self, cutters: Mapping[int, FrameCutter]) -> None:
        self._cutters = cutters
        self._told = dict.fromkeys(cutters, 0)
        self._told_bytes = dict.fromkeys(cutters, 0)
        self._due_s = 0.0
        """When the next message may go out."""

    def finished(self) -> float | None:
        """All that was cut is finished. Tells lb where it is time to, and returns in how many seconds it will be where
        there is something to tell."""
        if all(self._told[fd] == cutter.records_total for fd, cutter in self._cutters.items()):
            return None
        now_s = time.monotonic()
        is_much = any(cutter.bytes_total >= self._told_bytes[fd] + EVERY_BYTES for fd, cutter in self._cutters.items())
        if now_s < self._due_s and not is_much:
            return self._due_s - now_s
        self._due_s = now_s + EVERY_S
        return None if self.tell(waits=False) else EVERY_S

    def tell(self, *, waits: bool) -> bool:
        """Tells lb now what is finished. Returns whether it was all told."""
        for fd, cutter in self._cutters.items():
            records = cutter.records_total
            if records != self._told[fd]:
                if not say_finished(fd, records, waits=waits):
                    return False
                self._told[fd] = records
                self._told_bytes[fd] = cutter.bytes_total
        return True


Mark = dict[int, tuple[int, int]]
"""How far some pipes have been read: by fd, how many records of it, and their bytes."""


class Unfinished:
    """Of some pipes: what was read and is not finished yet, for who finishes later, with a commit or a whole file, and
    reads with `acknowledge=False`."""

    def __init__(self) -> None:
        self._cutters: dict[int, FrameCutter] = {}
        self._finished: Mark = {}

    def watch(self, cutters: Mapping[int, FrameCutter]) -> None:
        """These are the pipes; those of them of which lb does not want to know are left out."""
        self._cutters = {fd: cutter for fd, cutter in cutters.items() if wants_acknowledgement(fd)}
        self._finished = dict.fromkeys(self._cutters, (0, 0))

    def mark(self) -> Mark:
        """How far they have been read until now; empty where lb does not want to know."""
        return {fd: (cutter.records_total, cutter.bytes_total) for fd, cutter in self._cutters.items()}

    def is_much(self) -> bool:
        """Whether so much is unfinished that more would hold up the feed: half of what lb keeps of a pipe."""
        most_bytes = retained_bytes()
        return most_bytes is not None and any(
            cutter.bytes_total - self._finished[fd][1] >= most_bytes // 2 for fd, cutter in self._cutters.items()
        )

    def finish(self, mark: Mark) -> None:
        """What had been read at the mark is finished: lb may forget it."""
        for fd, (records, bytes_) in mark.items():
            if records != self._finished[fd][0]:
                say_finished(fd, records, waits=True)
                self._finished[fd] = (records, bytes_)
