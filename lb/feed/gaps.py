"""What was not seen between two sessions: from the last record of one to the first of the next.

Law: no I/O; the clocks are the caller's. Sessions that brought no record are part of the gap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from lb import logs
from lb.pump import Arrival

MOST_KEPT = 32


class Gaps:
    """`sent_ns`: when the feed says that it made a record (ns since 1970), where the record tells."""

    def __init__(self, sent_ns: Callable[[bytes], int | None]) -> None:
        self._sent_ns = sent_ns
        self._last: Arrival | None = None
        self.gaps_total = 0
        self.gap_s = 0.0
        """All of them together, by our clock."""
        self._newest: deque[dict[str, object]] = deque(maxlen=MOST_KEPT)

    @property
    def first_number(self) -> int | None:
        """Of the arrival that ends the gap, or of one after it; None where there is no gap."""
        return None if self._last is None else self._last.number

    def begin(self, newest: Arrival | None) -> None:
        """A session begins. `newest`: the last record of those before; None: there was none."""
        self._last = newest

    def hand_over(self) -> dict[str, Any]:
        """For adopt() in another process."""
        last = self._last
        return {
            "last": None if last is None else [last.number, last.received_ns, last.record.decode("latin-1")],
            "gaps_total": self.gaps_total,
            "gap_s": self.gap_s,
            "newest": list(self._newest),
        }

    def adopt(self, handed_over: Mapping[str, Any]) -> None:
        if handed_over["last"] is not None:
            number, received_ns, record = handed_over["last"]
            self._last = Arrival(number, received_ns, record.encode("latin-1"))
        self.gaps_total, self.gap_s = handed_over["gaps_total"], handed_over["gap_s"]
        self._newest.extend(handed_over["newest"])

    def status(self) -> dict[str, object]:
        """What there is to tell; of the newest MOST_KEPT gaps what end() returned, the oldest first."""
        return {"gaps": [*self._newest], "gaps_total": self.gaps_total, "gap_s": self.gap_s}

    def end(self, first: Arrival, epoch_ns: int) -> dict[str, object]:
        """Its first record has come. Returns the gap's length and its two ends by our clock, and by the feed's own,
        where both records tell. `epoch_ns`: what the wall clock is ahead of CLOCK_MONOTONIC."""
        last, self._last = self._last, None
        assert last is not None
        received_ns = last.received_ns + epoch_ns, first.received_ns + epoch_ns
        self.gaps_total += 1
        self.gap_s += (first.received_ns - last.received_ns) / 1e9
        sent_ns = self._sent_ns(last.record), self._sent_ns(first.record)
        self._newest.append(_ends("received", *received_ns) | _ends("sent", *sent_ns))
        return self._newest[-1]


def _ends(what: str, last_ns: int | None, first_ns: int | None) -> dict[str, object]:
    if last_ns is None or first_ns is None:
        return {}
    return {f"{what}_s": (first_ns - last_ns) / 1e9, f"last_{what}": _time(last_ns), f"first_{what}": _time(first_ns)}


def _time(since_1970_ns: int) -> str:
    return logs.utc(datetime.fromtimestamp(since_1970_ns / 1e9, UTC))
