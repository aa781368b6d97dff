"""lb as a service: what its manager is told, and when.

    starting    nothing but STATUS, until the condition is_ready for the first time
    READY=1     once; sessions that are lost later are lb's own affair
    WATCHDOG=1  from the main loop, four times within the time allowed, while that makes progress
    STATUS=     every few seconds
    STOPPING=1  at a stop, whoever asked for it, with the time that the drain may take (EXTEND_TIMEOUT_USEC)
    WATCHDOG_USEC=  more while another program takes the process over, and as before by that

Law: called from the main loop alone: no thread says that lb lives while its loop does not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lb.service.condition import Condition
from lb.service.manager import Manager
from lb.service.progress import Progress

STATUS_S = 5.0
"""Between two lines of STATUS; until lb is ready it is looked at each LOOK_S."""
LOOK_S = 0.25
TAKE_OVER_NS = 90_000_000_000
"""What another program has for its start in this process: as much as the unit gives a first one."""
MARGIN_S = 5.0
"""What an end may take longer than its deadline says."""

_FEEDS = 4
"""Looks within the time of the watchdog: one may fall between a record's arrival and its reading."""
_NEVER_NS = 1 << 62


class Service:
    """`look`: how lb is now."""

    def __init__(self, manager: Manager, look: Callable[[], Condition]) -> None:
        self._manager = manager
        self._look = look
        self._progress = Progress()
        self._is_ready = self._is_stopping = False
        self._status_due_ns = 0
        self._told: tuple[int, int] | None = None
        """When the last STATUS was told, and how many records there were."""
        self.deadline_ns = 0 if manager.listens else _NEVER_NS
        """When tend() has something to do next (CLOCK_MONOTONIC)."""

    def tend(self, now_ns: int) -> None:
        """Look, and tell what there is to tell."""
        if now_ns < self.deadline_ns:
            return
        condition = self._look()
        if condition.is_ready and not self._is_ready:
            self._is_ready = True
            self._status_due_ns = 0
            self._manager.tell(READY=1)
        if self._progress.look(condition.received_bytes, condition.socket_bytes, is_held_up=condition.is_held_up):
            self._manager.tell(WATCHDOG=1)
        if now_ns >= self._status_due_ns and not self._is_stopping:
            self._tell_status(condition, now_ns)
        self.deadline_ns = now_ns + self._next_look_ns()

    def hand_over(self) -> bool:
        """For adopt() in another process: whether READY=1 was told."""
        return self._is_ready

    def adopt(self, is_ready: bool) -> None:
        self._is_ready = is_ready
        self._tell_watchdog(self._manager.watchdog_ns)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Another program takes the process over: until it has begun, nobody feeds the watchdog."""
        self._tell_watchdog(TAKE_OVER_NS)
        try:
            yield
        finally:
            self._tell_watchdog(self._manager.watchdog_ns)

    def _tell_watchdog(self, patience_ns: int | None) -> None:
        if self._manager.watchdog_ns is not None and patience_ns is not None:
            self._manager.tell(WATCHDOG=1, WATCHDOG_USEC=patience_ns // 1000)

    def stopping(self, until_ns: int) -> None:
        """A step of the end has begun, which may take until then (CLOCK_MONOTONIC)."""
        self._is_stopping = True
        left_us = max(until_ns - time.monotonic_ns(), 0) // 1000 + int(MARGIN_S * 1e6)
        self._manager.tell(STOPPING=1, EXTEND_TIMEOUT_USEC=left_us)

    def _tell_status(self, condition: Condition, now_ns: int) -> None:
        before_ns, before_records = self._told or (now_ns - 1, condition.records)
        records_per_s = (condition.records - before_records) / (now_ns - before_ns) * 1e9
        self._told = now_ns, condition.records
        self._status_due_ns = now_ns + int(STATUS_S * 1e9)
        self._manager.tell(STATUS=condition.line(records_per_s))

    def _next_look_ns(self) -> int:
        look_s = STATUS_S if self._is_ready else LOOK_S
        look_ns = int(look_s * 1e9)
        return look_ns if self._manager.watchdog_ns is None else min(look_ns, self._manager.watchdog_ns // _FEEDS)
