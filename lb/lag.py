"""How far the records are behind their own time: the feed's lag, from samples.

Law: pure; the clocks are the caller's. Where the feed's clock and ours differ, so does the lag: one that is negative is
told as it is.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lb.pump import Arrival

BOUNDS_MS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000)
"""Of the histogram's buckets; those at most 0 come of clocks that differ."""

_SAMPLES = ("_newest", "_recent", "_all")
MOST_KEPT = 10_000
"""Of a long run every second, then every fourth ... sample is kept."""


class Lag:
    """`sent_ns`: when the feed says that it made a record (ns since 1970), where the record tells."""

    def __init__(self, sent_ns: Callable[[bytes], int | None]) -> None:
        self._sent_ns = sent_ns
        self._newest = _Samples()
        self._recent = _Samples()
        self._all = _Samples()
        self.newest_ms: float | None = None
        """The median of those taken last."""
        self._in_bucket = [0] * (len(BOUNDS_MS) + 1)
        self._sum_ms = 0.0

    def hand_over(self) -> dict[str, Any]:
        """For adopt() in another process."""
        samples = {name: getattr(self, name).hand_over() for name in _SAMPLES}
        return {**samples, "newest_ms": self.newest_ms, "in_bucket": self._in_bucket, "sum_ms": self._sum_ms}

    def adopt(self, handed_over: Mapping[str, Any]) -> None:
        for name in _SAMPLES:
            getattr(self, name).adopt(handed_over[name])
        self.newest_ms, self._sum_ms = handed_over["newest_ms"], handed_over["sum_ms"]
        if len(handed_over["in_bucket"]) == len(self._in_bucket):  # else of a program with other bounds
            self._in_bucket = list(handed_over["in_bucket"])

    def take(self, arrivals: Iterable[Arrival], epoch_ns: int) -> None:
        """Of all that came since the last time. `epoch_ns`: what the wall clock is ahead of CLOCK_MONOTONIC."""
        self._newest = _Samples()
        for arrival in arrivals:
            sent_ns = self._sent_ns(arrival.record)
            if sent_ns is not None:
                lag_ms = (arrival.received_ns + epoch_ns - sent_ns) / 1e6
                self._in_bucket[bisect.bisect_left(BOUNDS_MS, lag_ms)] += 1
                self._sum_ms += lag_ms
                self._newest.add(lag_ms)
                self._recent.add(lag_ms)
                self._all.add(lag_ms)
        self.newest_ms = self._newest.percentile(0.5)

    def recent(self) -> dict[str, object]:
        """The values of a line of statistics, since the last one; None where no record has told its time."""
        samples, self._recent = self._recent, _Samples()
        return samples.values()

    def all(self) -> dict[str, object]:
        """... of the whole run."""
        return self._all.values()

    def status(self) -> dict[str, object]:
        """What was taken the last time, and the whole run as a histogram: how many samples each of `bounds_ms` was not
        exceeded by since the bound before, and how many exceeded the last."""
        return {
            **self._newest.values(),
            "sum_ms": self._sum_ms,
            "bounds_ms": BOUNDS_MS,
            "samples": self._in_bucket,
        }


class _Samples:
    def __init__(self) -> None:
        self._kept: list[float] = []
        self._stride = 1
        self._left_out = 0

    def add(self, lag_ms: float) -> None:
        self._left_out += 1
        if self._left_out < self._stride:
            return
        self._left_out = 0
        self._kept.append(lag_ms)
        if len(self._kept) >= MOST_KEPT:
            del self._kept[::2]
            self._stride *= 2

    def hand_over(self) -> list[Any]:
        return [self._stride, self._left_out, self._kept]

    def adopt(self, handed_over: Sequence[Any]) -> None:
        self._stride, self._left_out, kept = handed_over
        self._kept = list(kept)

    def values(self) -> dict[str, object]:
        return {"lag_p50_ms": self.percentile(0.5), "lag_p99_ms": self.percentile(0.99)}

    def percentile(self, share: float) -> float | None:
        """The least value that `share` of all do not exceed; None where there is none."""
        ordered = sorted(self._kept)
        return round(ordered[math.ceil(share * len(ordered)) - 1], 3) if ordered else None
