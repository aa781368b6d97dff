"""The tables of `lb-sql`: an event each, the wire's members under the wire's names.

Law: no database here.
"""

from __future__ import annotations

from dataclasses import dataclass

from trade_balancer.columnar.events import EVENTS, Column, Kind

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
KEYS = {"T": ("day", "sym", "x", "trfi", "i"), "XT": ("day", "sym", "x", "i")}
"""What tells trades apart: an id is unique with day, symbol and exchange, and with the reporting facility of those of
exchange 4, only."""

NUL = "\0"  # PostgreSQL has it in no text
NO_NUL = "\N{REPLACEMENT CHARACTER}"


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


def time_of(event: str) -> Column:
    """The member that tells a record's day."""
    return next(column for column in EVENTS[event] if column.kind in (Kind.TIME_MS, Kind.TIME_NS))


def other_text(record: bytes) -> str:
    """A record as OTHERS has it: bytes that are no UTF-8 as \\xNN."""
    return record.decode(errors="backslashreplace").replace(NUL, NO_NUL)


def _table(event: str) -> SqlTable:
    columns = {"sym" if column.kind is Kind.SYMBOL else column.name: column.kind for column in EVENTS[event]}
    return SqlTable(_NAMES[event], {"day": Day, **columns}, KEYS.get(event, ()))


TABLES = {event: _table(event) for event in EVENTS}
OTHERS = SqlTable("others", {"received_ms": Kind.TIME_MS, "record": Kind.TEXT})
"""Records that are in no table."""
