"""Rows as Python's tuples, for databases that take such.

Law: the standard library alone, no NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from itertools import chain, pairwise
from typing import Any

from trade_balancer.columnar.events import EVENTS, Column, Kind
from trade_balancer.columnar.symbols import Symbols
from trade_balancer.columnar.tables import Table
from trade_balancer.sql_store import Store
from trade_balancer.sql_tables import KEYS, NO_NUL, NUL, other_text, time_of
from trade_balancer.zones import Zone

Row = tuple[Any, ...]

_BITS = [tuple(bool(byte >> bit & 1) for bit in range(8)) for byte in range(256)]
_NS_PER_MS = 1_000_000
_MOST_KNOWN_LISTS = 10_000


class RowStore(Store):
    """A database that takes them."""

    def rows(self, symbols: Symbols, zone: Zone) -> Callable[[Table, int], Sized]:
        return Rows(symbols, zone).of

    def other_rows(self, records: Sequence[bytes], received_ms: int) -> Sized:
        return [(received_ms, other_text(record)) for record in records]


class Rows:
    """Makes rows of tables of one decoder, in the order of `SqlTable.columns`: days as YYYY-MM-DD, lists as JSON."""

    def __init__(self, symbols: Symbols, zone: Zone) -> None:
        self._symbols = symbols
        self._texts: list[str] = []
        self._zone = zone
        self._known_lists: dict[tuple[int, ...], str] = {}

    def of(self, table: Table, first_row: int = 0) -> list[Row]:
        columns = {column.name: self._column(table, column) for column in EVENTS[table.event]}
        for name in KEYS.get(table.event, ()):
            if name in ("x", "trfi"):
                columns[name] = [value or 0 for value in columns[name]]
        if table.event == "T" and table.nulls("i"):
            numbers = zip(columns["i"], columns["q"], strict=True)
            columns["i"] = [f"q{q}" if i is None and q is not None else i for i, q in numbers]
        return list(zip(self._days(table, columns), *columns.values(), strict=True))[first_row:]

    def _column(self, table: Table, column: Column) -> list[Any]:
        rows, nulls = len(table), table.nulls(column.name)
        if nulls == rows:
            return [None] * rows
        values = self._values(table, column)
        bitmap = table.validity(column.name)
        if bitmap is None:
            return values
        present = chain.from_iterable(map(_BITS.__getitem__, bitmap))
        return [value if has else None for value, has in zip(values, present, strict=False)]

    def _values(self, table: Table, column: Column) -> list[Any]:
        values = table.view(column.name).tolist()
        match column.kind:
            case Kind.SYMBOL:
                self._learn_symbols()
                return [self._texts[code] for code in values]
            case Kind.TEXT:
                return _texts(values, bytes(table.more(column.name)))
            case Kind.INTS:
                return self._lists(values, table.more(column.name).tolist())
            case Kind.BOOL:
                return list(map(bool, values))
        return values

    def _learn_symbols(self) -> None:
        known = len(self._texts)
        if known < len(self._symbols):
            self._texts += [symbol.replace(NUL, NO_NUL) for symbol in self._symbols[known:]]

    def _lists(self, offsets: Sequence[int], items: list[int]) -> list[Any]:
        known = self._known_lists
        if len(known) > _MOST_KNOWN_LISTS:
            known.clear()
        lists = []
        for begin, end in pairwise(offsets):
            one = tuple(items[begin:end])
            if one not in known:
                known[one] = f"[{','.join(map(str, one))}]"
            lists.append(known[one])
        return lists

    def _days(self, table: Table, columns: dict[str, list[Any]]) -> list[str | None]:
        time = time_of(table.event)
        times = columns[time.name]
        scale = _NS_PER_MS if time.kind is Kind.TIME_NS else 1
        if not table.nulls(time.name):
            least, most = min(times) // scale, max(times) // scale
            if self._zone.day(least) == self._zone.day(most):
                return [self._day_at(least)] * len(times)
        return [None if value is None else self._day_at(value // scale) for value in times]

    def _day_at(self, time_ms: int) -> str | None:
        day = self._zone.date(time_ms)
        return None if day is None else day.isoformat()


def _texts(offsets: Sequence[int], data: bytes) -> list[str]:
    if data.isascii() and b"\0" not in data:
        text = data.decode("ascii")
        return [text[begin:end] for begin, end in pairwise(offsets)]
    return [data[begin:end].decode().replace(NUL, NO_NUL) for begin, end in pairwise(offsets)]
