"""Whether an open session's records come as they should: not at all, a topic's no more, a gap between two sessions.

Law: reads the pump's counters and samples, and changes nothing of it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from lb import logs
from lb.config import Config
from lb.feed.gaps import Gaps
from lb.feed.mute import Mute
from lb.feed.quiet import Quiet
from lb.feed.venue import Venue
from lb.pump import Pump

GAP_LOOK_S = 1.0
"""Between two looks whether the first record of a session has come; the pump keeps it for longer."""

_NEVER_NS = 1 << 62


class Pulse:
    """`gaps`: what was not seen between sessions."""

    def __init__(self, config: Config, venue: Venue, pump: Pump) -> None:
        self._pump = pump
        self._quiet = Quiet(config)
        self._mute = Mute(config, venue.topics_of)
        self._arrival = 0
        self._gap_due_ns = _NEVER_NS
        self.gaps = Gaps(venue.sent_ns)

    def hand_over(self) -> dict[str, Any]:
        """For adopt() in another process."""
        parts = {"quiet": self._quiet.hand_over(), "mute": self._mute.hand_over(), "gaps": self.gaps.hand_over()}
        return {**parts, "arrival": self._arrival, "gap_due_ns": self._gap_due_ns}

    def adopt(self, handed_over: Mapping[str, Any]) -> None:
        for name, part in (("quiet", self._quiet), ("mute", self._mute), ("gaps", self.gaps)):
            part.adopt(handed_over[name])
        self._arrival, self._gap_due_ns = handed_over["arrival"], handed_over["gap_due_ns"]

    @property
    def due_ns(self) -> int:
        """When look() has something to do next (CLOCK_MONOTONIC)."""
        return min(self._quiet.due_ns, self._gap_due_ns)

    def want(self, topics: tuple[str, ...]) -> None:
        """These are the workers' from now on."""
        self._mute.want(topics)

    def attach(self, *, is_seamless: bool = False) -> None:
        """A session is about to begin, and the one before has ended. `is_seamless`: nothing is missing between."""
        self.look_for_gap_end(time.monotonic_ns())
        self.gaps.begin(None if is_seamless else self._pump.newest())

    def begin(self, now_ns: int) -> None:
        """A session is open."""
        self._quiet.begin(self._pump.counters().market_total, now_ns)
        self._mute.begin()
        self._gap_due_ns = now_ns

    def look(self, now_ns: int) -> float | None:
        """For how many seconds no record has come, once each time that this is too long."""
        if now_ns >= self._gap_due_ns:
            self.look_for_gap_end(now_ns)
        if now_ns < self._quiet.due_ns:
            return None
        self._look_at_topics()
        counters = self._pump.counters()
        return self._quiet.look(counters.market_total, now_ns, time.time(), is_ours=bool(counters.stopped))

    def newest(self) -> bytes:
        """A record of the newest read that has brought any, as far as the pump keeps it; b"" where there was none."""
        return b"" if (newest := self._pump.newest()) is None else newest.record

    def look_for_gap_end(self, now_ns: int) -> None:
        """Tell the gap before this session, once its first record has come."""
        self._gap_due_ns = _NEVER_NS
        if (number := self.gaps.first_number) is None:
            return
        if arrivals := self._pump.arrivals(number):
            logs.warning("gap between sessions", **self.gaps.end(arrivals[0], time.time_ns() - time.monotonic_ns()))
        else:
            self._gap_due_ns = now_ns + int(GAP_LOOK_S * 1e9)

    def _look_at_topics(self) -> None:
        arrivals = self._pump.arrivals(self._arrival)
        self._arrival = arrivals[-1].number + 1 if arrivals else self._arrival
        for topic, for_s in self._mute.look(arrivals, time.time()):
            logs.error("a topic has gone mute: others bring records", topic=topic, for_s=for_s)
