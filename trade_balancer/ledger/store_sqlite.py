"""A ledger as a folder with a file of SQLite's for each shard.

Law: what `write` has returned from is on the disk (synchronous = FULL). The standard library alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from itertools import chain, islice, starmap
from pathlib import Path
from typing import Any

import orjson

from trade_balancer.errors import OutputError
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

_TABLES = f"""
CREATE TABLE IF NOT EXISTS journal (
  seq INTEGER PRIMARY KEY, id TEXT, account TEXT, kind INTEGER NOT NULL, amount INTEGER NOT NULL,
  time INTEGER NOT NULL, other TEXT, reason INTEGER, previous INTEGER NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS transactions ON journal (id, account) WHERE kind <= {int(LAST_OF_CLIENTS)};
CREATE TABLE IF NOT EXISTS accounts (
  account TEXT PRIMARY KEY, available INTEGER NOT NULL, held INTEGER NOT NULL, pending INTEGER NOT NULL,
  locked INTEGER NOT NULL, last INTEGER NOT NULL, chain BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS disputes (
  id TEXT, account TEXT, state INTEGER NOT NULL, PRIMARY KEY (id, account)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS messages (
  receiver INTEGER, seq INTEGER, kind INTEGER NOT NULL, id TEXT NOT NULL, account TEXT NOT NULL,
  amount INTEGER NOT NULL, time INTEGER NOT NULL, other TEXT NOT NULL, PRIMARY KEY (receiver, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS steps (source TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batches (first INTEGER PRIMARY KEY, end INTEGER NOT NULL, at_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS head (
  one INTEGER PRIMARY KEY CHECK (one = 1), next INTEGER NOT NULL, token INTEGER NOT NULL, repeated INTEGER NOT NULL);
INSERT OR IGNORE INTO head VALUES (1, 1, 0, 0);
"""


class _Insertion:
    """Of rows with so many columns: many by one statement, of which each costs as much as some rows do."""

    AT_ONCE = 32

    def __init__(self, into: str, width: int, otherwise: str = "") -> None:
        row = f"({','.join('?' * width)})"
        self._one = f"{into} VALUES {row} {otherwise}"
        self._many = f"{into} VALUES {','.join([row] * self.AT_ONCE)} {otherwise}"
        self._values = width * self.AT_ONCE

    def put(self, connection: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> None:
        whole = len(rows) - len(rows) % self.AT_ONCE
        values = chain.from_iterable(islice(rows, whole))
        connection.executemany(self._many, zip(*[values] * self._values, strict=True))
        connection.executemany(self._one, islice(rows, whole, None))


_ROWS = _Insertion("INSERT INTO journal", len(Row._fields))
_BALANCES = _Insertion(
    "INSERT INTO accounts",
    len(Balance._fields),
    "ON CONFLICT (account) DO UPDATE SET available = excluded.available, "
    "held = excluded.held, pending = excluded.pending, locked = excluded.locked, last = excluded.last, "
    "chain = excluded.chain",
)
_MESSAGES = "INSERT INTO messages (seq, receiver, kind, id, account, amount, time, other) VALUES (?,?,?,?,?,?,?,?)"
_MESSAGE = "seq, receiver, kind, id, account, amount, time, other"
_PASSING = (
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR),
    *(sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY),
)
"""What passes by: another's lock, a full disk, a file system that is away."""
_BUSY_S = 5.0
_CHECKPOINT_PAGES = 1000
"""Often, and little at a time: who waits for a commit waits for the checkpoint behind it, too. It costs no more CPU."""
_CACHE_KIB = 65536
_LAYOUT_FILE = "ledger.json"
_VERSION = 1


class SqliteDatabase(Database):
    """A folder. It is made, with this layout, where there is none; a layout of None is what is there, or the usual.

    Raises:
        OutputError: it can't be made or read, or has another layout.
    """

    def __init__(self, folder: Path, layout: Layout | None = None) -> None:
        self.name = str(folder)
        self._folder = folder
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            self.id, self.layout = _told_of(folder, layout)
        except OSError as fault:
            raise OutputError(f"cannot use the folder {folder}: {fault.strerror}") from fault
        except (ValueError, KeyError, TypeError) as fault:
            raise OutputError(f"{folder / _LAYOUT_FILE} is not a ledger's") from fault
        check_layout(f"the ledger {folder}", self.layout, layout)

    def store(self, shard: int) -> SqliteStore:
        return SqliteStore(self._folder / f"shard-{shard}.db")

    def snapshots(self) -> list[Snapshot]:
        """Nobody writes while they are begun: so all of them are of one moment."""
        stores = [self.store(shard) for shard in range(self.layout.shards)]
        with contextlib.ExitStack() as locks:
            for store in stores:
                locks.callback(store.close)
                store.lock()
            return [self.store(shard).snapshot() for shard in range(self.layout.shards)]

    def close(self) -> None:
        pass


def _told_of(folder: Path, layout: Layout | None) -> tuple[str, Layout]:
    """The ledger's id, and its layout."""
    path = folder / _LAYOUT_FILE
    if not path.exists():
        wanted = layout or Layout()
        told = {"version": _VERSION, "id": new_id(), "shards": wanted.shards, "hash": wanted.hash}
        draft = folder / f".{_LAYOUT_FILE}.{os.getpid()}"
        with draft.open("w") as file:
            file.write(json.dumps(told) + "\n")
            file.flush()
            os.fsync(file.fileno())  # before the first commit, which a loss of power does not undo
        with contextlib.suppress(FileExistsError):  # another was first
            os.link(draft, path)
        draft.unlink()
        _sync_folder(folder)
    found = json.loads(path.read_text())
    if found["version"] != _VERSION:
        raise OutputError(f"the ledger {folder} is of version {found['version']}, and this program of {_VERSION}")
    return str(found["id"]), Layout(int(found["shards"]), Hash(found["hash"]))


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class SqliteStore(Store):
    """A file."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def head(self) -> Head:
        with self._errors():
            return _head(self._open())

    def load(self, wanted: Wanted) -> Loaded:
        with self._errors():
            connection = self._open()
            balances: list[Any] = []
            if wanted.accounts:
                command = "SELECT a.* FROM json_each(?) j CROSS JOIN accounts a ON a.account = j.value"
                balances = connection.execute(command, [orjson.dumps(wanted.accounts).decode()]).fetchall()
            known: list[Any] = []
            if wanted.ids:
                command = (
                    "SELECT t.* FROM json_each(?) j CROSS JOIN journal t ON t.id = j.value "
                    f"AND t.kind <= {int(LAST_OF_CLIENTS)}"
                )
                known = connection.execute(command, [orjson.dumps(wanted.ids).decode()]).fetchall()
            disputes = {}
            if wanted.deposits:
                command = "SELECT d.* FROM json_each(?) j CROSS JOIN disputes d ON d.id = j.value"
                for id_, account, state in connection.execute(command, [orjson.dumps(wanted.deposits).decode()]):
                    disputes[id_, account] = Dispute(state)
            return Loaded(balances, known, disputes)

    def write(self, change: Change) -> None:
        with self._errors():
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            advanced = connection.execute(
                "UPDATE head SET next = ?, token = ?, repeated = repeated + ? WHERE token = ?",
                [change.end, change.token, change.repeated, change.after],
            )
            if advanced.rowcount != 1:
                (token,) = connection.execute("SELECT token FROM head").fetchone()
                connection.execute("ROLLBACK")
                if token == change.token:
                    return
                raise StaleError
            _ROWS.put(connection, change.rows)
            _BALANCES.put(connection, sorted(change.balances))
            connection.executemany("INSERT OR REPLACE INTO steps VALUES (?,?)", change.steps)
            if change.rows:
                at_ms = time.time_ns() // 1_000_000
                connection.execute("INSERT INTO batches VALUES (?,?,?)", [change.begin, change.end, at_ms])
            if change.messages:
                connection.executemany(_MESSAGES, change.messages)
            if change.disputes:
                rows = [(*key, int(state)) for key, state in change.disputes.items()]
                connection.executemany("INSERT OR REPLACE INTO disputes VALUES (?,?,?)", rows)
            connection.execute("COMMIT")

    def messages(self, receiver: int, first: int, most: int) -> list[Message]:
        with self._errors():
            found = self._open().execute(
                f"SELECT {_MESSAGE} FROM messages WHERE receiver = ? AND seq >= ? ORDER BY seq LIMIT ?",
                [receiver, first, most],
            )
            return [message_of(row) for row in found]

    def outstanding(self) -> dict[int, int]:
        with self._errors():
            found = self._open().execute("SELECT receiver, max(seq) FROM messages GROUP BY receiver")
            return dict(found.fetchall())

    def forget_messages(self, receiver: int, end: int) -> None:
        with self._errors():
            self._open().execute("DELETE FROM messages WHERE receiver = ? AND seq < ?", [receiver, end])

    def lock(self) -> None:
        """Nobody else can write until `close`."""
        with self._errors():
            self._open().execute("BEGIN IMMEDIATE")

    def snapshot(self) -> Snapshot:
        with self._errors():
            connection = self._open()
            connection.execute("BEGIN")
            connection.execute("SELECT next FROM head").fetchone()  # now it has begun
            self._connection = None
            return _SqliteSnapshot(connection)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()  # an open transaction ends without effect

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
            self._connection = connection
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'head'").fetchone() is None:
                connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")
        return self._connection

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as fault:
            self.close()
            text = f"cannot use {self.name}: {fault}"
            code = getattr(fault, "sqlite_errorcode", 0) & 0xFF
            raise (StoreGoneError(text) if code in _PASSING else OutputError(text)) from fault


def _head(connection: sqlite3.Connection) -> Head:
    next_seq, token, repeated = connection.execute("SELECT next, token, repeated FROM head").fetchone()
    steps = dict(connection.execute("SELECT source, next FROM steps").fetchall())
    (greatest_id,) = connection.execute(f"SELECT max(id) FROM journal WHERE kind <= {int(LAST_OF_CLIENTS)}").fetchone()
    return Head(next_seq, token, repeated, steps, greatest_id or "")


class _SqliteSnapshot(Snapshot):
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def head(self) -> Head:
        return _head(self._connection)

    def rows(self) -> Iterator[Row]:
        return starmap(Row, self._connection.execute("SELECT * FROM journal ORDER BY seq"))

    def row(self, seq: int) -> Row:
        return Row(*self._connection.execute("SELECT * FROM journal WHERE seq = ?", [seq]).fetchone())

    def batches(self) -> Iterator[Batches]:
        return starmap(Batches, self._connection.execute("SELECT * FROM batches ORDER BY first"))

    def balances(self) -> Iterator[Balance]:
        return starmap(Balance, self._connection.execute("SELECT * FROM accounts ORDER BY account"))

    def balance(self, account: str) -> Balance | None:
        found = self._connection.execute("SELECT * FROM accounts WHERE account = ?", [account]).fetchone()
        return Balance(*found) if found else None

    def messages(self) -> list[Message]:
        return [message_of(row) for row in self._connection.execute(f"SELECT {_MESSAGE} FROM messages ORDER BY seq")]

    def close(self) -> None:
        self._connection.close()
