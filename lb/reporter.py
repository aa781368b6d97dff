"""The balancer's numbers as log lines: at intervals, on request, at the end. Law: reads, never changes anything."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lb import logs
from lb.forecast import Change, Forecast
from lb.full_pipes import FullPipes
from lb.lag import Lag
from lb.metrics import Snapshot
from lb.pump import Malformed, Pump, Resumed
from lb.ration import Ration

LOOK_AHEAD_S = 1.0
"""Between two looks at how the pipes fill."""
_PIPES_PER_S = 1000
"""So many are looked at in a second at most: each costs microseconds."""

_NEVER_NS = 1 << 62


class Reporter:
    """`snapshot` takes the numbers of this moment. `interval_s`: between two lines of statistics; 0 is off.
    `capacity_bytes`: what each pipe and lb together can hold for it before it is full. `reader_of`: who should be
    reading a pipe, as values of a line."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        pump: Pump,
        lag: Lag,
        interval_s: float,
        capacity_bytes: Sequence[int],
        reader_of: Callable[[int], Mapping[str, object]],
    ) -> None:
        self._snapshot = snapshot
        self._pump = pump
        self._lag = lag
        self._arrival = 0
        self._interval_ns = int(interval_s * 1e9)
        self._forecast = Forecast(capacity_bytes)
        self._capacity_bytes = capacity_bytes
        self._reader_of = reader_of
        self._look_ahead_ns = int(max(LOOK_AHEAD_S, len(capacity_bytes) / _PIPES_PER_S) * 1e9)
        self._first = self._before = snapshot()
        self._full_pipes = FullPipes(self._first, reader_of)
        self._malformed = Ration(lines=1)
        self._logged_layouts = 0
        self._statistics_due_ns = self._first.taken_ns + self._interval_ns if self._interval_ns else _NEVER_NS
        self._look_due_ns = self._first.taken_ns

    @property
    def deadline_ns(self) -> int:
        """When tend() has something to do next (CLOCK_MONOTONIC)."""
        return min(self._statistics_due_ns, self._look_due_ns)

    def tend(self, now_ns: int) -> None:
        """Look ahead, and log the statistics, when their time has come."""
        if now_ns < self.deadline_ns:
            return
        snapshot = self._snapshot()
        self._take_arrivals()
        if now_ns >= self._look_due_ns:
            self._look_ahead(snapshot)
            self._full_pipes.look(snapshot)
            self._look_due_ns = now_ns + self._look_ahead_ns
        if now_ns >= self._statistics_due_ns:
            statistics = snapshot.statistics(self._before) | self._lag.recent()
            logs.info("statistics", **statistics, full_in_s=self._soonest_full_s())
            self._log_layouts()
            self._before = snapshot
            self._statistics_due_ns = now_ns + self._interval_ns

    def hand_over(self) -> dict[str, Any]:
        """For adopt() in another process. How pipes fill is looked at anew there."""
        return {
            "first": self._first.hand_over(),
            "before": self._before.hand_over(),
            "full_pipes": self._full_pipes.hand_over(),
            "arrival": self._arrival,
            "lag": self._lag.hand_over(),
            "logged_layouts": self._logged_layouts,
            "statistics_due_ns": self._statistics_due_ns,
        }

    def adopt(self, handed_over: Mapping[str, Any]) -> None:
        """The whole run is that of the process."""
        self._first, self._before = (Snapshot.adopt(handed_over[name]) for name in ("first", "before"))
        self._full_pipes.adopt(handed_over["full_pipes"])
        self._arrival, self._logged_layouts = handed_over["arrival"], handed_over["logged_layouts"]
        self._lag.adopt(handed_over["lag"])
        self._statistics_due_ns = handed_over["statistics_due_ns"]

    def status(self, snapshot: Snapshot) -> dict[str, object]:
        """All that is counted, and what is expected of it."""
        return {**snapshot.status(self._capacity_bytes, self._forecast.full_in_s), "lag": self._lag.status()}

    def balance(self, now: Snapshot) -> None:
        logs.info("balance", **now.balance())

    def end(self, final: Snapshot) -> int:
        """The statistics of the whole run, the balance, and an error for each pipe whose records did not all reach a
        worker. Returns of how many pipes that is so."""
        self._full_pipes.finish(final)
        self._take_arrivals()
        logs.info("statistics", **final.statistics(self._first), **self._lag.all())
        self._log_layouts()
        if unlogged := self._malformed.left_out():
            logs.error("malformed messages not logged singly", messages=unlogged)
        undelivered = list(final.undelivered())
        for pipe in undelivered:
            logs.error("records not delivered", **pipe)
        if kept := final.spilled():
            logs.info("spilled records stay on disk for the next start", **kept)
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

    def stalled(self, pipe: int) -> None:
        logs.warning("a full pipe stops the reading", pipe=pipe, **self._reader_of(pipe))

    def resumed(self, event: Resumed) -> None:
        logs.warning("reading goes on", pipe=event.pipe, stopped_s=event.stalled_ns / 1e9)

    def _look_ahead(self, snapshot: Snapshot) -> None:
        """Warn before a pipe is full: then the feed is not read, and may take us for a slow consumer."""
        held_bytes = snapshot.held_bytes()
        for pipe, change in self._forecast.look(held_bytes, snapshot.taken_ns):
            values = {"pipe": pipe, "held_bytes": held_bytes[pipe], "capacity_bytes": self._capacity_bytes[pipe]}
            if change is Change.FILLS:
                logs.warning("a pipe fills up", full_in_s=self._forecast.full_in_s[pipe], **values)
            else:
                logs.info("a pipe fills up no more", **values)

    def _take_arrivals(self) -> None:
        arrivals = self._pump.arrivals(self._arrival)
        self._arrival = arrivals[-1].number + 1 if arrivals else self._arrival
        self._lag.take(arrivals, time.time_ns() - time.monotonic_ns())

    def _soonest_full_s(self) -> float | None:
        return min((left_s for left_s in self._forecast.full_in_s if left_s is not None), default=None)

    def _log_layouts(self) -> None:
        samples = self._pump.layouts()
        for sample in samples[self._logged_layouts :]:
            logs.info("records of this layout miss the fast path", sample=repr(sample))
        self._logged_layouts = len(samples)
