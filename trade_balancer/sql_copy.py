"""Rows as PostgreSQL's binary COPY has them, made of columns (extra `postgresql`).

Law: what has one width in all rows is put together by NumPy, a column at a time; only symbols, ids and lists cost a
step of Python for each row.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import chain, islice, pairwise
from typing import TYPE_CHECKING, Any

from trade_balancer.columnar.events import EVENTS, Column, Kind
from trade_balancer.columnar.symbols import Symbols
from trade_balancer.columnar.tables import Table
from trade_balancer.errors import MissingExtraError
from trade_balancer.sql_tables import KEYS, NO_NUL, NUL, TABLES, Day, SqlTable, time_of
from trade_balancer.zones import DAY_MS, FIRST_DAY, LAST_DAY, Zone

try:
    import numpy as np
except ImportError:
    raise MissingExtraError("lb-sql with PostgreSQL", "numpy", "postgresql") from None

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEAD, TAIL = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
"""What stands before and behind all rows (PostgreSQL's documentation of COPY, Binary Format)."""
FORMS: dict[Any, str] = {
    Day: ">i4", Kind.INT32: ">i4", Kind.INT64: ">i8", Kind.TIME_MS: ">i8", Kind.TIME_NS: ">i8", Kind.DECIMAL: ">f8",
    Kind.BOOL: "i1",
}  # fmt: skip
"""What has one width."""
_NULL = struct.pack("!i", -1)
_SHORT = [struct.pack("!i", length) for length in range(256)]
_INT4 = 23  # pg_type.dat
_EPOCH_DAYS = 10_957  # from 1970-01-01 to 2000-01-01, from which dates count
_MOST_KNOWN_LISTS = 10_000


class Copied:
    """Some rows; `len` tells how many."""

    def __init__(self, rows: int, data: bytes) -> None:
        self._rows = rows
        self.data = data

    def __len__(self) -> int:
        return self._rows


def order(table: SqlTable) -> list[str]:
    """Of the columns of a row: first those of one width."""
    return sorted(table.columns, key=lambda name: table.columns[name] not in FORMS)


class CopyRows:
    """Makes rows of tables of one decoder, with the fields in `order`. What they hold is what `Rows` has."""

    def __init__(self, symbols: Symbols, zone: Zone) -> None:
        self._symbols = symbols
        self._symbol_fields: list[bytes] = []
        self._from_ms = np.array([from_ms for from_ms, _ in zone.changes], np.int64)
        self._offset_ms = np.array([0, *(offset_ms for _, offset_ms in zone.changes)], np.int64)
        self._lists: dict[bytes, bytes] = {}

    def of(self, table: Table, first_row: int = 0) -> Copied:
        columns = EVENTS[table.event]
        parts: list[Sequence[bytes]] = [self._fixed(table)]
        parts += [self._variable(table, column) for column in columns if column.kind not in FORMS]
        rows = islice(zip(*parts, strict=True), first_row, None)
        return Copied(len(table) - first_row, b"".join(chain.from_iterable(rows)))

    def _fixed(self, table: Table) -> list[bytes]:
        """The begin of each row: the count of its fields, and those that have one width."""
        fields = [self._day_field(table)]
        for column in EVENTS[table.event]:
            if column.kind in FORMS:
                keyed = column.name in KEYS.get(table.event, ())  # 0 there, where others are null
                fields.append((FORMS[column.kind], table[column.name], None if keyed else table.valid(column.name)))
        masks = [valid for _, _, valid in fields if valid is not None]
        if not masks:
            return _joined(fields, None, len(table), len(TABLES[table.event].columns))
        pattern = np.zeros(len(table), np.int64)
        for place, valid in enumerate(masks):
            pattern |= (~valid).astype(np.int64) << place
        begins: list[bytes] = [b""] * len(table)
        for one in np.unique(pattern):
            rows = np.flatnonzero(pattern == one)
            some = _joined(fields, rows, len(rows), len(TABLES[table.event].columns))
            for row, begin in zip(rows.tolist(), some, strict=True):
                begins[row] = begin
        return begins

    def _day_field(self, table: Table) -> _Field:
        time = time_of(table.event)
        times_ms: Any = table[time.name] // (1_000_000 if time.kind is Kind.TIME_NS else 1)
        offsets_ms = self._offset_ms[np.searchsorted(self._from_ms, times_ms, side="right")]
        days = (times_ms + offsets_ms) // DAY_MS
        valid = (days >= FIRST_DAY) & (days <= LAST_DAY)
        if table.nulls(time.name):
            valid &= table.valid(time.name)
        return FORMS[Day], days - _EPOCH_DAYS, None if valid.all() else valid

    def _variable(self, table: Table, column: Column) -> list[bytes]:
        rows, nulls = len(table), table.nulls(column.name)
        if nulls == rows and not (table.event == "T" and column.name == "i"):
            return [_NULL] * rows
        match column.kind:
            case Kind.SYMBOL:
                fields = self._symbol_column(table, column)
            case Kind.TEXT:
                fields = _texts(table.view(column.name).tolist(), bytes(table.more(column.name)))
            case _:
                fields = self._list_column(table.view(column.name).tolist(), bytes(table.more(column.name)))
        if nulls:
            for row in np.flatnonzero(~table.valid(column.name)).tolist():
                fields[row] = _NULL
            if table.event == "T" and column.name == "i":
                _number(table, fields)
        return fields

    def _symbol_column(self, table: Table, column: Column) -> list[bytes]:
        known = self._symbol_fields
        if len(known) < len(self._symbols):
            known += [_field(symbol.replace(NUL, NO_NUL).encode()) for symbol in self._symbols[len(known) :]]
        return [known[code] for code in table.view(column.name).tolist()]

    def _list_column(self, offsets: list[int], items: bytes) -> list[bytes]:
        known = self._lists
        if len(known) > _MOST_KNOWN_LISTS:
            known.clear()
        fields = []
        for begin, end in pairwise(offsets):
            one = items[4 * begin : 4 * end]
            field = known.get(one)
            if field is None:
                field = known[one] = _field(_array(struct.unpack(f"{end - begin}i", one)))
            fields.append(field)
        return fields


_Field = tuple[str, "NDArray[Any]", "NDArray[np.bool_] | None"]
"""A column of one width: how it is sent, its values, and which rows have one (None: all)."""


def _joined(fields: Sequence[_Field], rows: NDArray[np.intp] | None, count: int, columns: int) -> list[bytes]:
    """The fields of some rows, which have the same nulls; of all, if None."""
    template, starts = struct.pack("!h", columns), {}
    for place, (form, _, valid) in enumerate(fields):
        if valid is not None and rows is not None and not valid[rows[0]]:
            template += _NULL
            continue
        width = np.dtype(form).itemsize
        template += _SHORT[width]
        starts[place] = len(template)
        template += bytes(width)
    joined = bytearray(template * count)
    for place, start in starts.items():
        form, values, _ = fields[place]
        target = np.ndarray(count, form, joined, start, len(template))
        target[:] = values if rows is None else values[rows]
    width, data = len(template), bytes(joined)
    return [data[begin : begin + width] for begin in range(0, len(data), width)]


def _texts(offsets: list[int], data: bytes) -> list[bytes]:
    if NUL.encode() in data or any(end - begin >= len(_SHORT) for begin, end in pairwise(offsets)):
        return [_field(data[begin:end].replace(NUL.encode(), NO_NUL.encode())) for begin, end in pairwise(offsets)]
    return [_SHORT[end - begin] + data[begin:end] for begin, end in pairwise(offsets)]


def _number(table: Table, ids: list[bytes]) -> None:
    """Puts the sequence number where a trade has no id, as `Rows` does."""
    numbers, has_number = table.view("q"), table.valid("q")
    for row in np.flatnonzero(~table.valid("i")).tolist():
        if has_number is None or has_number[row]:
            ids[row] = _field(b"q%d" % numbers[row])


def _field(data: bytes) -> bytes:
    return struct.pack("!i", len(data)) + data


def _array(value: tuple[int, ...]) -> bytes:
    """As array_send() in PostgreSQL's arrayfuncs.c."""
    if not value:
        return struct.pack("!iiI", 0, 0, _INT4)
    head = struct.pack("!iiIii", 1, 0, _INT4, len(value), 1)
    return head + b"".join(struct.pack("!ii", 4, one) for one in value)


def other(received_ms: int, record: str) -> bytes:
    """A row of OTHERS."""
    return struct.pack("!hiq", 2, 8, received_ms) + _field(record.encode())
