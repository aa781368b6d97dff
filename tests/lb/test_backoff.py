"""The back-off: exponential, with full jitter, between its bounds."""

from __future__ import annotations

import random

import pytest

from lb.backoff import Backoff
from lb.feed.venues.polygon import MAX_CONNECTIONS_LEAST_DELAY_S


class Loaded(random.Random):
    """Dice that always show one end of what is asked of them."""

    def __init__(self, *, high: bool) -> None:
        super().__init__()
        self._high = high

    def uniform(self, a: float, b: float) -> float:
        return b if self._high else a


def test_the_longest_delay_doubles_from_500_ms_to_30_s() -> None:
    backoff = Backoff(0.25, 30.0, Loaded(high=True))
    assert [backoff.next_delay_s() for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_the_shortest_delay_stays_250_ms() -> None:
    backoff = Backoff(0.25, 30.0, Loaded(high=False))
    assert [backoff.next_delay_s() for _ in range(9)] == [0.25] * 9


def test_any_delay_between_the_two_is_drawn() -> None:
    backoff = Backoff(0.25, 30.0, random.Random(1))
    for _ in range(20):
        backoff.next_delay_s()
    delays_s = [backoff.next_delay_s() for _ in range(2000)]
    assert all(0.25 <= delay_s <= 30 for delay_s in delays_s)
    assert min(delays_s) < 0.5
    assert max(delays_s) > 29.5


def test_after_max_connections_the_delay_is_at_least_10_s() -> None:
    assert MAX_CONNECTIONS_LEAST_DELAY_S == 10
    least = Backoff(0.25, 30.0, Loaded(high=False))
    most = Backoff(0.25, 30.0, Loaded(high=True))
    assert [least.next_delay_s(10.0) for _ in range(3)] == [10, 10, 10]
    assert [most.next_delay_s(10.0) for _ in range(8)] == [10, 10, 10, 10, 10, 16, 30, 30]


def test_a_reset_begins_again() -> None:
    backoff = Backoff(0.25, 30.0, Loaded(high=True))
    for _ in range(9):
        backoff.next_delay_s()
    backoff.reset()
    assert backoff.next_delay_s() == 0.5


@pytest.mark.parametrize("failures", [31, 32, 33, 5000, 10**9])
def test_months_of_failures_overflow_nothing(failures: int) -> None:
    assert Backoff(0.25, 30.0, Loaded(high=True), failures).next_delay_s() == 30
