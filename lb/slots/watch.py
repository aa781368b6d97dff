"""Looks from time to time whether the workers read their pipes. Law: never a cost per record; changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from lb.slots.pipes import Pipes
from lb.slots.slot import NEVER_NS, Event, Slot, State
from lb.slots.standstill import Standstill

LOOK_S = 1.0
"""Between two looks, if there is so much time."""
_LOOKS = 4
"""At least, before a worker is called stuck."""
_PIPES_PER_S = 1000
"""So many are looked at in a second at most: each costs microseconds."""
FIRST_READ_S = 30.0
"""That a worker has at least, from its start on, before it reads anything: it may have a model to load, or a store to
open."""


class Watch:
    """Of all `slots`. `taken_bytes`: how much has been read from a pipe, all readers together. `stuck_after_s`: 0 is
    never."""

    def __init__(
        self, slots: Sequence[Slot], pipes: Pipes, taken_bytes: Callable[[int], int], stuck_after_s: float
    ) -> None:
        self._slots = slots
        self._pipes = pipes
        self._taken_bytes = taken_bytes
        self._stuck_after_s = stuck_after_s
        interval_s = max(min(LOOK_S, stuck_after_s / _LOOKS), len(pipes.read_fds) / _PIPES_PER_S)
        self._interval_ns = int(interval_s * 1e9)
        self._standstills: dict[int, tuple[int, Standstill]] = {}
        """By slot; with the start of the worker that it is of."""
        self.deadline_ns = 0 if stuck_after_s else NEVER_NS
        """When look() has something to do next (CLOCK_MONOTONIC)."""

    def hand_over(self) -> list[Any]:
        """For adopt() in another process."""
        return [[number, started_ns, still.hand_over()] for number, (started_ns, still) in self._standstills.items()]

    def adopt(self, handed_over: Sequence[Any]) -> None:
        for number, started_ns, still in handed_over:
            standstill = Standstill(self._slots[number].pipes, 2 * self._interval_ns)
            standstill.adopt(still)
            self._standstills[number] = started_ns, standstill

    def look(self, now_ns: int) -> Iterator[tuple[Slot, Event]]:
        """What has become of workers, where that is something new. To be obeyed one by one."""
        if now_ns < self.deadline_ns:
            return
        self.deadline_ns = now_ns + self._interval_ns
        for slot in self._slots:
            if slot.state in (State.RUNNING, State.STUCK) and not slot.is_paused:
                is_stuck = self._is_stuck(slot, now_ns)
                if is_stuck != (slot.state is State.STUCK):
                    yield slot, Event.STICKS if is_stuck else Event.READS

    def _is_stuck(self, slot: Slot, now_ns: int) -> bool:
        held_bytes = {pipe: self._pipes.unread_bytes(pipe) for pipe in slot.pipes}
        taken_bytes = {pipe: self._taken_bytes(pipe) for pipe in slot.pipes}
        slot.still = self._standstill(slot).look(held_bytes, taken_bytes, now_ns)
        has_read = sum(taken_bytes.values()) > slot.taken_bytes_before
        patience_s = self._stuck_after_s if has_read else max(self._stuck_after_s, FIRST_READ_S)
        return slot.still.still_ns >= int(patience_s * 1e9)

    def _standstill(self, slot: Slot) -> Standstill:
        started_ns, standstill = self._standstills.get(slot.number, (0, None))
        if standstill is None or started_ns != slot.started_ns:
            standstill = Standstill(slot.pipes, 2 * self._interval_ns)
            self._standstills[slot.number] = slot.started_ns, standstill
        return standstill
