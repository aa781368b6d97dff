"""Crashes at every step, by a seed: workers die and come back anywhere between two calls of source and database, the
database fails before, in and after a commit, and those that were thought to be dead go on.

    .venv/bin/python tests/ledger/ledger_simulation.py 10000    # seeds; ends with 1 where one of them is wrong
"""

from __future__ import annotations

import contextlib
import io
import sys
from bisect import bisect_right
from itertools import accumulate
from random import Random
from typing import Any

import orjson

from trade_balancer.ledger.audit import audit
from trade_balancer.ledger.change import Change, Message, Row
from trade_balancer.ledger.ledger import Ledger
from trade_balancer.ledger.shard import Part, Patience
from trade_balancer.ledger.sharding import shard_of
from trade_balancer.ledger.state import Wanted
from trade_balancer.ledger.store import Database, Head, Layout, Loaded, Snapshot, Store, StoreGoneError
from trade_balancer.ledger.store_memory import MemoryDatabase
from trade_balancer.ledger.transaction import LAST_OF_CLIENTS, Kind

ACCOUNTS = [f"account-{number}" for number in range(9)]


class Crash(BaseException):
    """The process that is in this call has died."""


class Faults:
    """What may happen at a call; nothing any more once it is `over`."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.share = random.choice([0.0, 0.02, 0.1, 0.3])
        self.met = 0

    def strike(self) -> None:
        if self.random.random() < self.share:
            self.met += 1
            raise Crash if self.random.random() < 0.5 else StoreGoneError("away")


class FaultyStore(Store):
    """A store of which each call may fail or be the process's last, before and after it has done its work."""

    name = "faulty"

    def __init__(self, store: Store, faults: Faults) -> None:
        self._store, self._faults = store, faults

    def _do(self, work: Any) -> Any:
        self._faults.strike()
        done = work()
        self._faults.strike()
        return done

    def head(self) -> Head:
        return self._do(self._store.head)

    def load(self, wanted: Wanted) -> Loaded:
        return self._do(lambda: self._store.load(wanted))

    def write(self, change: Change) -> None:
        self._do(lambda: self._store.write(change))

    def messages(self, receiver: int, first: int, most: int) -> list[Message]:
        return self._do(lambda: self._store.messages(receiver, first, most))

    def outstanding(self) -> dict[int, int]:
        return self._do(self._store.outstanding)

    def forget_messages(self, receiver: int, end: int) -> None:
        self._do(lambda: self._store.forget_messages(receiver, end))

    def snapshot(self) -> Snapshot:
        return self._store.snapshot()

    def close(self) -> None:
        self._store.close()


class FaultyDatabase(Database):
    name = "faulty"

    def __init__(self, database: MemoryDatabase, faults: Faults) -> None:
        self.id, self.layout, self._database, self._faults = database.id, database.layout, database, faults

    def store(self, shard: int) -> Store:
        return FaultyStore(self._database.store(shard), self._faults)

    def snapshots(self) -> list[Snapshot]:
        return self._database.snapshots()

    def close(self) -> None:
        pass


class Pipe:
    """A source that keeps what was not acknowledged, and the worker that reads it; `ghosts` are workers that were
    replaced and have not noticed, with what they had read."""

    def __init__(self, number: int, records: list[bytes]) -> None:
        self.source, self.records = f"pipe:{number}", records
        self.home: int | None = None
        self.acknowledged = self.read = 0
        self.ledger: Ledger | None = None
        self.ghosts: list[tuple[Ledger, Part]] = []

    def begin(self, ledger: Ledger) -> None:
        self.ledger, self.read = ledger, self.acknowledged

    def part(self, most: int) -> Part:
        return Part(self.source, self.read, self.records[self.read : self.read + most])


class Partition(Pipe):
    """One that asks the ledger where it goes on; its numbers have gaps, and some records have one number."""

    def __init__(self, number: int, records: list[bytes], random: Random, shards: int) -> None:
        super().__init__(number, records)
        self.home = number % shards
        self.ends = list(accumulate(random.choice([0, 1, 1, 1, 5]) for _ in records))
        self.ends = [end + 1 for end in self.ends]

    def begin(self, ledger: Ledger) -> None:
        assert self.home is not None
        position = ledger.position(self.source, self.home)
        self.ledger, self.read = ledger, bisect_right(self.ends, position or 0)
        assert self.read >= self.acknowledged, "what was finished is not there"

    def part(self, most: int) -> Part:
        """Records with one number are never parted."""
        end = min(self.read + most, len(self.records))
        while 0 < end < len(self.ends) and self.ends[end - 1] == self.ends[end]:
            end += 1
        first = self.ends[self.read - 1] if self.read else 0
        return Part(self.source, first, self.records[self.read : end], self.ends[self.read : end], self.home)


class Simulation:
    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.faults = Faults(random)
        self.database = MemoryDatabase(Layout(random.choice([1, 2, 3, 4])))
        self.faulty = FaultyDatabase(self.database, self.faults)
        self.now_s = 0.0
        self.is_by_key = random.random() < 0.8
        records = [self._record(number) for number in range(random.choice([20, 60, 120]))]
        shards = self.database.layout.shards
        dealt: list[list[bytes]] = [[] for _ in range(shards)]
        for account, record in records:
            by_key = shard_of(account, *self.database.layout)
            dealt[by_key if self.is_by_key else random.randrange(shards)].append(record)
        self.total = len(records)
        is_kafka = random.random() < 0.5
        self.pipes = [
            Partition(number, some, random, shards) if is_kafka else Pipe(number, some)
            for number, some in enumerate(dealt)
        ]

    def run(self) -> int:
        """Returns how many faults there were. Raises AssertionError where the ledger is wrong."""
        while any(pipe.acknowledged < len(pipe.records) for pipe in self.pipes):
            self._step(self.random.choice(self.pipes))
        for pipe in self.pipes:
            for ghost, part in pipe.ghosts:
                self._try(lambda ghost=ghost, part=part: ghost.take([part]))  # type: ignore[misc]
        self.faults.share = 0
        Ledger(self.faulty, Patience(sleep=lambda _: None)).settle()
        self._check()
        return self.faults.met

    def _step(self, pipe: Pipe) -> None:
        random = self.random
        self.now_s += random.random()
        if pipe.ledger is None:
            begun = Ledger(self.faulty, Patience(sleep=lambda _: None), lambda: self.now_s)
            if not self._try(lambda: pipe.begin(begun)):
                return
        ledger, part = pipe.ledger, pipe.part(random.randrange(9))
        assert ledger is not None
        chance = random.random()
        if chance < self.faults.share / 10:  # it stands still, is thought to be dead, and goes on later
            pipe.ghosts.append((ledger, part))
            pipe.ledger = None
        elif pipe.ghosts and chance < 0.1:
            ghost, old = random.choice(pipe.ghosts)
            if not self._try(lambda: ghost.take([old])):
                pipe.ghosts.remove((ghost, old))
        elif not self._try(lambda: (ledger.take([part]) if part.records else None, ledger.tend())):
            pipe.ledger = None
        else:
            pipe.read += len(part.records)
            if random.random() > self.faults.share:
                pipe.acknowledged = max(pipe.read, pipe.acknowledged)
            else:
                pipe.ledger = None  # died with its work done, and nobody told

    def _try(self, work: Any) -> bool:
        """Returns whether the process has survived it."""
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                work()
        except Crash:
            return False
        return True

    def _record(self, number: int) -> tuple[str, bytes]:
        random = self.random
        account, other = random.sample(ACCOUNTS, 2)
        if random.random() < 0.1:  # it has no id: only its number on the pipe tells that it came before
            return account, f'{{"account":"{account}","number":{number}}}'.encode()
        kind = random.choice(
            ["deposit", "deposit", "withdrawal", "transfer", "transfer", "dispute", "resolve", "chargeback"]
        )
        told = f'"kind":"{kind}","amount":"{random.randrange(1, 50)}.5"'
        if kind == "transfer":
            told += f',"to":"{other}"'
        if kind in ("dispute", "resolve", "chargeback"):
            told = f'"kind":"{kind}","of":"{random.randrange(number + 1)}"'
        return account, f'{{"id":"{number}","account":"{account}","time":{number},{told}}}'.encode()

    def _check(self) -> None:
        snapshots = self.database.snapshots()
        findings = audit(self.database.layout, snapshots)
        assert findings.faults == []
        assert findings.in_flight == 0
        rows = [row for snapshot in snapshots for row in snapshot.rows() if row.kind <= LAST_OF_CLIENTS]
        assert sorted(map(_number_of, rows)) == list(range(self.total))
        if self.is_by_key:
            for account in ACCOUNTS:
                of_account = [_number_of(row) for row in rows if row.account == account]
                assert of_account == sorted(of_account), "out of order"
        credits_ = [row for snapshot in snapshots for row in snapshot.rows() if row.kind == Kind.CREDIT]
        assert len({(row.id, row.account) for row in credits_}) == len(credits_)


def _number_of(row: Row) -> int:
    if row.id is not None:
        return int(row.id)
    return int(orjson.loads(row.other or "")["number"])


def main() -> int:
    seeds, met = int(sys.argv[1]), 0
    for seed in range(seeds):
        try:
            met += Simulation(seed).run()
        except AssertionError as fault:
            print(f"seed {seed}: {fault}")
            return 1
    print(f"{seeds} seeds, {met} crashes and failures of the database, 0 violations")
    return 0


if __name__ == "__main__":
    sys.exit(main())
