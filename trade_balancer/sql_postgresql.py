"""PostgreSQL, as `lb-sql` wants it (extra `postgresql`).

Law: rows go by binary COPY; those of a table with a key into a temporary table and from there, so that one that was
there is no error. No text has a password in it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence, Sized
from typing import Any

from trade_balancer.columnar.events import Kind
from trade_balancer.columnar.symbols import Symbols
from trade_balancer.columnar.tables import Table
from trade_balancer.errors import MissingExtraError, OutputError
from trade_balancer.sql_copy import HEAD, TAIL, Copied, CopyRows, other
from trade_balancer.sql_progress import STORED, Step, advance
from trade_balancer.sql_store import Store, StoreGoneError, Waiting
from trade_balancer.sql_tables import Day, SqlTable, other_text, quoted
from trade_balancer.zones import Zone

try:
    import psycopg
except ImportError:
    raise MissingExtraError("lb-sql with PostgreSQL", "psycopg", "postgresql") from None

# It warns of a COPY that ends with its connection. That is told here, once, and in words; and a logger without a
# handler prints.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

_TYPES: dict[Any, str] = {
    Day: "date",
    Kind.SYMBOL: "text",
    Kind.TEXT: "text",
    Kind.INT32: "int4",
    Kind.INT64: "int8",
    Kind.TIME_MS: "int8",
    Kind.TIME_NS: "int8",
    Kind.DECIMAL: "float8",
    Kind.INTS: "int4[]",
    Kind.BOOL: "bool",
}
_PATIENCE = {
    "application_name": "lb-sql",
    "client_encoding": "utf8",
    "connect_timeout": "5",  # s
    "keepalives_idle": "10",  # s; a server that has vanished without a word is noticed
    "tcp_user_timeout": "20000",  # ms
}
"""Where the connection string says nothing else."""
_PASSING = ("08", "25006", "40", "53", "55", "57", "58")
"""What passes by, as SQLSTATE or its class (PostgreSQL's appendix A): of connections, a standby, rollbacks, resources,
locks, operators, the system."""
_LOCK = 0x6C62  # "lb": whoever makes tables is alone; CREATE TABLE IF NOT EXISTS by two at once may fail


class PostgresqlStore(Store):
    """A database of a server.

    Args:
        connection: what libpq knows as a connection string, or a URL.

    Raises:
        OutputError: it is none. The text does not show it.
    """

    def __init__(self, connection: str) -> None:
        try:
            given = psycopg.conninfo.conninfo_to_dict(connection)
        except psycopg.Error:
            raise OutputError("the connection string is none that PostgreSQL knows") from None
        self.name = (
            f"PostgreSQL's database {given.get('dbname', 'of its user')} at {given.get('host', 'the default host')}"
        )
        self.has_password = "password" in given
        self._parameters: dict[str, Any] = _PATIENCE | given
        self._connection: psycopg.Connection[Any] | None = None
        self._made: set[SqlTable] = set()

    def rows(self, symbols: Symbols, zone: Zone) -> Callable[[Table, int], Sized]:
        return CopyRows(zone).of

    def other_rows(self, records: Sequence[bytes], received_ms: int) -> Sized:
        return Copied(len(records), [other(received_ms, other_text(record)) for record in records])

    def open(self) -> None:
        if self._connection is not None:
            return
        try:
            connection = psycopg.connect(**self._parameters, autocommit=True)
        except psycopg.Error as fault:
            raise self._failed(fault) from fault
        self._connection = connection

    def stored(self, run: str) -> dict[int, int]:
        self.open()
        connection = self._connection
        assert connection is not None
        try:
            if not _is_there(connection, STORED):
                return {}
            command = f"SELECT pipe, number FROM {STORED.name} WHERE run = %s"
            return dict(connection.execute(command.encode(), [run]).fetchall())
        except psycopg.Error as fault:
            raise self._failed(fault) from fault

    def write(self, rows: Waiting, steps: Sequence[Step] = ()) -> int:
        self.open()
        connection = self._connection
        assert connection is not None
        added = 0
        try:
            with connection.transaction(), connection.cursor() as cursor:
                if steps:
                    if STORED not in self._made:
                        _make(cursor, STORED)
                    if not advance(lambda command, values: cursor.execute(command.encode(), values), steps, "%s"):
                        return 0
                for table, some in rows.items():
                    if table not in self._made:
                        _make(cursor, table)
                        _make_arrivals(cursor, table)
                    added += _copy(cursor, table, some)
        except psycopg.Error as fault:
            raise self._failed(fault) from fault
        self._made |= rows.keys() | ({STORED} if steps else set())
        return added

    def close(self) -> None:
        connection, self._connection = self._connection, None
        self._made.clear()
        if connection is not None:
            connection.close()

    def _failed(self, fault: psycopg.Error) -> Exception:
        is_open = self._connection is not None and not self._connection.broken
        self.close()
        text = f"cannot write to {self.name}: {' '.join(str(fault).split())}"
        state = fault.sqlstate or ""
        return StoreGoneError(text) if not is_open or state.startswith(_PASSING) else OutputError(text)


def types_of(table: SqlTable) -> list[str]:
    """PostgreSQL's, of its columns."""
    return [_TYPES[kind] for kind in table.columns.values()]


def declared(table: SqlTable) -> str:
    """Its columns with their types, as CREATE TABLE wants them."""
    return ", ".join(f"{quoted(name)} {type_}" for name, type_ in zip(table.columns, types_of(table), strict=True))


def _make(cursor: psycopg.Cursor[Any], table: SqlTable) -> None:
    """Makes the table where there is none; one that is there may have other types, and columns of its own."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    if not _is_there(cursor, table):
        _run(cursor, f"CREATE TABLE {table.name} ({declared(table)})")
        if table.key:
            key = ", ".join(map(quoted, table.key))
            _run(cursor, f"CREATE UNIQUE INDEX {table.name}_key ON {table.name} ({key})")


def _make_arrivals(cursor: psycopg.Cursor[Any], table: SqlTable) -> None:
    if table.key:
        _run(cursor, f"CREATE TEMPORARY TABLE {_arrivals(table)} ({declared(table)}) ON COMMIT DELETE ROWS")


def _is_there(where: psycopg.Cursor[Any] | psycopg.Connection[Any], table: SqlTable) -> bool:
    return where.execute("SELECT to_regclass(%s)", [table.name]).fetchone() != (None,)


def _copy(cursor: psycopg.Cursor[Any], table: SqlTable, rows: Sequence[Copied]) -> int:
    """Returns how many rows it added."""
    target = _arrivals(table) if table.key else table.name
    with cursor.copy(f"COPY {target} ({table.quoted_columns}) FROM STDIN (FORMAT binary)".encode()) as copy:
        copy.write(HEAD)
        for some in rows:
            for piece in some.pieces:
                copy.write(piece)
        copy.write(TAIL)
    if table.key:
        columns = table.quoted_columns
        _run(cursor, f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM {target} ON CONFLICT DO NOTHING")
    return cursor.rowcount


def _arrivals(table: SqlTable) -> str:
    """The temporary table that the rows come into first."""
    return f"lb_arrived_{table.name}"


def _run(cursor: psycopg.Cursor[Any], command: str) -> None:
    cursor.execute(command.encode())
