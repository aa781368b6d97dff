"""How long to wait before the next try. Law: pure; the clock and the dice are the caller's."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass
class Backoff:
    """Exponential back-off with full jitter: the n-th delay is drawn between `least_s` and least_s * 2^n, at most
    `most_s`."""

    least_s: float
    most_s: float
    dice: random.Random = field(default_factory=random.Random)
    failures: int = 0

    def next_delay_s(self, at_least_s: float = 0.0) -> float:
        """The delay before the next try, after one more failure. `at_least_s` raises both bounds to at least that."""
        self.failures += 1
        floor_s = max(self.least_s, at_least_s)
        doublings = min(self.failures, 32)  # 2.0 ** 1024 would overflow after months of failures
        ceiling_s = min(self.most_s, self.least_s * 2.0**doublings)
        return self.dice.uniform(floor_s, max(floor_s, ceiling_s))

    def reset(self) -> None:
        self.failures = 0
