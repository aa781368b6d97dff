"""The ledger against the model, a dictionary of accounts: whatever transactions come, in whatever batches, to however
many shards, in memory, in SQLite and in PostgreSQL, with batches that come again, programs that begin anew, and others
that write the same shards."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import database_server
import psycopg
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from ledger_model import Model, names, record_of, transactions
from postgresql_server import Server

from trade_balancer.ledger.audit import audit
from trade_balancer.ledger.change import Change, Row
from trade_balancer.ledger.ledger import SWEEP_S, Ledger
from trade_balancer.ledger.shard import Part, Patience
from trade_balancer.ledger.sharding import shard_of
from trade_balancer.ledger.store import Database, Head, Layout, StaleError
from trade_balancer.ledger.store_memory import MemoryDatabase
from trade_balancer.ledger.store_postgres import PostgresDatabase
from trade_balancer.ledger.store_sqlite import SqliteDatabase
from trade_balancer.ledger.transaction import Reason, text_of
from trade_balancer.ledger.validation import read

malformed = st.sampled_from([b"{}", b"not JSON", b'{"id":"1","account":"ada"}', b"\xff\xfe\0"])


class LedgerMachine(RuleBasedStateMachine):
    """`database`: makes one that is empty."""

    database: Callable[[Layout], AbstractContextManager[Database]]

    @initialize(shards=st.sampled_from([1, 1, 3]))
    def begin(self, shards: int) -> None:
        self.model = Model()
        self.malformed = 0
        self._opened = type(self).database(Layout(shards))
        self.data = self._opened.__enter__()
        self.ledgers = [Ledger(self.data, Patience()) for _ in range(2)]
        self.records: list[bytes] = []
        """All that the source has given."""

    def teardown(self) -> None:
        if hasattr(self, "_opened"):
            for ledger in self.ledgers:
                ledger.close()
            self._opened.__exit__(None, None, None)

    @rule(some=st.lists(transactions(), min_size=1, max_size=8), worker=st.integers(0, 1))
    def submit(self, some: list[dict[str, Any]], worker: int) -> None:
        """Clients' transactions, by ids alone; each is told what became of it."""
        for batch in self._batches(some):
            answers = self.ledgers[worker].submit([record_of(one) for one in batch])
            for one, (transaction, outcome) in zip(batch, answers, strict=True):
                expected = self.model.take(one)
                assert transaction[0] == one["id"]
                told = None if outcome.reason is None else Reason(outcome.reason).word
                assert told == expected or outcome.is_pending, one
            self.ledgers[worker].settle()

    @rule(
        some=st.lists(transactions().map(record_of) | malformed, min_size=1, max_size=8),
        again=st.integers(0, 5),
        worker=st.integers(0, 1),
    )
    def take(self, some: list[bytes], again: int, worker: int) -> None:
        """Records of a source with numbers, of which the last came before."""
        for batch in self._batches(some):
            first = max(len(self.records) - again, 0)
            self.records += batch
            self.ledgers[worker].take([Part("source", first, self.records[first:])])
            self.ledgers[worker].settle()
        for record in some:
            if read(record).kind > 0:
                self.model.take(json.loads(record))
            else:
                self.malformed += 1

    @rule(name=names, worker=st.integers(0, 1))
    def lock(self, name: str, worker: int) -> None:
        """By a chargeback: what comes for the account afterwards is refused, from another shard as well."""
        number = f"lock {len(self.model.seen)}"
        deposit = {"id": number, "account": name, "kind": "deposit", "amount": "0.5", "time": 1}
        dispute = {"id": f"{number} d", "account": name, "kind": "dispute", "of": number, "time": 1}
        chargeback = {"id": f"{number} c", "account": name, "kind": "chargeback", "of": number, "time": 1}
        self.submit([deposit, dispute, chargeback], worker)

    @rule(worker=st.integers(0, 1))
    def begin_anew(self, worker: int) -> None:
        """The process has died, and another begins."""
        self.ledgers[worker].close()
        self.ledgers[worker] = Ledger(self.data, Patience())

    @invariant()
    def balances_are_the_model_s(self) -> None:
        if not hasattr(self, "data"):
            return
        snapshots = self.data.snapshots()
        try:
            found = {one.account: one for snapshot in snapshots for one in snapshot.balances()}
            findings = audit(self.data.layout, snapshots)
            malformed = sum(row.kind == 0 for snapshot in snapshots for row in snapshot.rows())
        finally:
            for snapshot in snapshots:
                snapshot.close()
        assert not findings.faults
        assert findings.in_flight == 0
        assert malformed == self.malformed
        assert {name: (text_of(one.available), text_of(one.held), bool(one.locked)) for name, one in found.items()} == {
            name: (_plain(one.available), _plain(one.held), one.locked) for name, one in self.model.accounts.items()
        }

    def _batches(self, some: list[Any]) -> list[list[Any]]:
        """Money between shards has to arrive before anything else happens: until then it is not there, which the model
        knows not."""
        return [some] if self.data.layout.shards == 1 else [[one] for one in some]


def _plain(amount: Decimal) -> str:
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@contextmanager
def in_memory(layout: Layout) -> Iterator[Database]:
    yield MemoryDatabase(layout)


@contextmanager
def in_sqlite(layout: Layout) -> Iterator[Database]:
    folder = tempfile.mkdtemp(prefix="lb-ledger-")
    try:
        yield SqliteDatabase(Path(folder) / "ledger", layout)
    finally:
        shutil.rmtree(folder)


def _check(database: Callable[[Layout], AbstractContextManager[Database]], examples: int) -> None:
    machine = type("Machine", (LedgerMachine,), {"database": staticmethod(database)})
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=20))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with database_server.running(Server) as server:
        yield server


def in_postgresql(server: Server) -> Callable[[Layout], AbstractContextManager[Database]]:
    @contextmanager
    def database(layout: Layout) -> Iterator[Database]:
        with psycopg.connect(server.conninfo, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        yield PostgresDatabase(server.conninfo, layout)

    return database


def _check_write(database: Callable[[Layout], AbstractContextManager[Database]]) -> None:
    """A change whose answer was lost is written again: it is there once. Another one on top of the same is not."""
    change = Change(1, 2, token=7, rows=[Row(1, None, None, 0, 0, 0, "{}", 1, 0)], repeated=3)
    with database(Layout()) as data, closing(data.store(0)) as store:
        store.write(change)
        store.write(change)
        with pytest.raises(StaleError):
            store.write(replace(change, token=8))
        assert store.head() == Head(2, 7, 3, {})
        with closing(store.snapshot()) as snapshot:
            assert list(snapshot.rows()) == change.rows


@pytest.mark.parametrize("database", [in_memory, in_sqlite])
def test_a_change_is_stored_once(database: Callable[[Layout], AbstractContextManager[Database]]) -> None:
    _check_write(database)


@pytest.mark.slow
def test_a_change_is_stored_once_in_postgresql(server: Server) -> None:
    _check_write(in_postgresql(server))


def test_money_for_a_shard_that_nobody_works_at_comes_at_the_second_look() -> None:
    now_s = 0.0
    data = MemoryDatabase(Layout(2))
    some = [f"account-{number}" for number in range(99)]
    sender, receiver = (next(one for one in some if shard_of(one, *data.layout) == shard) for shard in (0, 1))
    deposit = {"id": "1", "account": sender, "kind": "deposit", "amount": "1", "time": 1}
    transfer = deposit | {"id": "2", "kind": "transfer", "to": receiver}
    with closing(Ledger(data, Patience(), lambda: now_s)) as ledger:
        ledger.submit([record_of(deposit), record_of(transfer)])
        for has_come in (False, True):
            ledger.tend()
            assert (data.store(1).snapshot().balance(receiver) is not None) == has_come
            now_s += 2 * SWEEP_S


def test_in_memory() -> None:
    _check(in_memory, 60)


def test_in_sqlite() -> None:
    _check(in_sqlite, 10)


@pytest.mark.slow
def test_in_postgresql(server: Server) -> None:
    _check(in_postgresql(server), 5)


@pytest.mark.slow
def test_a_server_that_is_killed_is_waited_for_and_nothing_is_lost_or_done_twice(server: Server) -> None:
    """Both with a connection that breaks, and with a server that is not there for some tries."""
    deposits = [{"id": str(n), "account": f"a{n % 5}", "kind": "deposit", "amount": "1", "time": n} for n in range(400)]
    kills = 0

    def bring_back(_: float) -> None:
        nonlocal kills
        kills += 1
        if kills % 3 == 0:
            server.start()

    with in_postgresql(server)(Layout(2)) as database:
        ledger = Ledger(database, Patience(sleep=bring_back))
        for at in range(0, 400, 50):
            if at in (100, 250):
                server.kill()
            ledger.take([Part("source", at, [record_of(one) for one in deposits[at : at + 50]])])
        ledger.close()
        snapshots = database.snapshots()
        findings = audit(database.layout, snapshots)
        for snapshot in snapshots:
            snapshot.close()
    assert kills >= 6
    assert findings.faults == []
    assert (findings.applied, findings.repeated) == (400, 0)
