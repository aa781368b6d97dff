"""SQLite, as `lb-sql` wants it.

Law: the standard library alone, no NumPy.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from trade_balancer.columnar.events import Kind
from trade_balancer.errors import OutputError
from trade_balancer.sql_progress import STORED, Step, advance
from trade_balancer.sql_rows import RowStore
from trade_balancer.sql_store import StoreGoneError, Waiting
from trade_balancer.sql_tables import Day, SqlTable, quoted

_TYPES: dict[Any, str] = {Kind.DECIMAL: "REAL"}
_TYPES |= dict.fromkeys((Day, Kind.SYMBOL, Kind.TEXT, Kind.INTS), "TEXT")
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_BUSY_S = 1.0


class SqliteStore(RowStore):
    """A file, which other processes may write at the same time."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._made: set[SqlTable] = set()

    def open(self) -> None:
        if self._connection is not None:
            return
        try:
            connection = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
            self._connection = connection
            connection.execute("PRAGMA journal_mode = WAL")  # who reads is not held up, and does not hold up
        except sqlite3.Error as fault:
            raise self._failed(fault) from fault

    def stored(self, run: str) -> dict[int, int]:
        self.open()
        connection = self._connection
        assert connection is not None
        try:
            if not _is_there(connection, STORED):
                return {}
            found = connection.execute(f"SELECT pipe, number FROM {STORED.name} WHERE run = ?", [run])
            return dict(found.fetchall())
        except sqlite3.Error as fault:
            raise self._failed(fault) from fault

    def write(self, rows: Waiting, steps: Sequence[Step] = ()) -> int:
        self.open()
        connection = self._connection
        assert connection is not None
        try:
            connection.execute("BEGIN IMMEDIATE")
            if steps:
                self._make(connection, STORED)
                if not advance(connection.execute, steps, "?"):
                    connection.execute("ROLLBACK")
                    return 0
            before = connection.total_changes
            for table, some in rows.items():
                if table not in self._made:
                    self._make(connection, table)
                marks = ",".join("?" * len(table.columns))
                connection.executemany(
                    f"INSERT INTO {table.name} ({table.quoted_columns}) VALUES ({marks}) ON CONFLICT DO NOTHING",
                    chain.from_iterable(some),
                )
            connection.execute("COMMIT")
        except sqlite3.Error as fault:
            raise self._failed(fault) from fault
        self._made |= rows.keys()
        return connection.total_changes - before

    def close(self) -> None:
        connection, self._connection = self._connection, None
        self._made.clear()
        if connection is not None:
            connection.close()  # an open transaction ends without effect

    def _make(self, connection: sqlite3.Connection, table: SqlTable) -> None:
        """Makes the table where there is none; one that is there may have columns of its own, and another key."""
        if _is_there(connection, table):
            return
        columns = (f"{quoted(name)} {_TYPES.get(kind, 'INTEGER')}" for name, kind in table.columns.items())
        connection.execute(f"CREATE TABLE {table.name} ({', '.join(columns)})")
        if table.key:
            key = ", ".join(map(quoted, table.key))
            connection.execute(f"CREATE UNIQUE INDEX {table.name}_key ON {table.name} ({key})")

    def _failed(self, fault: sqlite3.Error) -> Exception:
        self.close()
        text = f"cannot write to {self.name}: {fault}"
        code = getattr(fault, "sqlite_errorcode", 0) & 0xFF
        return StoreGoneError(text) if code in _BUSY else OutputError(text)


def _is_there(connection: sqlite3.Connection, table: SqlTable) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [table.name]).fetchone() is not None
