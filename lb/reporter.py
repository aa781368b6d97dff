"""The balancer's numbers as log lines: at intervals, on request, at the end. Law: reads, never changes anything."""

from __future__ import annotations

import time
from collections.abc import Callable

from lb import logs
from lb.metrics import Snapshot
from lb.pump import Malformed, Pump, Resumed, Stalled
from lb.ration import Ration

_NEVER_NS = 1 << 62


class Reporter:
    """`snapshot` takes the numbers of this moment. `interval_s`: between two lines of statistics; 0 is off."""

    def __init__(self, snapshot: Callable[[], Snapshot], pump: Pump, interval_s: float) -> None:
        self._snapshot = snapshot
        self._pump = pump
        self._interval_ns = int(interval_s * 1e9)
        self._first = self._before = snapshot()
        self._malformed = Ration(lines=1)
        self._logged_layouts = 0
        self.deadline_ns = self._first.taken_ns + self._interval_ns if self._interval_ns else _NEVER_NS

    def tend(self, now_ns: int) -> None:
        """Log the statistics when their time has come."""
        if now_ns >= self.deadline_ns:
            snapshot = self._snapshot()
            logs.info("statistics", **snapshot.statistics(self._before))
            self._log_layouts()
            self._before = snapshot
            self.deadline_ns = now_ns + self._interval_ns

    def balance(self) -> None:
        logs.info("balance", **self._snapshot().balance())

    def end(self, final: Snapshot) -> int:
        """The statistics of the whole run, the balance, and an error for each pipe whose records did not all reach a
        worker. Returns of how many pipes that is so."""
        logs.info("statistics", **final.statistics(self._first))
        self._log_layouts()
        if unlogged := self._malformed.left_out():
            logs.error("malformed messages not logged singly", messages=unlogged)
        undelivered = list(final.undelivered())
        for pipe in undelivered:
            logs.error("records not delivered", **pipe)
        logs.info("balance", **final.balance())
        return len(undelivered)

    def malformed(self, event: Malformed) -> None:
        if self._malformed.allows(time.monotonic_ns()):
            logs.error(
                "malformed message",
                fault=event.fault,
                offset_bytes=event.offset_bytes,
                sample=repr(event.sample),
                unlogged=self._malformed.left_out(),
            )

    def stalled(self, event: Stalled, slot: int, pid: int | None) -> None:
        """`slot`, `pid`: who should be reading that pipe."""
        logs.warning("a full pipe stops the reading", pipe=event.pipe, slot=slot, pid=pid)

    def resumed(self, event: Resumed) -> None:
        logs.warning("reading goes on", pipe=event.pipe, stopped_s=event.stalled_ns / 1e9)

    def _log_layouts(self) -> None:
        samples = self._pump.layouts()
        for sample in samples[self._logged_layouts :]:
            logs.info("records of this layout miss the fast path", sample=repr(sample))
        self._logged_layouts = len(samples)
