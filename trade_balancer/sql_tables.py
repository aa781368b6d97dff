"""The tables of `lb-sql`: an event each, the wire's members under the wire's names; and rows for them.

Law: no database here; what differs between them are Forms. No NumPy: SQLite's way needs the standard library alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain, pairwise
from typing import Any, Protocol

from trade_balancer.columnar.events import EVENTS, Column, Kind
from trade_balancer.columnar.symbols import Symbols
from trade_balancer.columnar.tables import Table
from trade_balancer.trading_day import TradingDay

Row = tuple[Any, ...]


class Forms(Protocol):
    """What a database takes for values that databases have no common form of."""

    @staticmethod
    def ints(value: tuple[int, ...]) -> Any: ...
    @staticmethod
    def day(value: date) -> Any: ...


_NAMES = {
    "T": "trades",
    "Q": "quotes",
    "A": "second_aggregates",
    "AM": "minute_aggregates",
    "XT": "crypto_trades",
    "XQ": "crypto_quotes",
    "C": "forex_quotes",
    "V": "index_values",
    "LULD": "price_bands",
    "FMV": "fair_market_values",
}
_KEYS = {"T": ("day", "sym", "x", "trfi", "i"), "XT": ("day", "sym", "x", "i")}
"""What tells trades apart: an id is unique with day, symbol and exchange, and with the reporting facility of those of
exchange 4, only."""

_NUL = "\0"  # no text of PostgreSQL's has it
_NO_NUL = "\N{REPLACEMENT CHARACTER}"
_BITS = [tuple(bool(byte >> bit & 1) for bit in range(8)) for byte in range(256)]
_NS_PER_MS = 1_000_000
_MOST_KNOWN_INTS = 10_000


class Day:
    """The kind of the column `day`, which no member is."""


@dataclass(frozen=True, eq=False)
class SqlTable:
    """A table: its columns with their kinds, and the columns that tell a row from all others; none: nothing does."""

    name: str
    columns: dict[str, Kind | type[Day]]
    key: tuple[str, ...] = ()

    @property
    def quoted_columns(self) -> str:
        return ", ".join(map(quoted, self.columns))


def quoted(name: str) -> str:
    """A column may be called `as`."""
    return f'"{name}"'


def _table(event: str) -> SqlTable:
    columns = {"sym" if column.kind is Kind.SYMBOL else column.name: column.kind for column in EVENTS[event]}
    return SqlTable(_NAMES[event], {"day": Day, **columns}, _KEYS.get(event, ()))


TABLES = {event: _table(event) for event in EVENTS}
OTHERS = SqlTable("others", {"received_ms": Kind.TIME_MS, "record": Kind.TEXT})
"""Records that are in no table."""


class Rows:
    """Makes rows of tables of one decoder, in the order of `SqlTable.columns`.

    In the key of trades no member is null: exchange and reporting facility are 0 where there is none, and the id is
    "q" and the sequence number (options and futures have no ids). Where that is missing, too, the id is null, and the
    trade is like no other.
    """

    def __init__(self, symbols: Symbols, day: TradingDay, forms: Forms) -> None:
        self._symbols = symbols
        self._texts: list[str] = []
        self._day = day
        self._forms = forms
        self._known_ints: dict[tuple[int, ...], Any] = {}

    def of(self, table: Table) -> list[Row]:
        columns = {column.name: self._column(table, column) for column in EVENTS[table.event]}
        for name in _KEYS.get(table.event, ()):
            if name in ("x", "trfi"):
                columns[name] = [value or 0 for value in columns[name]]
        if table.event == "T" and table.nulls("i"):
            numbers = zip(columns["i"], columns["q"], strict=True)
            columns["i"] = [f"q{q}" if i is None and q is not None else i for i, q in numbers]
        return list(zip(self._days(table, columns), *columns.values(), strict=True))

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
            self._texts += [symbol.replace(_NUL, _NO_NUL) for symbol in self._symbols[known:]]

    def _lists(self, offsets: Sequence[int], items: list[int]) -> list[Any]:
        known = self._known_ints
        if len(known) > _MOST_KNOWN_INTS:
            known.clear()
        lists = []
        for begin, end in pairwise(offsets):
            one = tuple(items[begin:end])
            if one not in known:
                known[one] = self._forms.ints(one)
            lists.append(known[one])
        return lists

    def _days(self, table: Table, columns: dict[str, list[Any]]) -> list[Any]:
        time = next(column for column in EVENTS[table.event] if column.kind in (Kind.TIME_MS, Kind.TIME_NS))
        times = columns[time.name]
        scale = _NS_PER_MS if time.kind is Kind.TIME_NS else 1
        if not table.nulls(time.name):
            least, most = min(times) // scale, max(times) // scale
            if self._day.number(least) == self._day.number(most):
                return [self._day_at(least)] * len(times)
        return [None if value is None else self._day_at(value // scale) for value in times]

    def _day_at(self, time_ms: int) -> Any:
        day = self._day.of(time_ms)
        return None if day is None else self._forms.day(day)


def other_row(record: bytes, received_ms: int) -> Row:
    """Of OTHERS; bytes that are no UTF-8 as \\xNN."""
    return received_ms, record.decode(errors="backslashreplace").replace(_NUL, _NO_NUL)


def _texts(offsets: Sequence[int], data: bytes) -> list[str]:
    if data.isascii() and b"\0" not in data:
        text = data.decode("ascii")
        return [text[begin:end] for begin, end in pairwise(offsets)]
    return [data[begin:end].decode().replace(_NUL, _NO_NUL) for begin, end in pairwise(offsets)]
