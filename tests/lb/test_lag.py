"""How far records are behind their own time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.feed.venues.polygon import sent_ns
from lb.lag import BOUNDS_MS, MOST_KEPT, Lag
from lb.pump import Arrival

EPOCH_NS = 1_700_000_000_000_000_000


def lag_of(*lags_ms: float) -> Lag:
    """After records that came so long after their own time."""
    lag = Lag(int)
    lag.take([arrival(100_000_000, b"%d" % (EPOCH_NS + 100_000_000 - int(ms * 1e6))) for ms in lags_ms], EPOCH_NS)
    return lag


def arrival(received_ns: int, record: bytes) -> Arrival:
    return Arrival(0, received_ns, record)


def test_nothing_sampled_is_told_as_such() -> None:
    assert lag_of().recent() == {"lag_p50_ms": None, "lag_p99_ms": None}
    lag = Lag(sent_ns)
    lag.take([arrival(1, b'{"ev":"A","sym":"AAPL","s":1622376036000,"e":1622376037000}')], EPOCH_NS)
    assert lag.recent() == lag.all() == {"lag_p50_ms": None, "lag_p99_ms": None}


@given(st.lists(st.integers(-5000, 5000), min_size=1, max_size=300))
def test_percentiles_are_values_that_so_many_do_not_exceed(lags_ms: list[int]) -> None:
    values = lag_of(*lags_ms).recent()
    for name, share in (("lag_p50_ms", 0.5), ("lag_p99_ms", 0.99)):
        value = values[name]
        assert value in lags_ms
        assert sum(ms <= value for ms in lags_ms) >= share * len(lags_ms)
        assert sum(ms < value for ms in lags_ms) < share * len(lags_ms)


def test_a_clock_that_is_behind_shows_as_a_negative_lag() -> None:
    assert lag_of(-250.5).recent() == {"lag_p50_ms": -250.5, "lag_p99_ms": -250.5}


def test_a_line_tells_of_the_time_since_the_one_before_and_the_last_line_of_all() -> None:
    lag = lag_of(1, 2, 3)
    assert lag.recent()["lag_p50_ms"] == 2
    assert lag.recent()["lag_p50_ms"] is None
    lag.take([arrival(0, b"%d" % (EPOCH_NS - 9_000_000))], EPOCH_NS)
    assert lag.recent()["lag_p50_ms"] == 9
    assert lag.all() == {"lag_p50_ms": 2, "lag_p99_ms": 9}


@given(st.lists(st.integers(-5000, 90_000), max_size=200))
def test_the_histogram_has_each_sample_once_below_the_first_bound_that_it_does_not_exceed(lags_ms: list[int]) -> None:
    status = lag_of(*lags_ms).status()
    samples, bounds_ms = status["samples"], [*BOUNDS_MS, float("inf")]
    assert isinstance(samples, list)
    assert sum(samples) == len(lags_ms)
    for number, bound_ms in enumerate(bounds_ms):
        assert sum(samples[: number + 1]) == sum(ms <= bound_ms for ms in lags_ms)
    assert status["sum_ms"] == pytest.approx(sum(lags_ms))


def test_a_long_run_needs_no_more_memory_and_forgets_no_part_of_it() -> None:
    lag = lag_of(*range(8 * MOST_KEPT))
    assert lag.all()["lag_p50_ms"] == pytest.approx(4 * MOST_KEPT, rel=0.01)
    assert lag.all()["lag_p99_ms"] == pytest.approx(7.92 * MOST_KEPT, rel=0.01)
    assert len(lag._all._kept) <= MOST_KEPT


@pytest.mark.parametrize(
    ("record", "time_ns"),
    [
        (b'{"ev":"T","sym":"AAPL","i":"1","x":4,"p":297.845,"s":40,"t":1781622376036,"pt":1781622376029,"q":1,"z":3}',
         1781622376036000000),
        (b'{"ev":"LULD","h":3.63,"l":2.97,"i":[15],"z":3,"T":"ATHR","t":1788877046310003385,"q":3209681}',
         1788877046310003385),
        (b'{"ev":"FMV","fmv":509.917,"sym":"MSFT","t":1760646477151120843}', 1760646477151120843),
        (b'{"ev":"XT","pair":"BTC-USD","t": 1706649628023 , "r":1706649628068}', 1706649628023000000),
        (b'{"ev":"V","val":3988.5,"T":"I:SPX","t":1678220098130}', 1678220098130000000),
        (b'{"ev":"A","sym":"FCX","v":4989,"s":1788877046000,"e":1788877047000}', None),
        (b'{"ev":"T","sym":"AAPL","trft":1781622376036,"pt":1781622376029}', None),
        (b'{"ev":"T","t":null}', None),
        (b'{"ev":"T","t":"1781622376036"}', None),
        (b'{"ev":"T","t":17816223760}', None),
        (b'{"ev":"T","sym":"AAPL","t":1781622376036', None),
        (b'{"ev":"T","x":"\\"t\\":1781622376036,"}', None),
    ],
)  # fmt: skip
def test_the_time_that_a_record_tells(record: bytes, time_ns: int | None) -> None:
    """In ms or in ns; cut off, it is none."""
    assert sent_ns(record) == time_ns
