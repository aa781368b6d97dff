"""What is ordered for one slot's worker from outside: replace it, pause it, let it go on.

Law: signals only; what follows is the supervisor's table's. An order that can't be carried out changes nothing.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence

from lb import logs
from lb.slots import group
from lb.slots.slot import NEVER_NS, Slot, State

KILL_AFTER_S = 1.0
"""Between SIGTERM and SIGKILL for a worker that is to be replaced."""


class Orders:
    """`start` starts the next worker of an empty slot as soon as can be. Every order returns whether it can be
    carried out."""

    def __init__(self, slots: Sequence[Slot], start: Callable[[Slot], None]) -> None:
        self._slots = slots
        self._start = start
        self._kills: dict[int, tuple[int, int]] = {}
        """By slot: the pid that was asked to end, and when it is made to."""
        self._is_stopping = False

    def replace(self, slot: Slot) -> bool:
        """SIGTERM for the slot's worker, SIGKILL a second later, and the next one at once; where the slot waits for its
        next one, that comes now."""
        if self._is_stopping:
            return False
        slot.backoff.reset()
        if slot.state is State.EMPTY:
            self._start(slot)
        elif slot.is_alive:
            if not (group.send(slot.pid, signal.SIGTERM) and group.send(slot.pid, signal.SIGCONT)):
                return False
            logs.info("worker is to be replaced", slot=slot.number, pid=slot.pid)
            slot.is_paused = False
            slot.is_replaced = True
            slot.sent = signal.SIGTERM
            self._kills[slot.number] = slot.pid, time.monotonic_ns() + int(KILL_AFTER_S * 1e9)
        return True

    def pause(self, slot: Slot) -> bool:
        """SIGSTOP for the slot's worker and what it started."""
        if self._is_stopping or not slot.is_alive or not group.send(slot.pid, signal.SIGSTOP):
            return False
        slot.is_paused = True
        logs.info("worker paused", slot=slot.number, pid=slot.pid)
        return True

    def resume(self, slot: Slot) -> bool:
        """SIGCONT for them."""
        if not slot.is_alive or not group.send(slot.pid, signal.SIGCONT):
            return False
        slot.is_paused = False
        logs.info("worker resumed", slot=slot.number, pid=slot.pid)
        return True

    def stop(self) -> None:
        """From now on nobody is replaced or paused, and who is paused is to finish, too."""
        self._is_stopping = True
        self._kills.clear()
        for slot in self._slots:
            if slot.is_paused:
                self.resume(slot)

    @property
    def are_open(self) -> bool:
        """Whether somebody who is to be replaced has not ended yet."""
        return bool(self._kills)

    @property
    def deadline_ns(self) -> int:
        """When tend() has something to do next (CLOCK_MONOTONIC)."""
        return min((kill_ns for _, kill_ns in self._kills.values()), default=NEVER_NS)

    def tend(self, now_ns: int) -> None:
        """SIGKILL for who was to be replaced, and has not ended."""
        for number, (pid, kill_ns) in list(self._kills.items()):
            if now_ns >= kill_ns:
                del self._kills[number]
                slot = self._slots[number]
                if slot.is_alive and slot.pid == pid and group.send(pid, signal.SIGKILL):
                    slot.sent = signal.SIGKILL
                    logs.warning("worker killed: it was to be replaced, and did not end", slot=number, pid=pid)
