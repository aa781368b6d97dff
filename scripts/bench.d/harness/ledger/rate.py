"""Transactions a second into SQLite, durable, one process: ours, a commit for each, and threads with a lock."""

import gc
import json
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path

from harness.errors import TrialError
from harness.ledger import row
from harness.ledger.transactions import records
from harness.rows import Terms
from trade_balancer.ledger.audit import audit
from trade_balancer.ledger.ledger import Ledger
from trade_balancer.ledger.run import keep_garbage_collector_away
from trade_balancer.ledger.shard import Part, Patience
from trade_balancer.ledger.store import Database
from trade_balancer.ledger.store_sqlite import SqliteDatabase
from trade_balancer.ledger.validation import decode

RATE = "transactions/s into SQLite, durable, one process, 10,000 accounts (Zipf)"
CPU = "... CPU per transaction"
TO_ONE_BY_ONE = "... to a commit for each transaction"
TO_LOCK = "... to 4 threads with one lock, json and Decimal, 1,000 a commit"
MILLION = "... 1,000,000 accounts, one after the other, as many transactions"
P99 = "... arrival to commit, p99, at half that rate"
VALIDATION = "validation alone, records/s and core"

_BATCH = 10_000
_COUNT, _QUICK_COUNT = 300_000, 2_000
_LOCK_BATCH = 1_000
_THREADS = 4
_TABLES = (
    "CREATE TABLE journal (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, account TEXT, kind TEXT, amount INTEGER)",
    "CREATE TABLE accounts (account TEXT PRIMARY KEY, balance INTEGER NOT NULL)",
)
_UPSERT = "INSERT INTO accounts VALUES (?, ?) ON CONFLICT (account) DO UPDATE SET balance = balance + excluded.balance"


def some_of(terms: Terms) -> list[bytes]:
    return list(records(_QUICK_COUNT if terms.quick else _COUNT))


def _ours(folder: Path, work: Callable[[Ledger], float]) -> float:
    """With an empty ledger of SQLite's."""
    shutil.rmtree(folder, ignore_errors=True)
    return found_with(SqliteDatabase(folder), work)


def found_with(database: Database, work: Callable[[Ledger], float]) -> float:
    """What `work` finds with an empty ledger, as its program has it; it must be right behind it."""
    threshold = gc.get_threshold()
    keep_garbage_collector_away()
    with closing(Ledger(database, Patience())) as ledger:
        found = work(ledger)
    gc.unfreeze()
    gc.set_threshold(*threshold)
    snapshots = database.snapshots()
    faults = audit(database.layout, snapshots).faults
    for snapshot in snapshots:
        snapshot.close()
    if faults:
        raise TrialError(faults[0])
    return found


def _seconds(terms: Terms, clock: Callable[[], float]) -> float:
    some = some_of(terms)

    return _ours(terms.build / "ledger", lambda ledger: seconds_of(ledger, some, clock))


def seconds_of(ledger: Ledger, some: list[bytes], clock: Callable[[], float]) -> float:
    begin_s = clock()
    for at in range(0, len(some), _BATCH):
        ledger.take([Part("bench", at, some[at : at + _BATCH])])
    return clock() - begin_s


def _rate(terms: Terms) -> float:
    return len(some_of(terms)) / _seconds(terms, time.monotonic)


@row(RATE)
def rate(terms: Terms) -> list[float]:
    return [_rate(terms) / 1000 for _ in range(terms.rounds)]


@row(CPU)
def cpu(terms: Terms) -> list[float]:
    return [_seconds(terms, time.process_time) / len(some_of(terms)) * 1e6 for _ in range(terms.rounds)]


@row(TO_ONE_BY_ONE)
def to_one_by_one(terms: Terms) -> list[float]:
    return [_rate(terms) / _one_by_one(terms) for _ in range(terms.rounds)]


@row(MILLION)
def million(terms: Terms) -> list[float]:
    """Each account is new, and more of them come than are kept at hand."""
    some = [
        b'{"id":"01J%013d","account":"acct-%07d","kind":"deposit","amount":"1.5","time":%d}' % (number, number, number)
        for number in range(_QUICK_COUNT if terms.quick else 1_000_000)
    ]
    seconds = _ours(terms.build / "ledger", lambda ledger: seconds_of(ledger, some, time.monotonic))
    return [len(some) / seconds / 1000]


@row(TO_LOCK)
def to_lock(terms: Terms) -> list[float]:
    return [_rate(terms) / _with_a_lock(terms) for _ in range(terms.rounds)]


@row(P99)
def p99(terms: Terms) -> list[float]:
    """In ms. Records are due at a steady pace; all that are due are applied together, as the worker does."""
    return [_p99_ms(terms, _rate(terms) / 2) for _ in range(terms.rounds)]


@row(VALIDATION)
def validation(terms: Terms) -> list[float]:
    some = some_of(terms)
    found = []
    for _ in range(terms.rounds):
        begin_s = time.process_time()
        for at in range(0, len(some), _BATCH):
            decode(some[at : at + _BATCH])
        found.append(len(some) / (time.process_time() - begin_s) / 1000)
    return found


def _p99_ms(terms: Terms, per_second: float) -> float:
    some = some_of(terms)

    def work(ledger: Ledger) -> float:
        waited_s: list[float] = []
        at, begin_s = 0, time.monotonic()
        while at < len(some):
            end = min(int((time.monotonic() - begin_s) * per_second), len(some), at + _BATCH)
            if end > at:
                ledger.take([Part("bench", at, some[at:end])])
                now_s = time.monotonic() - begin_s
                waited_s += [now_s - number / per_second for number in range(at, end)]
                at = end
        return sorted(waited_s)[int(len(waited_s) * 0.99)] * 1000

    return _ours(terms.build / "ledger", work)


def _plain_database(path: Path) -> sqlite3.Connection:
    for name in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        name.unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    for command in _TABLES:
        connection.execute(command)
    return connection


def _put(connection: sqlite3.Connection, record: bytes) -> None:
    told = json.loads(record)
    units = int(Decimal(told["amount"]) * 100)
    signed = units if told["kind"] == "deposit" else -units
    row_ = [told["id"], told["account"], told["kind"], units]
    connection.execute("INSERT INTO journal (id, account, kind, amount) VALUES (?, ?, ?, ?)", row_)
    connection.execute(_UPSERT, [told["account"], signed])
    if told["kind"] == "transfer":
        connection.execute(_UPSERT, [told["to"], units])


def _one_by_one(terms: Terms) -> float:
    some = some_of(terms)[: 500 if terms.quick else 20_000]
    with closing(_plain_database(terms.build / "one-by-one.db")) as connection:
        begin_s = time.monotonic()
        for record in some:
            connection.execute("BEGIN IMMEDIATE")
            _put(connection, record)
            connection.execute("COMMIT")
        return len(some) / (time.monotonic() - begin_s)


def _with_a_lock(terms: Terms) -> float:
    some = some_of(terms)[: 2_000 if terms.quick else 100_000]
    lock = threading.Lock()
    with closing(_plain_database(terms.build / "lock.db")) as connection:

        def work(mine: list[bytes]) -> None:
            for at in range(0, len(mine), _LOCK_BATCH):
                with lock:
                    connection.execute("BEGIN IMMEDIATE")
                    for record in mine[at : at + _LOCK_BATCH]:
                        _put(connection, record)
                    connection.execute("COMMIT")

        threads = [threading.Thread(target=work, args=(some[number::_THREADS],)) for number in range(_THREADS)]
        begin_s = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return len(some) / (time.monotonic() - begin_s)
