"""Finds what workers have kept of a pipe on a tape that repeats itself, and so what is missing of it or there twice."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

LENGTH_BYTES = 4
NEARLY_ALL_BYTES = 1 << 12


class TapeReader:
    """Of one pipe, whose records of one playing are these. take() what each worker has kept, one after the other.

    `farthest`: of how many records at most a worker may be ahead of where the one before has ended, or behind it.
    """

    def __init__(self, records: Sequence[bytes], farthest: int = 20_000) -> None:
        frames = [len(record).to_bytes(LENGTH_BYTES, "little") + record for record in records]
        self._begins = [0, *accumulate(map(len, frames))]
        """Of each frame, and the end."""
        self._tape = memoryview(b"".join(frames))
        self._shifts = sorted(range(-farthest, farthest + 1), key=abs)
        self.next = 0
        """The number of the record that is to follow; the tape's are numbered over all playings."""
        self.lost = 0
        self.doubled = 0
        self.cut = 0
        """Workers that have taken a record's begin, and not its end."""

    def take(self, kept: bytes) -> None:
        """What the next worker has kept. AssertionError where it is not on the tape, or too far away."""
        near = (shift for shift in self._shifts if self.next + shift >= 0 and self._fits(kept, self.next + shift))
        shift = next(near, None)
        assert shift is not None, f"{len(kept)} bytes are not on the tape near record {self.next}: {kept[:200]!r}"
        self.lost += max(shift, 0)
        self.doubled += max(-shift, 0)
        whole, is_cut = self._whole(kept, self.next + shift)
        self.cut += is_cut
        self.next += shift + whole

    def _fits(self, kept: bytes, number: int) -> bool:
        return all(self._is_on_tape(part, number) for part in (kept[:NEARLY_ALL_BYTES], kept))

    def _is_on_tape(self, kept: bytes, number: int) -> bool:
        """From the record with this number on."""
        at, tape_at = 0, self._begins[number % (len(self._begins) - 1)]
        while at < len(kept):
            size = min(len(kept) - at, len(self._tape) - tape_at)
            if self._tape[tape_at : tape_at + size] != kept[at : at + size]:
                return False
            at, tape_at = at + size, 0
        return True

    def _whole(self, kept: bytes, number: int) -> tuple[int, bool]:
        """How many records these bytes are, and whether there is a part of another behind them."""
        first = number % (len(self._begins) - 1)
        playings, end = divmod(self._begins[first] + len(kept), len(self._tape))
        last = bisect_right(self._begins, end) - 1
        return playings * (len(self._begins) - 1) + last - first, self._begins[last] != end
