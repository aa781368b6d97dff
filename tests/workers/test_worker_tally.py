"""What the summary says of a worker's input."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from trade_balancer.tally import Tally


def lag_of(record: bytes) -> dict[str, int | None]:
    tally = Tally()
    tally.note_lag([record])
    lag_ms: dict[str, int | None] = tally.summary()["lag_ms"]
    return lag_ms


def test_the_lag_is_the_wall_clock_minus_t_in_ms_or_ns() -> None:
    before_ms = time.time_ns() // 1_000_000
    for stamp in (before_ms - 500, (before_ms - 500) * 1_000_000, float(before_ms - 500)):
        lag_ms = lag_of(b'{"t":%s}' % str(stamp).encode())
        after_ms = time.time_ns() // 1_000_000
        assert lag_ms["max"] is not None
        assert 500 <= lag_ms["max"] <= 500 + after_ms - before_ms


def test_a_batch_whose_last_record_has_no_usable_t_has_no_lag() -> None:
    for record in (b"{}", b'{"t":null}', b'{"t":"1"}', b'{"t":[1]}', b"[1]", b"7", b"{", b""):
        assert lag_of(record) == {"p50": None, "p99": None, "max": None}


def test_the_lag_of_the_last_record_stands_for_the_batch() -> None:
    tally = Tally()
    tally.note_lag([b"not looked at"] * 4 + [b'{"t":1}'])
    assert list(tally.lags_ms.values()) == [5]


@given(st.lists(st.tuples(st.integers(-50, 999), st.integers(1, 9)), min_size=1), st.data())
def test_percentiles_weigh_every_record_and_tallies_add_up(batches: list[tuple[int, int]], data: st.DataObject) -> None:
    parts = [Tally() for _ in range(3)]
    for lag_ms, records in batches:
        parts[data.draw(st.integers(0, 2))].lags_ms[lag_ms] += records
    total = Tally()
    for part in parts:
        total.add(part)
    every = sorted(lag_ms for lag_ms, records in batches for _ in range(records))
    assert total.summary()["lag_ms"] == {
        "p50": every[-(-50 * len(every) // 100) - 1],
        "p99": every[-(-99 * len(every) // 100) - 1],
        "max": every[-1],
    }


def test_long_lags_are_kept_to_three_digits() -> None:
    tally = Tally()
    now_ms = time.time_ns() // 1_000_000
    for lag_ms in range(100_000, 200_000, 7):
        tally.note_lag([b'{"t":%d}' % (now_ms - lag_ms)])
    assert len(tally.lags_ms) <= 110
    assert all(lag_ms % 1000 == 0 for lag_ms in tally.lags_ms)
