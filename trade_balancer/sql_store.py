"""What `lb-sql` wants of a database; and SQLite, as one.

Law: `write` is one transaction: all rows or none. No text and no error shows what is secret in a connection string.
"""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from trade_balancer.columnar.events import Kind
from trade_balancer.errors import OutputError
from trade_balancer.sql_tables import Day, Row, SqlTable, quoted

Rows = Mapping[SqlTable, Sequence[Row]]
"""Rows by the table that they are for."""


class StoreGoneError(Exception):
    """The database can't be written now; the same rows may be tried again later, on a new connection."""


class Store(ABC):
    """A connection to a database, opened by the first `write` or by `open`, and again after a StoreGoneError."""

    name: str
    """Which database it is, in words that anybody may see."""

    @abstractmethod
    def open(self) -> None:
        """Opens the connection, if it is not.

        Raises:
            StoreGoneError: it can't be had now.
            OutputError: it can't be had.
        """

    @abstractmethod
    def write(self, rows: Rows) -> int:
        """Adds the rows, but for those whose key is there already; missing tables are made. Returns how many it added.

        Raises:
            StoreGoneError, OutputError: none was added; or all, where the connection broke at the very end.
        """

    @abstractmethod
    def close(self) -> None:
        """Closes the connection, if it is open."""

    @staticmethod
    @abstractmethod
    def ints(value: tuple[int, ...]) -> Any:
        """See Forms, as for `day`."""

    @staticmethod
    @abstractmethod
    def day(value: date) -> Any: ...


_TYPES: dict[Any, str] = {Kind.DECIMAL: "REAL"}
_TYPES |= dict.fromkeys((Day, Kind.SYMBOL, Kind.TEXT, Kind.INTS), "TEXT")
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_BUSY_S = 1.0


class SqliteStore(Store):
    """A file, which other processes may write at the same time."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._made: set[SqlTable] = set()

    @staticmethod
    def ints(value: tuple[int, ...]) -> str:
        """As JSON, which json_each() reads."""
        return f"[{','.join(map(str, value))}]"

    @staticmethod
    def day(value: date) -> str:
        """YYYY-MM-DD."""
        return value.isoformat()

    def open(self) -> None:
        if self._connection is not None:
            return
        try:
            connection = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
            self._connection = connection
            connection.execute("PRAGMA journal_mode = WAL")  # who reads is not held up, and does not hold up
        except sqlite3.Error as fault:
            raise self._failed(fault) from fault

    def write(self, rows: Rows) -> int:
        self.open()
        connection = self._connection
        assert connection is not None
        try:
            before = connection.total_changes
            connection.execute("BEGIN IMMEDIATE")
            for table, some in rows.items():
                if table not in self._made:
                    self._make(connection, table)
                marks = ",".join("?" * len(table.columns))
                connection.executemany(
                    f"INSERT INTO {table.name} ({table.quoted_columns}) VALUES ({marks}) ON CONFLICT DO NOTHING", some
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
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [table.name]).fetchone():
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
