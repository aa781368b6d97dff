"""The tables of a batch, one class for each kind of event.

Law: nothing is copied. A column is looked at where C wrote it; NumPy's arrays come from arrays.py, Arrow's from
arrow.py, and only those who ask for them need NumPy or a library that takes Arrow.

Where the members come from: the vendor's documents (https://massive.com/docs/websocket), and records seen on the wire,
2019 to 2026; what of a member is known from where, stands in `trade_balancer.typed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from trade_balancer.columnar import arrow
from trade_balancer.columnar._columns import lib
from trade_balancer.columnar.events import Column, Kind
from trade_balancer.columnar.memory import Block

if TYPE_CHECKING:
    from trade_balancer.columnar.decoder import Decoder
    from trade_balancer.columnar.symbols import Symbols

_ITEMS = {
    "SYMBOL": (4, "i"),
    "INT32": (4, "i"),
    "INT64": (8, "q"),
    "FLOAT64": (8, "d"),
    "EXACT": (8, "q"),
    "BOOL": (1, "b"),
    "TEXT": (4, "i"),
    "INTS": (4, "i"),
}
"""Bytes and struct's letter of what a column has for each row: a value or an offset."""

_LISTS = (Kind.TEXT, Kind.INTS)
_MORE = {"EXACT": (2, "h"), "TEXT": (1, "B"), "INTS": (4, "i")}
"""The same of what it has besides."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a column is in every block of a decoder, in bytes; `number` is its own in the table.

    `letter` is struct's of what it has for each row. `is_plain`: that is all of it.
    """

    number: int
    kind: Kind
    values: int
    more: int
    validity: int
    letter: str
    is_plain: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """Where an event's table is, the columns in the order in which they were chosen."""

    number: int
    order: int
    places: dict[str, Place]


def layouts(tables: Mapping[str, Sequence[Column]], block: Block) -> dict[str, Layout]:
    """The layout of each event's table; `block` is any of the decoder's."""
    found = {}
    for number, (event, columns) in enumerate(tables.items()):
        table = lib.columns_block_table(block.pointer, number)
        places = {}
        for column_number, column in enumerate(columns):
            pointers = table.column[column_number]
            places[column.name] = Place(
                column_number,
                column.kind,
                block.offset_bytes(pointers.values),
                block.offset_bytes(pointers.more) if column.kind.in_memory in _MORE else 0,
                block.offset_bytes(pointers.validity),
                _ITEMS[column.kind.in_memory][1],
                column.kind.in_memory not in _MORE,
            )
        found[event] = Layout(number, block.offset_bytes(table.order), places)
    return found


class Table:
    """Rows of one event, in the order of their pipe; `len(table)` of them, in the columns that were chosen (`names`).

    `table[name]` is a column. With NumPy (the extra `columns`), by the kind of its member:

    - numbers: an array, int32 or int64, or float64 for decimals: the double nearest to what was written.
    - times: int64, counted since 1970-01-01 UTC in the unit that `unit(name)` names.
    - symbols: int32 codes; `symbols[code]` is the text.
    - texts: `Texts`; lists of integers: `Lists`; decimals by their exact value, asked for as "p.exact": `Exacts`.
    - booleans: int8, 0 or 1.

    Where a record lacks a member, or has null for it, the column has 0, NaN, an empty text or list, and `valid(name)`
    tells. The arrays are read-only views without a copy, which keep the batch's memory alive.

    The table is an Arrow array of its own (a struct; also a stream of one): `pyarrow.table(table)`,
    `polars.DataFrame(table)`, DuckDB and pandas take it without a copy. Symbols are dictionaries there, times
    timestamps in UTC, lists lists, exact values structs of mantissa and exponent, and nulls nulls.
    """

    __slots__ = ("_block", "_columns", "_decoder", "_layout", "_rows", "event")

    def __init__(self, decoder: Decoder, block: Block, event: str) -> None:
        self._decoder = decoder
        self._block = block
        self._layout = decoder.layouts[event]
        table = lib.columns_block_table(block.pointer, self._layout.number)
        self._columns = table.column
        self._rows = int(table.rows)
        self.event = event

    def __len__(self) -> int:
        return self._rows

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns, in the order in which they were chosen."""
        return tuple(self._layout.places)

    @property
    def symbols(self) -> Symbols:
        """`symbols[code]` for the codes in columns of symbols."""
        return self._decoder.symbols

    @property
    def order(self) -> memoryview:
        """Of each row, how many records of the batch, of any event, came before it (uint32)."""
        return self._block.view(self._layout.order, self._rows, 4, "I")

    def __getitem__(self, name: str) -> Any:
        """The column as NumPy arrays, see above.

        Raises:
            KeyError: it was not chosen, or the event has none of that name.
            MissingExtraError: NumPy is not installed.
        """
        return _arrays().column(self._block.memory, self._place(name), self._rows)

    def valid(self, name: str) -> Any:
        """Which rows have a value: an array of bool; None where all have.

        Raises:
            KeyError, MissingExtraError: as above.
        """
        arrays, bitmap = _arrays(), self.validity(name)
        return None if bitmap is None else arrays.valid(bitmap, self._rows)

    def view(self, name: str) -> memoryview[Any]:
        """What the column has for each row, without NumPy: values (`.tolist()` makes Python's numbers of them).

        Of exact values these are the mantissas, of texts and lists the offsets, one more than rows, into `more(name)`.
        """
        place = self._place(name)
        count = self._rows + (place.kind in _LISTS)
        return self._block.view(place.values, count, *_ITEMS[place.kind.in_memory])

    def more(self, name: str) -> memoryview:
        """Of exact values the exponents of ten (int16), of texts their UTF-8 bytes, of lists their items (int32).

        Raises:
            KeyError: it is no such column.
        """
        place = self._place(name)
        if place.kind.in_memory not in _MORE:
            raise KeyError(f"{name}: a column of {place.kind.name} has no more than its values")
        count = self._rows if place.kind is Kind.EXACT else self.view(name)[-1]
        return self._block.view(place.more, count, *_MORE[place.kind.in_memory])

    def nulls(self, name: str) -> int:
        """How many rows have no value."""
        return int(self._columns[self._place(name).number].nulls)

    def validity(self, name: str) -> memoryview | None:
        """Arrow's bitmap of the rows that have a value, a bit each, the lowest of a byte first; None where all have."""
        return self._block.view(self._place(name).validity, (self._rows + 7) // 8, 1, "B") if self.nulls(name) else None

    def has(self, row: int, name: str) -> bool:
        """Whether the row, counted from 0, has a value there."""
        bitmap = self.validity(name)
        return bitmap is None or bool(bitmap[row // 8] >> row % 8 & 1)

    def kind(self, name: str) -> Kind:
        """What its values are: `columnar.events.Kind`. KeyError as above."""
        return self._place(name).kind

    def unit(self, name: str) -> str | None:
        """Of a column of times: "ms" or "ns" since 1970-01-01 UTC; None of any other."""
        return self.kind(name).unit

    def hand_to_bars(self, bars: Any, columns: Mapping[str, int]) -> None:
        """For `BarMaker`: `bars` is C's, `columns` the number of the column for each role, -1 for none."""
        if lib.bars_add(bars, self._block.pointer, self._layout.number, [dict(columns)]) < 0:
            raise MemoryError("no memory for bars")

    def hand_to_pgcopy(self, copy: Any, row: Any, to: Any, room_bytes: int) -> int:
        """For `CopyRows`: as pgcopy_rows() in csrc/pgcopy.h, which has `copy`."""
        decoder, block = self._decoder.pointer, self._block.pointer
        return int(lib.pgcopy_rows(copy, decoder, block, self._layout.number, row, to, room_bytes))

    def __arrow_c_schema__(self) -> object:
        return arrow.schema(self._decoder.pointer, self._layout.number)

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        """Another schema than the table's own is not made: the consumer casts (the protocol allows that)."""
        array = arrow.array(self._decoder.pointer, self._block.pointer, self._layout.number)
        return self.__arrow_c_schema__(), array

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return arrow.stream(self._decoder.pointer, self._block.pointer, self._layout.number)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} ({self.event}): {len(self)} rows of {', '.join(self.names)}>"

    def _place(self, name: str) -> Place:
        try:
            return self._layout.places[name]
        except KeyError:
            raise KeyError(f"{name}: {self.event} was decoded into {', '.join(self.names)}") from None


@cache
def _arrays() -> Any:
    """NumPy is imported by who asks for it, and found once: an import costs as much as a view."""
    from trade_balancer.columnar import arrays

    return arrays


class Trades(Table):
    """`T`: trades of stocks and options.

    | member | what it is | column |
    |---|---|---|
    | sym | ticker | symbol |
    | i | trade's id, unique with ticker, exchange and TRF only; a number in 2019 | text |
    | x | exchange's id (4: a trade reporting facility) | int32 |
    | p | price, USD | decimal |
    | s | size in shares; 0 or the whole part where ds has a fraction | decimal |
    | c | conditions | integers |
    | t | time of the SIP, ms | time |
    | pt | time of the participant, ms (since 2026) | time |
    | q | sequence number per symbol; repeats, goes backward, begins anew each day | int64 |
    | z | tape: 1 NYSE, 2 AMEX, 3 Nasdaq | int32 |
    | trfi, trft | trade reporting facility's id, and its time in ms; of x 4 only | int32, time |
    | ds | size with its fraction: a decimal in a string (since 2026) | decimal |
    """

    __slots__ = ()


class Quotes(Table):
    """`Q`: best bid and offer of stocks and options. A one-sided quote lacks the other side's members.

    | member | what it is | column |
    |---|---|---|
    | sym | ticker | symbol |
    | c | conditions, also a single one | integers |
    | i | indicators | integers |
    | bx, ax | bid's and ask's exchange | int32 |
    | bp, ap | bid and ask price, USD | decimal |
    | bs, as | bid and ask size: of stocks in round lots by the documents, of others in contracts | decimal |
    | t | time of the SIP, ms | time |
    | pt | time of the participant, ms (since 2026) | time |
    | q | sequence number | int64 |
    | z | tape | int32 |
    | bt, at | time of bid and ask, ms; of futures | time |
    """

    __slots__ = ()


class Aggregates(Table):
    """`A` and `AM`: the vendor's bars of a second and of a minute, each event a table of its own.

    | member | what it is | column |
    |---|---|---|
    | sym | ticker | symbol |
    | v, av | volume of the bar, and of the day so far | decimal |
    | op | the day's official opening price | decimal |
    | vw, a | volume-weighted average price of the bar, and of the day | decimal |
    | o, c, h, l | open, close, high, low | decimal |
    | z | average trade size | decimal |
    | s, e | begin and end, ms | time |
    | dv, dav | v and av with fractions: decimals in strings (since 2026) | decimal |
    | n | trades in the bar; of futures | int64 |
    | otc | true for OTC tickers, else absent | boolean |
    """

    __slots__ = ()


class CryptoTrades(Table):
    """`XT`: trades of crypto-currencies.

    | member | what it is | column |
    |---|---|---|
    | pair | as BTC-USD | symbol |
    | p, s | price, and size in the first currency | decimal |
    | t | time of the exchange, ms | time |
    | c | conditions: 1 sold, 2 bought | integers |
    | i | trade's id | text |
    | x | exchange's id | int32 |
    | r | time of receipt by the vendor, ms | time |
    """

    __slots__ = ()


class CryptoQuotes(Table):
    """`XQ`: best bid and offer of crypto-currencies.

    | member | what it is | column |
    |---|---|---|
    | pair | as BTC-USD | symbol |
    | lp, ls | last price and size; undocumented | decimal |
    | bp, bs, ap, as | bid price and size, ask price and size | decimal |
    | t | time of the exchange, ms | time |
    | x | exchange's id | int32 |
    | r | time of receipt by the vendor, ms | time |
    """

    __slots__ = ()


class ForexQuotes(Table):
    """`C`: quotes of currency pairs.

    | member | what it is | column |
    |---|---|---|
    | p | pair, as EUR/USD | symbol |
    | i | indicators | integers |
    | a, b | ask and bid | decimal |
    | x | exchange's id | int32 |
    | t | time, ms | time |
    """

    __slots__ = ()


class IndexValues(Table):
    """`V`: values of indices.

    | member | what it is | column |
    |---|---|---|
    | val | value | decimal |
    | T | index, as I:SPX | symbol |
    | t | time, ms | time |
    """

    __slots__ = ()


class PriceBands(Table):
    """`LULD`: limit up, limit down price bands.

    | member | what it is | column |
    |---|---|---|
    | h, l | upper and lower limit, USD | decimal |
    | i | indicators | integers |
    | z | tape | int32 |
    | T | ticker | symbol |
    | t | time, ns | time |
    | q | sequence number | int64 |
    """

    __slots__ = ()


class FairMarketValues(Table):
    """`FMV`: fair market values (business plans).

    | member | what it is | column |
    |---|---|---|
    | fmv | value, USD | decimal |
    | sym | ticker | symbol |
    | t | time, ns | time |
    """

    __slots__ = ()


TABLES: dict[str, type[Table]] = {
    "T": Trades,
    "Q": Quotes,
    "A": Aggregates,
    "AM": Aggregates,
    "XT": CryptoTrades,
    "XQ": CryptoQuotes,
    "C": ForexQuotes,
    "V": IndexValues,
    "LULD": PriceBands,
    "FMV": FairMarketValues,
}
"""The class of each event's table."""
