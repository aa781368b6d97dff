"""The newest value of each topic.

Law: no I/O. Records are decoded in C, and of each batch only the last of a symbol becomes a Python object. A tick is a
number: what has come since the last turn belongs to the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson

from trade_balancer.columnar.decoder import Decoder
from trade_balancer.emit.forms import COLUMNS, FORMS, Form
from trade_balancer.errors import MissingExtraError
from trade_balancer.frames import FrameCutter

try:
    import numpy as np
except ImportError:
    raise MissingExtraError("lb-emit", "numpy", "emit") from None

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trade_balancer.columnar.symbols import Symbols
    from trade_balancer.columnar.tables import Table

_FIRST_ROOM = 1024
_NO_SYMBOL = 0
"""The code of a record that names none: it is of no topic."""
NEVER = 0
"""A tick before all others."""


class Values:
    """Of one event, by the symbols' codes: the newest value, the tick and the moment that it came with."""

    def __init__(self, event: str, form: Form, symbols: Symbols) -> None:
        self.event = event
        self._form = form
        self._symbols = symbols
        self._columns: dict[str, NDArray[Any]] = {}
        self.ticks = np.zeros(_FIRST_ROOM, np.int64)
        """NEVER: there is no value yet."""
        self.read_ns = np.zeros(_FIRST_ROOM, np.int64)
        self._written = np.zeros(_FIRST_ROOM, np.int64)
        """Up to which tick `_texts` are."""
        self._last = np.zeros(_FIRST_ROOM, np.int64)
        self._names: list[bytes] = []
        self._texts: list[bytes] = []
        self._records: list[bytes] = []

    def take(self, table: Table, records: Sequence[bytes], begin: int, tick: int, read_ns: int) -> NDArray[np.int64]:
        """`records[begin]` is the batch's first. Returns how old the values were when they were read, ns."""
        codes = table[self._form.symbol]
        self._make_room(len(self._symbols))
        rows = np.arange(len(codes))
        self._last[codes] = rows  # of a symbol's rows the last one stays
        self._last[_NO_SYMBOL] = -1
        newest = np.flatnonzero(self._last[codes] == rows)
        where = codes[newest]
        for name in self._form.members:
            values = table[name]
            if name not in self._columns:
                self._columns[name] = np.zeros(len(self.ticks), values.dtype)
            self._columns[name][where] = values[newest]
        self.ticks[where] = tick
        self.read_ns[where] = read_ns
        kept = self._records
        places = np.asarray(table.order)[newest] + begin
        for code, place in zip(where.tolist(), places.tolist(), strict=True):
            kept[code] = records[place]
        times = table[self._form.time][newest]
        return np.asarray(read_ns - times[times > 0] * self._form.ns_per_unit, np.int64)

    def since(self, tick: int, codes: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """The codes, of these or of all, whose value is newer than the tick."""
        if codes is None:
            return np.flatnonzero(self.ticks > tick)
        return codes[self.ticks[codes] > tick]

    def chosen(self, codes: Sequence[int]) -> NDArray[np.int64]:
        """For `since`; each must have been seen."""
        self._make_room(len(self._symbols))
        return np.array(codes, np.int64)

    def texts(self, codes: NDArray[np.int64]) -> list[bytes]:
        """`"AAPL":[189.33,100,1700000000000]` of each code."""
        stale = codes[self._written[codes] < self.ticks[codes]]
        if len(stale):
            self._write(stale)
        texts = self._texts
        return [texts[code] for code in codes.tolist()]

    def records(self, codes: NDArray[np.int64]) -> list[bytes]:
        """Of each code, the record that its value is of, as it came."""
        records = self._records
        return [records[code] for code in codes.tolist()]

    def _write(self, codes: NDArray[np.int64]) -> None:
        columns = [_texts(self._columns[name][codes]) for name in self._form.members]
        for code, *members in zip(codes.tolist(), *columns, strict=True):
            self._texts[code] = b"%s:[%s]" % (self._names[code], ",".join(members).encode())
        self._written[codes] = self.ticks[codes]

    def _make_room(self, symbols: int) -> None:
        for code in range(len(self._names), symbols):
            self._names.append(orjson.dumps(self._symbols[code]))
            self._texts.append(b"")
            self._records.append(b"")
        if symbols > len(self.ticks):
            more = max(symbols, 2 * len(self.ticks)) - len(self.ticks)
            for name in ("ticks", "read_ns", "_written", "_last"):
                setattr(self, name, np.pad(getattr(self, name), (0, more)))
            self._columns = {name: np.pad(column, (0, more)) for name, column in self._columns.items()}


def _texts(column: NDArray[Any]) -> list[str]:
    """Of doubles the shortest texts that are read as the same."""
    if column.dtype.kind == "i":
        return [*map(str, column.tolist())]
    texts = [text.removesuffix(".0") for text in map(repr, column.tolist())]
    for place in np.flatnonzero(~np.isfinite(column)).tolist():
        texts[place] = "null"
    return texts


class Board:
    """All events' values. Its tick is the newest that has been turned; what comes now is of the next."""

    def __init__(self) -> None:
        self._decoder = Decoder(COLUMNS, tuple(FORMS))
        self.tick = NEVER
        self.values = {event: Values(event, form, self._decoder.symbols) for event, form in FORMS.items()}
        self.others_total = 0
        """Records that no topic has."""

    @property
    def symbols(self) -> Symbols:
        return self._decoder.symbols

    @property
    def records_total(self) -> int:
        return self._decoder.records_total

    def take(self, frames: memoryview, read_ns: int) -> list[NDArray[np.int64]]:
        """Whole frames, each a length and a record (docs/pipe-protocol.md), read at a moment of the wall clock.

        Returns how old what is new was then, in ns by the records' own times.
        """
        records = FrameCutter().cut(frames)
        begin = 0
        ages = []
        for batch in self._decoder.decode([frames]):
            for table in batch:
                ages.append(self.values[table.event].take(table, records, begin, self.tick + 1, read_ns))
            self.others_total += len(batch.others)
            begin += len(batch)
        return ages

    def turn(self) -> None:
        """Begins the next tick: the one before is complete."""
        self.tick += 1

    def waited_ns(self, now_ns: int) -> NDArray[np.int64]:
        """Since when the values of the newest tick have been here."""
        return np.concatenate([now_ns - each.read_ns[each.ticks == self.tick] for each in self.values.values()])
