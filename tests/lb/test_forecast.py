"""When a pipe will be full."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.forecast import Change, Forecast

S = 1_000_000_000
SIZE = 1_000_000


def looked(*held: int) -> tuple[Forecast, list[Change]]:
    """A forecast of one pipe that held so much, second by second, and what was told."""
    forecast = Forecast([SIZE])
    changes = [change for second, bytes_ in enumerate(held) for _, change in forecast.look([bytes_], second * S)]
    return forecast, changes


def test_a_pipe_that_fills_steadily_is_full_when_its_rate_says() -> None:
    forecast, _ = looked(*range(0, 500_001, 10_000))
    assert forecast.full_in_s == [pytest.approx(50.0, rel=0.01)]


def test_a_pipe_that_is_read_as_fast_as_it_is_written_never_is() -> None:
    assert looked(*[300_000] * 30)[0].full_in_s == [None]
    assert looked(300_000, 200_000, 100_000)[0].full_in_s == [None]
    assert looked(0, 0)[0].full_in_s == [None]


def test_a_full_pipe_is_full_now() -> None:
    assert looked(0, SIZE, SIZE)[0].full_in_s == [0.0]


def test_it_is_told_once_and_once_that_it_is_over() -> None:
    up, down = range(0, SIZE, 50_000), range(SIZE, -1, -200_000)
    assert looked(*up)[1] == [Change.FILLS]
    assert looked(*up, *down)[1] == [Change.FILLS, Change.EASED]
    assert looked(*up, *down, *up)[1] == [Change.FILLS, Change.EASED, Change.FILLS]


def test_a_burst_into_an_empty_pipe_is_not_told() -> None:
    assert looked(0, 90_000, 0, 90_000, 0)[1] == []


@given(st.lists(st.integers(0, SIZE), max_size=60))
def test_told_and_over_take_turns(held: list[int]) -> None:
    changes = looked(*held)[1]
    assert changes == [Change.FILLS, Change.EASED] * (len(changes) // 2) + [Change.FILLS] * (len(changes) % 2)
