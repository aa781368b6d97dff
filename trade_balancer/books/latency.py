"""How long something took: a histogram. Law: pure; the clocks are the caller's."""

from __future__ import annotations

import bisect

BOUNDS_S = (0.0, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Of the buckets; those at most 0 come of clocks that differ."""


class Latency:
    """`samples`: how many each of BOUNDS_S was not exceeded by since the bound before, and how many were above the
    last."""

    def __init__(self) -> None:
        self.samples = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0

    def add(self, took_s: float) -> None:
        self.samples[bisect.bisect_left(BOUNDS_S, took_s)] += 1
        self.sum_s += took_s
