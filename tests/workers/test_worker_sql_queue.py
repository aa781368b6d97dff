"""Rows on their way to a database that comes and goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trade_balancer.acknowledgement import Unfinished
from trade_balancer.errors import OutputError
from trade_balancer.sql_progress import Progress, Step
from trade_balancer.sql_queue import RowQueue
from trade_balancer.sql_store import Store, StoreGoneError, Waiting
from trade_balancer.sql_tables import TABLES

MOST_ROWS = 50_000


class Moment:
    """A clock that goes on only by sleeping."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def sleep(self, s: float) -> None:
        assert s > 0
        self.now_s += s


class ListStore(Store):
    """Away for as many attempts as told; keeps what it was given."""

    name = "a list"

    def __init__(self, away: Sequence[int]) -> None:
        self.kept: list[Any] = []
        self.transactions: list[int] = []
        self._away = [attempt for count in away for attempt in ([True] * count + [False])]

    def rows(self, *_: object) -> Any: ...
    def other_rows(self, *_: object) -> Any: ...
    def open(self) -> None: ...
    def close(self) -> None: ...

    def stored(self, run: str) -> dict[int, int]:
        return {}

    def write(self, rows: Waiting, steps: Sequence[Step] = ()) -> int:
        if self._away and self._away.pop(0):
            raise StoreGoneError("a list is away")
        added = [row for batches in rows.values() for some in batches for row in some]
        self.kept += added
        self.transactions.append(len(added))
        return len(added)


@given(
    st.lists(st.integers(0, 12), max_size=8),
    st.lists(st.tuples(st.integers(1, 9000), st.sampled_from([0.0, 0.01, 0.6, 3.0])), max_size=30),
)
def test_every_row_arrives_once_and_in_order_and_few_are_kept(away: list[int], puts: list[tuple[int, float]]) -> None:
    moment, store = Moment(), ListStore(away)
    queue = RowQueue(store, Progress(Unfinished(), "", {}), MOST_ROWS, 1e9, lambda: moment.now_s, moment.sleep)
    number = 0
    for count, pause_s in puts:
        queue.put([(TABLES["T"], [(number + row,) for row in range(count)])], {})
        number += count
        queue.tick()
        assert queue.rows < MOST_ROWS
        assert queue.rows + queue.stored_total == number
        moment.now_s += pause_s
    queue.finish()
    assert store.kept == [(row,) for row in range(number)]
    assert (queue.rows, queue.stored_total, queue.added_total) == (0, number, number)
    assert max(store.transactions, default=0) < 20_000 + 9000


def test_rows_wait_a_second_for_others() -> None:
    moment, store = Moment(), ListStore([])
    queue = RowQueue(store, Progress(Unfinished(), "", {}), MOST_ROWS, 0, lambda: moment.now_s, moment.sleep)
    queue.put([(TABLES["T"], [(1,)])], {})
    queue.tick()
    assert store.kept == []
    moment.now_s += 1
    queue.tick()
    assert store.kept == [(1,)]


def test_what_is_away_at_the_end_is_given_up_in_time(capsys: pytest.CaptureFixture[str]) -> None:
    moment, store = Moment(), ListStore([1000])
    queue = RowQueue(store, Progress(Unfinished(), "", {}), MOST_ROWS, 30, lambda: moment.now_s, moment.sleep)
    queue.put([(TABLES["T"], [(1,), (2,)])], {})
    with pytest.raises(OutputError, match="a list is away; given up after 30 s"):
        queue.finish()
    assert queue.rows == 2
    assert 130 <= moment.now_s <= 136
    assert capsys.readouterr().err.count("a list is away; trying again") == 1
