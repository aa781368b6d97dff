"""Which slot's worker is to be started next. Law: pure; a slot's own restart_ns is what counts."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from lb.slots.slot import NEVER_NS, Slot


class Due:
    """Of all `slots`."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = slots
        self._heap: list[tuple[int, int]] = []
        """Of (restart_ns, slot); an entry is of the past where the slot's own restart_ns is another."""

    def add(self, slot: Slot, restart_ns: int) -> None:
        slot.restart_ns = restart_ns
        heapq.heappush(self._heap, (restart_ns, slot.number))

    @property
    def next_ns(self) -> int:
        """When the next is due (CLOCK_MONOTONIC)."""
        while self._heap and self._heap[0][0] != self._slots[self._heap[0][1]].restart_ns:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else NEVER_NS

    def take(self) -> Slot:
        """The one that is due at next_ns."""
        return self._slots[heapq.heappop(self._heap)[1]]
