"""Rows as PostgreSQL's binary COPY has them, made of columns in C.

Law: no Python object per row. What a row has, stands in columnar/csrc/pgcopy.h.
"""

from __future__ import annotations

import struct
from typing import Any

from trade_balancer.columnar._columns import ffi, lib
from trade_balancer.columnar.events import EVENTS, Kind
from trade_balancer.columnar.tables import Table
from trade_balancer.sql_tables import KEYS, time_of
from trade_balancer.zones import Zone

HEAD, TAIL = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
"""What stands before and behind all rows (PostgreSQL's documentation of COPY, Binary Format)."""
_PIECE_BYTES = 1 << 18
_NS_PER_MS = 1_000_000


class Copied:
    """Some rows, as pieces of bytes; `len` tells how many."""

    def __init__(self, rows: int, pieces: list[bytes]) -> None:
        self._rows = rows
        self.pieces = pieces

    def __len__(self) -> int:
        return self._rows


class CopyRows:
    """Makes rows of tables that have all columns of their events, in the order of `SqlTable.columns`. What they hold is
    what `Rows` has."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._copies: dict[str, Any] = {}
        self._piece = ffi.new("uint8_t[]", _PIECE_BYTES)

    def of(self, table: Table, first_row: int = 0) -> Copied:
        if table.event not in self._copies:
            self._copies[table.event] = _new_copy(table.event, self._zone)
        copy = self._copies[table.event]
        row = ffi.new("uint32_t *", first_row)
        pieces = []
        while row[0] < len(table):
            used_bytes = table.hand_to_pgcopy(copy, row, self._piece, len(self._piece))
            if used_bytes:
                pieces.append(bytes(ffi.buffer(self._piece, used_bytes)))
            else:  # a row of many bytes
                self._piece = ffi.new("uint8_t[]", len(self._piece) * 2)
        return Copied(len(table) - first_row, pieces)


def _new_copy(event: str, zone: Zone) -> Any:
    names = [column.name for column in EVENTS[event]]
    time = time_of(event)
    config = {
        "time": names.index(time.name),
        "units_per_ms": _NS_PER_MS if time.kind is Kind.TIME_NS else 1,
        "zero": sum(1 << names.index(name) for name in KEYS.get(event, ()) if name in ("x", "trfi")),
        "id": names.index("i") if event == "T" else lib.PGCOPY_NONE,
        "number": names.index("q") if event == "T" else lib.PGCOPY_NONE,
    }
    from_ms, offset_ms = zip(*zone.changes, strict=True) if zone.changes else ((), ())
    copy = lib.pgcopy_new(ffi.new("struct pgcopy_config *", config), from_ms, offset_ms, len(zone.changes))
    if copy == ffi.NULL:
        raise MemoryError("no memory for rows")
    return ffi.gc(copy, lib.pgcopy_free)


def other(received_ms: int, record: str) -> bytes:
    """A row of OTHERS."""
    text = record.encode()
    return struct.pack("!hiqi", 2, 8, received_ms, len(text)) + text
