"""A ledger in PostgreSQL (extra `postgresql`): its shards side by side in the same tables.

Law: `write` is one transaction; rows go by binary COPY. No text has a password in it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from itertools import starmap
from typing import Any

from trade_balancer.errors import InputError, OutputError
from trade_balancer.ledger.account import Balance
from trade_balancer.ledger.change import Change, Dispute, Message, Row
from trade_balancer.ledger.sharding import Hash
from trade_balancer.ledger.state import Wanted
from trade_balancer.ledger.store import (
    Batches,
    Database,
    Head,
    Layout,
    Loaded,
    Snapshot,
    StaleError,
    Store,
    StoreGoneError,
    check_layout,
    message_of,
    new_id,
)
from trade_balancer.ledger.transaction import LAST_OF_CLIENTS
from trade_balancer.postgresql import Connection, Error

_TABLES = f"""
CREATE TABLE ledger_layout (
  one int4 PRIMARY KEY CHECK (one = 1), version int4 NOT NULL, id text NOT NULL, shards int4 NOT NULL,
  hash text NOT NULL);
CREATE TABLE ledger_journal (
  shard int4, seq int8, id text COLLATE "C", account text COLLATE "C", kind int2 NOT NULL, amount int8 NOT NULL,
  time int8 NOT NULL, other text, reason int2, previous int8 NOT NULL, PRIMARY KEY (shard, seq));
CREATE UNIQUE INDEX ledger_transactions ON ledger_journal (shard, id, account)
  WHERE kind <= {int(LAST_OF_CLIENTS)};
CREATE TABLE ledger_accounts (
  shard int4, account text COLLATE "C", available int8 NOT NULL, held int8 NOT NULL, pending int8 NOT NULL,
  locked int2 NOT NULL, last int8 NOT NULL, chain bytea NOT NULL, PRIMARY KEY (shard, account)) WITH (fillfactor = 50);
CREATE TABLE ledger_disputes (
  shard int4, id text, account text, state int2 NOT NULL, PRIMARY KEY (shard, id, account));
CREATE TABLE ledger_messages (
  shard int4, receiver int4, seq int8, kind int2 NOT NULL, id text NOT NULL, account text NOT NULL,
  amount int8 NOT NULL, time int8 NOT NULL, other text NOT NULL, PRIMARY KEY (shard, receiver, seq));
CREATE TABLE ledger_steps (shard int4, source text, next int8 NOT NULL, PRIMARY KEY (shard, source));
CREATE TABLE ledger_batches (
  shard int4, first int8, "end" int8 NOT NULL, at_ms int8 NOT NULL, PRIMARY KEY (shard, first));
CREATE TABLE ledger_head (
  shard int4 PRIMARY KEY, next int8 NOT NULL, token int8 NOT NULL, repeated int8 NOT NULL);
"""
_LOCK = 0x6C62_6C65  # whoever makes tables is alone
_VERSION = 1
_JOURNAL = "seq, id, account, kind, amount, time, other, reason, previous"
_JOURNAL_TYPES = ["int4", "int8", "text", "text", "int2", "int8", "int8", "text", "int2", "int8"]
_ACCOUNT = "account, available, held, pending, locked, last, chain"
_MESSAGE = "seq, receiver, kind, id, account, amount, time, other"
_BALANCES = f"""
INSERT INTO ledger_accounts (shard, {_ACCOUNT})
SELECT %s, * FROM unnest(%s::text[], %s::int8[], %s::int8[], %s::int8[], %s::int2[], %s::int8[], %s::bytea[])
ON CONFLICT (shard, account) DO UPDATE SET available = excluded.available, held = excluded.held,
  pending = excluded.pending, locked = excluded.locked, last = excluded.last, chain = excluded.chain"""
_MOST_AT_ONCE = 5000
_STANDSTILL_S = 10
"""After so long without a word within a transaction its writer is thought to be dead, and holds up nobody any more."""


class PostgresDatabase(Database):
    """A database by its connection string. Tables are made in it, with this layout, where there are none; or not, with
    `is_there`.

    Raises:
        StoreGoneError, OutputError: it can't be had, or has another layout.
        InputError: there is no ledger in it.
    """

    def __init__(self, connection: str, layout: Layout | None = None, *, is_there: bool = False) -> None:
        self._connection = _Connection(connection)
        self.name = self._connection.name
        self._string = connection
        with contextlib.closing(self._connection), self._connection.transaction() as session:
            session.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            # Whoever works at it is not held up: what makes tables waits for them, and they for it.
            if session.execute("SELECT to_regclass('ledger_layout')").fetchone() == (None,):
                if is_there:
                    raise InputError(f"there is no ledger in {self.name}")
                self._make(session, layout or Layout())
            told = session.execute("SELECT version, id, shards, hash FROM ledger_layout").fetchone()
            version, self.id, shards, how = told
        self.layout = Layout(shards, Hash(how))
        if version != _VERSION:
            raise OutputError(f"the ledger in {self.name} is of version {version}, and this program of {_VERSION}")
        check_layout(f"the ledger in {self.name}", self.layout, layout)

    def _make(self, session: Any, layout: Layout) -> None:
        session.execute(_TABLES)
        told = [_VERSION, new_id(), layout.shards, layout.hash.value]
        session.execute("INSERT INTO ledger_layout VALUES (1, %s, %s, %s, %s)", told)
        for shard in range(layout.shards):
            session.execute("INSERT INTO ledger_head VALUES (%s, 1, 0, 0)", [shard])

    def store(self, shard: int) -> PostgresStore:
        return PostgresStore(_Connection(self._string), shard)

    def snapshots(self) -> list[Snapshot]:
        """One transaction sees all shards."""
        self._connection.begin_snapshot()
        return [_PostgresSnapshot(self._connection, shard) for shard in range(self.layout.shards)]

    def close(self) -> None:
        self._connection.close()


class _Connection(Connection):
    def __init__(self, connection: str) -> None:
        super().__init__(connection, "lb-ledger", "use", StoreGoneError)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Any]:
        session = self.session()
        with self.errors(), session.transaction(), session.cursor() as cursor:
            cursor.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{_STANDSTILL_S} s'".encode())
            yield cursor

    def begin_snapshot(self) -> None:
        """Until `close` all commands see what is there now."""
        session = self.session()
        with self.errors():
            session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def rows(self, command: str, values: Sequence[Any]) -> list[Any]:
        session = self.session()
        with self.errors():
            return session.execute(command.encode(), values).fetchall()

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        try:
            yield
        except Error as fault:
            raise self.failed(fault) from fault


class PostgresStore(Store):
    """A shard."""

    def __init__(self, connection: _Connection, shard: int) -> None:
        self.name = connection.name
        self._connection = connection
        self._shard = shard

    def head(self) -> Head:
        return _head(self._connection, self._shard)

    def load(self, wanted: Wanted) -> Loaded:
        rows, shard = self._connection.rows, self._shard
        balances: list[Any] = []
        if wanted.accounts:
            command = f"SELECT {_ACCOUNT} FROM ledger_accounts WHERE shard = %s AND account = ANY(%s)"
            balances = rows(command, [shard, wanted.accounts])
        known: list[Any] = []
        if wanted.ids:
            command = (
                f"SELECT {_JOURNAL} FROM ledger_journal WHERE shard = %s AND id = ANY(%s) "
                f"AND kind <= {int(LAST_OF_CLIENTS)}"
            )
            known = rows(command, [shard, wanted.ids])
        disputes = {}
        if wanted.deposits:
            command = "SELECT id, account, state FROM ledger_disputes WHERE shard = %s AND id = ANY(%s)"
            disputes = {
                (id_, account): Dispute(state) for id_, account, state in rows(command, [shard, wanted.deposits])
            }
        return Loaded(balances, known, disputes)

    def write(self, change: Change) -> None:
        with self._connection.transaction() as cursor:
            advanced = cursor.execute(
                "UPDATE ledger_head SET next = %s, token = %s, repeated = repeated + %s "
                "WHERE shard = %s AND token = %s",
                [change.end, change.token, change.repeated, self._shard, change.after],
            )
            if advanced.rowcount == 1:
                self._write_rows(cursor, change)
                return
            (token,) = cursor.execute("SELECT token FROM ledger_head WHERE shard = %s", [self._shard]).fetchone()
        if token != change.token:
            raise StaleError

    def _write_rows(self, cursor: Any, change: Change) -> None:
        shard = self._shard
        if change.rows:
            with cursor.copy(f"COPY ledger_journal (shard, {_JOURNAL}) FROM STDIN (FORMAT binary)".encode()) as copy:
                copy.set_types(_JOURNAL_TYPES)
                for row in change.rows:
                    copy.write_row((shard, *row))
            at_ms = time.time_ns() // 1_000_000
            cursor.execute(
                "INSERT INTO ledger_batches VALUES (%s, %s, %s, %s)", [shard, change.begin, change.end, at_ms]
            )
        if change.balances:
            cursor.execute(_BALANCES.encode(), [shard, *map(list, zip(*change.balances, strict=True))])
        for step in change.steps:
            cursor.execute(
                "INSERT INTO ledger_steps VALUES (%s, %s, %s) ON CONFLICT (shard, source) "
                "DO UPDATE SET next = excluded.next",
                [shard, *step],
            )
        if change.messages:
            command = f"INSERT INTO ledger_messages (shard, {_MESSAGE}) VALUES (%s{', %s' * 8})"
            cursor.executemany(command.encode(), [(shard, *message) for message in change.messages])
        if change.disputes:
            cursor.executemany(
                "INSERT INTO ledger_disputes VALUES (%s, %s, %s, %s) ON CONFLICT (shard, id, account) "
                "DO UPDATE SET state = excluded.state",
                [(shard, *key, int(state)) for key, state in change.disputes.items()],
            )

    def messages(self, receiver: int, first: int, most: int) -> list[Message]:
        command = (
            f"SELECT {_MESSAGE} FROM ledger_messages WHERE shard = %s AND receiver = %s AND seq >= %s "
            "ORDER BY seq LIMIT %s"
        )
        return [message_of(row) for row in self._connection.rows(command, [self._shard, receiver, first, most])]

    def outstanding(self) -> dict[int, int]:
        command = "SELECT receiver, max(seq) FROM ledger_messages WHERE shard = %s GROUP BY receiver"
        return dict(self._connection.rows(command, [self._shard]))

    def forget_messages(self, receiver: int, end: int) -> None:
        with self._connection.transaction() as cursor:
            command = "DELETE FROM ledger_messages WHERE shard = %s AND receiver = %s AND seq < %s"
            cursor.execute(command, [self._shard, receiver, end])

    def snapshot(self) -> Snapshot:
        self._connection.begin_snapshot()
        return _PostgresSnapshot(self._connection, self._shard)

    def close(self) -> None:
        self._connection.close()


def _head(connection: _Connection, shard: int) -> Head:
    ((next_seq, token, repeated),) = connection.rows(
        "SELECT next, token, repeated FROM ledger_head WHERE shard = %s", [shard]
    )
    steps = connection.rows("SELECT source, next FROM ledger_steps WHERE shard = %s", [shard])
    ((greatest_id,),) = connection.rows(
        f"SELECT max(id) FROM ledger_journal WHERE shard = %s AND kind <= {int(LAST_OF_CLIENTS)}", [shard]
    )
    return Head(next_seq, token, repeated, dict(steps), greatest_id or "")


class _PostgresSnapshot(Snapshot):
    def __init__(self, connection: _Connection, shard: int) -> None:
        self._connection = connection
        self._shard = shard

    def head(self) -> Head:
        return _head(self._connection, self._shard)

    def rows(self) -> Iterator[Row]:
        command = f"SELECT {_JOURNAL} FROM ledger_journal WHERE shard = %s AND seq >= %s ORDER BY seq LIMIT %s"
        first = 1
        while some := self._connection.rows(command, [self._shard, first, _MOST_AT_ONCE]):
            yield from starmap(Row, some)
            first = some[-1][0] + 1

    def row(self, seq: int) -> Row:
        command = f"SELECT {_JOURNAL} FROM ledger_journal WHERE shard = %s AND seq = %s"
        return Row(*self._connection.rows(command, [self._shard, seq])[0])

    def batches(self) -> Iterator[Batches]:
        command = (
            'SELECT first, "end", at_ms FROM ledger_batches WHERE shard = %s AND first >= %s ORDER BY first LIMIT %s'
        )
        first = 1
        while some := self._connection.rows(command, [self._shard, first, _MOST_AT_ONCE]):
            yield from starmap(Batches, some)
            first = some[-1][0] + 1

    def balances(self) -> Iterator[Balance]:
        command = f"SELECT {_ACCOUNT} FROM ledger_accounts WHERE shard = %s AND account > %s ORDER BY account LIMIT %s"
        last = ""
        while some := self._connection.rows(command, [self._shard, last, _MOST_AT_ONCE]):
            yield from starmap(Balance, some)
            last = some[-1][0]

    def balance(self, account: str) -> Balance | None:
        command = f"SELECT {_ACCOUNT} FROM ledger_accounts WHERE shard = %s AND account = %s"
        found = self._connection.rows(command, [self._shard, account])
        return Balance(*found[0]) if found else None

    def messages(self) -> list[Message]:
        command = f"SELECT {_MESSAGE} FROM ledger_messages WHERE shard = %s ORDER BY seq"
        return [message_of(row) for row in self._connection.rows(command, [self._shard])]

    def close(self) -> None:
        self._connection.close()
