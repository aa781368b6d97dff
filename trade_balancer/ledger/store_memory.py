"""A ledger in memory: for tests, and to try things. It is gone with the process."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from trade_balancer.ledger.account import Balance
from trade_balancer.ledger.change import Change, Dispute, Key, Message, Row
from trade_balancer.ledger.state import Wanted
from trade_balancer.ledger.store import Batches, Database, Head, Layout, Loaded, Snapshot, StaleError, Store, new_id
from trade_balancer.ledger.transaction import LAST_OF_CLIENTS


class _Tables:
    """What a database has of a shard."""

    def __init__(self) -> None:
        self.journal: list[Row] = []
        self.by_key: dict[Key, Row] = {}
        self.balances: dict[str, Balance] = {}
        self.disputes: dict[Key, Dispute] = {}
        self.messages: list[Message] = []
        self.steps: dict[str, int] = {}
        self.batches: list[Batches] = []
        self.repeated = 0
        self.token = 0

    def head(self) -> Head:
        return Head(
            len(self.journal) + 1,
            self.token,
            self.repeated,
            dict(self.steps),
            max((id_ for id_, _ in self.by_key), default=""),
        )


class MemoryDatabase(Database):
    name = "memory"

    def __init__(self, layout: Layout = Layout()) -> None:  # noqa: B008 - it never changes
        self.id = new_id()
        self.layout = layout
        self._tables = [_Tables() for _ in range(layout.shards)]

    def store(self, shard: int) -> MemoryStore:
        return MemoryStore(self._tables[shard])

    def snapshots(self) -> list[Snapshot]:
        return [self.store(shard).snapshot() for shard in range(self.layout.shards)]

    def close(self) -> None:
        pass


class MemoryStore(Store):
    name = MemoryDatabase.name

    def __init__(self, tables: _Tables) -> None:
        self._tables = tables

    def head(self) -> Head:
        return self._tables.head()

    def load(self, wanted: Wanted) -> Loaded:
        tables, ids = self._tables, set(wanted.ids)
        return Loaded(
            [tables.balances[name] for name in wanted.accounts if name in tables.balances],
            [row for (id_, _), row in tables.by_key.items() if id_ in ids],
            {key: state for key, state in tables.disputes.items() if key[0] in wanted.deposits},
        )

    def write(self, change: Change) -> None:
        tables = self._tables
        if tables.token == change.token:
            return
        if tables.token != change.after:
            raise StaleError
        rows = [Row(*row) for row in change.rows]
        keyed: dict[Any, Row] = {
            (row.id, row.account): row for row in rows if row.id is not None and row.kind <= LAST_OF_CLIENTS
        }
        assert not keyed.keys() & tables.by_key.keys(), "as the databases' unique indexes"
        tables.journal += rows
        tables.by_key |= keyed
        tables.balances |= {balance.account: balance for balance in change.balances}
        tables.disputes |= change.disputes
        tables.messages += change.messages
        tables.steps |= {step.source: step.next for step in change.steps}
        if rows:
            tables.batches.append(Batches(change.begin, change.end, time.time_ns() // 1_000_000))
        tables.repeated += change.repeated
        tables.token = change.token

    def messages(self, receiver: int, first: int, most: int) -> list[Message]:
        wanted = (one for one in self._tables.messages if one.receiver == receiver and one.seq >= first)
        return list(islice(wanted, most))

    def outstanding(self) -> dict[int, int]:
        return {one.receiver: one.seq for one in self._tables.messages}

    def forget_messages(self, receiver: int, end: int) -> None:
        kept = [one for one in self._tables.messages if one.receiver != receiver or one.seq >= end]
        self._tables.messages = kept

    def snapshot(self) -> Snapshot:
        return _MemorySnapshot(copy.deepcopy(self._tables))

    def close(self) -> None:
        pass


class _MemorySnapshot(Snapshot):
    def __init__(self, tables: _Tables) -> None:
        self._tables = tables

    def head(self) -> Head:
        return self._tables.head()

    def rows(self) -> Iterator[Row]:
        return iter(self._tables.journal)

    def row(self, seq: int) -> Row:
        return self._tables.journal[seq - 1]

    def batches(self) -> Iterator[Batches]:
        return iter(self._tables.batches)

    def balances(self) -> Iterator[Balance]:
        return iter(self._tables.balances.values())

    def balance(self, account: str) -> Balance | None:
        return self._tables.balances.get(account)

    def messages(self) -> list[Message]:
        return self._tables.messages

    def close(self) -> None:
        pass
