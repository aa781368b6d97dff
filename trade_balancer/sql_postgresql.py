"""PostgreSQL, as `lb-sql` wants it (extra `postgresql`).

Law: rows go by binary COPY; those of a table with a key into a temporary table and from there, so that one that was
there is no error. No text has a password in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from typing import Any

from trade_balancer.columnar.events import Kind
from trade_balancer.columnar.symbols import Symbols
from trade_balancer.columnar.tables import Table
from trade_balancer.postgresql import Connection, Cursor, Error, Session, has_password
from trade_balancer.sql_copy import HEAD, TAIL, Copied, CopyRows, other
from trade_balancer.sql_progress import STORED, Step, advance
from trade_balancer.sql_store import Store, StoreGoneError, Waiting
from trade_balancer.sql_tables import Day, SqlTable, other_text, quoted
from trade_balancer.zones import Zone

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
_LOCK = 0x6C62  # "lb": whoever makes tables is alone; CREATE TABLE IF NOT EXISTS by two at once may fail


class PostgresqlStore(Store):
    """A database of a server.

    Args:
        connection: what libpq knows as a connection string, or a URL.

    Raises:
        OutputError: it is none. The text does not show it.
    """

    def __init__(self, connection: str) -> None:
        self.has_password = has_password(connection)
        self._connection = Connection(connection, "lb-sql", "write to", StoreGoneError)
        self.name = self._connection.name
        self._made: set[SqlTable] = set()

    def rows(self, symbols: Symbols, zone: Zone) -> Callable[[Table, int], Sized]:
        return CopyRows(zone).of

    def other_rows(self, records: Sequence[bytes], received_ms: int) -> Sized:
        return Copied(len(records), [other(received_ms, other_text(record)) for record in records])

    def open(self) -> None:
        self._connection.session()

    def stored(self, run: str) -> dict[int, int]:
        session = self._connection.session()
        try:
            if not _is_there(session, STORED):
                return {}
            command = f"SELECT pipe, number FROM {STORED.name} WHERE run = %s"
            return dict(session.execute(command.encode(), [run]).fetchall())
        except Error as fault:
            raise self._failed(fault) from fault

    def write(self, rows: Waiting, steps: Sequence[Step] = ()) -> int:
        session = self._connection.session()
        added = 0
        try:
            with session.transaction(), session.cursor() as cursor:
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
        except Error as fault:
            raise self._failed(fault) from fault
        self._made |= rows.keys() | ({STORED} if steps else set())
        return added

    def close(self) -> None:
        self._made.clear()
        self._connection.close()

    def _failed(self, fault: Error) -> Exception:
        self._made.clear()
        return self._connection.failed(fault)


def types_of(table: SqlTable) -> list[str]:
    """PostgreSQL's, of its columns."""
    return [_TYPES[kind] for kind in table.columns.values()]


def declared(table: SqlTable) -> str:
    """Its columns with their types, as CREATE TABLE wants them."""
    return ", ".join(f"{quoted(name)} {type_}" for name, type_ in zip(table.columns, types_of(table), strict=True))


def _make(cursor: Cursor, table: SqlTable) -> None:
    """Makes the table where there is none; one that is there may have other types, and columns of its own."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    if not _is_there(cursor, table):
        _run(cursor, f"CREATE TABLE {table.name} ({declared(table)})")
        if table.key:
            key = ", ".join(map(quoted, table.key))
            _run(cursor, f"CREATE UNIQUE INDEX {table.name}_key ON {table.name} ({key})")


def _make_arrivals(cursor: Cursor, table: SqlTable) -> None:
    if table.key:
        _run(cursor, f"CREATE TEMPORARY TABLE {_arrivals(table)} ({declared(table)}) ON COMMIT DELETE ROWS")


def _is_there(where: Cursor | Session, table: SqlTable) -> bool:
    return where.execute("SELECT to_regclass(%s)", [table.name]).fetchone() != (None,)


def _copy(cursor: Cursor, table: SqlTable, rows: Sequence[Copied]) -> int:
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


def _run(cursor: Cursor, command: str) -> None:
    cursor.execute(command.encode())
