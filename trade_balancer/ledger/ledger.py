"""A ledger as one process works at it: the shards it has, records of sources to them, and transfers between them.

Law: whose records come here is decided by whoever deals them (`lb --route key=account`, Kafka's partitions). If that is
not one process for each shard, all is slower, and as right: what a shard's database says decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from trade_balancer.ledger.change import Message
from trade_balancer.ledger.shard import Letters, Part, Patience, Shard, Totals
from trade_balancer.ledger.sharding import shard_of
from trade_balancer.ledger.state import Outcome
from trade_balancer.ledger.store import Database, Store, step_of_shard
from trade_balancer.ledger.validation import decode

MOST_MESSAGES = 5000
"""In one transaction of the database."""
POLL_S = 0.05
"""Between two looks for messages of other processes' shards."""
SETTLE_S = 5.0
"""At the end: what others send all the time is theirs to take."""
SWEEP_S = 1.0
"""Between two looks at all messages: one that lies there at two of them is nobody's, and everybody's."""


class Ledger:
    """Args:
    database: all of its shards.
    patience: with it, while it is away.
    clock: monotonic, in seconds.
    """

    def __init__(self, database: Database, patience: Patience, clock: Callable[[], float] = time.monotonic) -> None:
        self.id = database.id
        self.layout = database.layout
        self.totals = Totals()
        self._database = database
        self._patience = patience
        self._clock = clock
        self._shards: dict[int, Shard] = {}
        self._stores: dict[int, Store] = {}
        """To read with: of all shards that were looked at."""
        self._lying: set[tuple[int, int, int]] = set()
        """Sender, receiver and number of the newest message that was not taken at the last sweep."""
        self._poll_s: dict[int, float] = {}
        self._sweep_s = 0.0
        """When it is time to."""
        self.shard_of: Callable[[str], int] = lambda _: 0
        if (layout := self.layout).shards > 1:
            self.shard_of = lru_cache(1 << 16)(lambda name: shard_of(name, layout.shards, layout.hash))

    def take(self, parts: Sequence[Part]) -> None:
        """Records of sources with numbers: when it returns, they are in the database. What a source's home has of it is
        stored last: then its step there is true of all shards."""
        decoded = [decode(part.records, *self.layout) for part in parts]
        for is_home in (False, True):
            for number in range(self.layout.shards):
                mine = [
                    (part, lists[number])
                    for part, lists in zip(parts, decoded, strict=True)
                    if (part.home == number) is is_home and (lists[number] or is_home)
                ]
                if mine:
                    some, transactions = zip(*mine, strict=True)
                    self.shard(number).take(some, transactions, self._inbox(number))

    def position(self, source: str, home: int) -> int | None:
        """Where a source goes on, as the database has it now; None: it never came."""
        return self._patience.insist(self._store(home).head).steps.get(source)

    def let_go(self, number: int) -> None:
        """Of a shard that another process works at from now on."""
        if (shard := self._shards.pop(number, None)) is not None:
            shard.close()

    def submit(self, records: list[bytes]) -> list[tuple[Any, Outcome]]:
        """Records of a source without numbers. Returns for each what it says and what became of it, in the database."""
        (transactions,) = decode(records)
        by_shard: dict[int, list[int]] = {}
        for place, transaction in enumerate(transactions):
            name = transaction[1]
            by_shard.setdefault(0 if name is None else self.shard_of(name), []).append(place)
        found: list[Any] = [None] * len(records)
        for number, places in by_shard.items():
            mine = [transactions[place] for place in places]
            part = Part(None, 0, [records[place] for place in places])
            outcomes = self.shard(number).take([part], [mine], self._inbox(number))
            for place, transaction, outcome in zip(places, mine, outcomes, strict=True):
                found[place] = transaction, outcome
        return found

    def tend(self) -> None:
        """Takes what is on its way between shards. To be called now and then."""
        if self.layout.shards == 1:
            return
        while inboxes := {number: inbox for number in self._shards if (inbox := self._inbox(number))}:
            for number, inbox in inboxes.items():
                self.shard(number).take((), (), inbox)
        if self._clock() >= self._sweep_s:
            self._sweep_s = self._clock() + SWEEP_S
            self.sweep()

    def sweep(self, *, is_last: bool = False) -> int:
        """Looks at all messages, forgets those that were taken, and delivers those that nobody takes; or all, if it is
        the last time. Returns how many deliveries are open."""
        lying = set()
        for sender in range(self.layout.shards):
            outstanding = self._patience.insist(self._store(sender).outstanding)
            for receiver, newest in outstanding.items():
                head = self._patience.insist(self._store(receiver).head)
                first = head.steps.get(step_of_shard(sender), 0)
                self._patience.insist(lambda to=receiver, end=first: self._store(sender).forget_messages(to, end))  # type: ignore[misc]  # noqa: B023
                if newest >= first:
                    lying.add((sender, receiver, newest))
        for sender, receiver, newest in lying:
            if is_last or (sender, receiver, newest) in self._lying:
                is_guest = receiver not in self._shards
                guest = self.shard(receiver)
                while letters := self._letters(sender, guest):
                    guest.take((), (), [(sender, letters)])
                if is_guest and not is_last:
                    self._shards.pop(receiver).close()  # another process has it, most likely
        self._lying = lying
        return len(lying)

    def settle(self) -> None:
        """Until no message is left; or others have sent more for so long that it is their affair. It is in the
        database."""
        if self.layout.shards > 1:
            until_s = self._clock() + SETTLE_S
            while self.sweep(is_last=True) and self._clock() < until_s:
                pass

    def close(self) -> None:
        for shard in self._shards.values():
            shard.close()
        for store in self._stores.values():
            store.close()
        self._database.close()

    def shard(self, number: int) -> Shard:
        if number not in self._shards:
            self._shards[number] = Shard(
                number,
                self.layout.shards,
                self._database.store(number),
                lambda records: decode(records, *self.layout)[number],
                self.shard_of,
                self._patience,
                self.totals,
            )
        return self._shards[number]

    def _inbox(self, number: int) -> list[Letters]:
        """What other shards have for this one: those that are here, and now and then the others."""
        if self.layout.shards == 1:
            return []
        receiver = self.shard(number)
        senders = [sender for sender, shard in self._shards.items() if number in shard.has_sent and sender != number]
        if self._clock() >= self._poll_s.get(number, 0.0):
            self._poll_s[number] = self._clock() + POLL_S
            senders += [sender for sender in range(self.layout.shards) if sender not in self._shards]
        inbox: list[Letters] = [(sender, letters) for sender in senders if (letters := self._letters(sender, receiver))]
        for sender in set(senders) & self._shards.keys() - {sender for sender, _ in inbox}:
            self._shards[sender].has_sent.discard(number)
        return inbox

    def _letters(self, sender: int, receiver: Shard) -> list[Message]:
        first = receiver.next_of(step_of_shard(sender))
        return self._patience.insist(lambda: self._store(sender).messages(receiver.number, first, MOST_MESSAGES))

    def _store(self, shard: int) -> Store:
        if shard not in self._stores:
            self._stores[shard] = self._database.store(shard)
        return self._stores[shard]
