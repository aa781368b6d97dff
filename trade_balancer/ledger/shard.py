"""A shard at work: batches of its sources, one after the other, into its database.

Law: a batch is applied to what the database has, and is in it whole or not at all, however often it comes. While the
database is away nothing else is done: the sources wait.
"""

from __future__ import annotations

import secrets
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple, TypeVar

from trade_balancer.errors import OutputError, tell
from trade_balancer.ledger.change import Change, Message, Step
from trade_balancer.ledger.state import Outcome, State
from trade_balancer.ledger.store import Head, StaleError, Store, StoreGoneError, step_of_shard

MOST_ACCOUNTS = 500_000
"""At hand; beyond, all are forgotten and loaded again as they are wanted. An account takes some 300 bytes."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 5.0

_T = TypeVar("_T")


class Part(NamedTuple):
    """Records that came from one source, one after the other."""

    source: str | None
    """None: it has no numbers; what comes twice is known by its id."""
    first: int
    """The number of the first."""
    records: list[bytes]
    ends: Sequence[int] | None = None
    """Behind each record, the number at which the source goes on; None: they are numbered one after the other."""
    home: int | None = None
    """The shard whose step of the source is its position: all before it is in the ledger, whichever shards it is of."""

    @property
    def end(self) -> int:
        return self.ends[-1] if self.ends else self.first + len(self.records)


@dataclass(slots=True)
class Totals:
    """What this process has added to the ledger, and what it was given that was there before."""

    applied: int = 0
    """Rows of the journal, as are those refused."""
    refused: int = 0
    repeated: int = 0


Letters = tuple[int, Sequence[Message]]
"""A shard, and messages that it has sent, in its order."""


class GivenUpError(Exception):
    """The database is away, and the program is to end."""


class Patience:
    """How a database that is away is waited for.

    Args:
        is_over: whether to give up.
        sleep: in seconds.
    """

    def __init__(
        self, is_over: Callable[[], bool] = lambda: False, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._is_over = is_over
        self._sleep = sleep

    def insist(self, work: Callable[[], _T]) -> _T:
        """Does it until it can be done.

        Raises:
            GivenUpError
        """
        pause_s, since_s = FIRST_PAUSE_S, time.monotonic()
        while True:
            try:
                done = work()
            except StoreGoneError as fault:
                if pause_s == FIRST_PAUSE_S:
                    tell(f"{fault}; trying again, and taking nothing meanwhile")
                if self._is_over():
                    raise GivenUpError(str(fault)) from fault
                self._sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                continue
            if pause_s > FIRST_PAUSE_S:
                tell(f"the database is back after {time.monotonic() - since_s:.1f} s")
            return done


class Shard:
    """Args:
    number: of it, of so many `shards`.
    store: its database; it is this object's from then on.
    decode: records into transactions of this shard, others left out.
    shard_of: of an account's name.
    totals: it adds to them.
    """

    def __init__(
        self,
        number: int,
        shards: int,
        store: Store,
        decode: Callable[[list[bytes]], list[Any]],
        shard_of: Callable[[str], int],
        patience: Patience,
        totals: Totals,
    ) -> None:
        self.number = number
        self.has_sent: set[int] = set()
        """Which shards may have messages from it to take."""
        self._shards = shards
        self._store = store
        self._decode = decode
        self._shard_of = shard_of
        self._patience = patience
        self._totals = totals
        self._head: Head
        self._state: State
        self._begin_anew()

    def next_of(self, source: str) -> int:
        """The number of the first record of a source that is not in the ledger, as this process knows."""
        return self._head.steps.get(source, 0)

    def take(
        self, parts: Sequence[Part], transactions: Sequence[list[Any]] | None = None, inbox: Sequence[Letters] = ()
    ) -> list[Outcome]:
        """Applies, in one transaction of the database, what is not in the ledger yet of other shards' messages, and of
        those of these records that are this shard's. `transactions`: of each part, where they were decoded before.
        Returns an outcome for each transaction."""
        while True:
            outcomes: list[Outcome] = []
            letters = self._unread(inbox)
            fresh = self._fresh(parts, transactions)
            wanted = self._state.wanted(fresh, (message for _, some in letters for message in some))
            if any(wanted):
                self._state.load(*self._patience.insist(lambda wanted=wanted: self._store.load(wanted)))  # type: ignore[misc]
            for sender, messages in letters:
                self._state.deliver(sender, messages)
            self._state.apply(fresh, outcomes)
            change = self._state.close_batch()
            change.steps = self._steps(parts, letters)
            if self._commit(change):
                return outcomes

    def close(self) -> None:
        self._store.close()

    def _unread(self, inbox: Sequence[Letters]) -> list[Letters]:
        """Those that were not taken before."""
        steps = ((sender, messages, self.next_of(step_of_shard(sender))) for sender, messages in inbox)
        unread = ((sender, [one for one in messages if one.seq >= first]) for sender, messages, first in steps)
        return [(sender, some) for sender, some in unread if some]

    def _fresh(self, parts: Sequence[Part], transactions: Sequence[list[Any]] | None) -> list[Any]:
        """Transactions that are not in the ledger, as far as the numbers of their records tell."""
        ahead = [self._ahead(part) for part in parts]
        if transactions is None or any(ahead):
            transactions = [self._decode(part.records[skip:]) for part, skip in zip(parts, ahead, strict=True)]
        return transactions[0] if len(transactions) == 1 else list(chain.from_iterable(transactions))

    def _steps(self, parts: Sequence[Part], letters: Sequence[Letters]) -> list[Step]:
        ends = [(part.source, part.end) for part in parts if part.source is not None]
        ends += [(step_of_shard(sender), messages[-1].seq + 1) for sender, messages in letters]
        return [Step(source, end) for source, end in ends if end > self.next_of(source)]

    def _ahead(self, part: Part) -> int:
        """How many of its records are in the ledger already."""
        if part.source is None:
            return 0
        if part.ends is not None:
            self._check_position(part)
            return bisect_right(part.ends, self.next_of(part.source))
        return min(max(self.next_of(part.source) - part.first, 0), len(part.records))

    def _check_position(self, part: Part) -> None:
        """Raises OutputError where what lies between the position and the part would be passed over: somebody has
        put an older database into this one's place."""
        position = self.next_of(part.source or "")
        if part.home == self.number and position < part.first:
            raise OutputError(
                f"{self._store.name} has {part.source} up to {position}, and had it up to {part.first}: it is not what "
                "it was"
            )

    def _commit(self, change: Change) -> bool:
        """Returns False where another has written the shard meanwhile: all has to be done again, on top of that."""
        if not change.rows and not change.steps and not change.repeated:
            return True
        change.after = self._head.token
        change.token = secrets.randbits(62) + 1
        try:
            self._patience.insist(lambda: self._store.write(change))
        except StaleError:
            self._begin_anew()
            return False
        self._head = self._head._replace(token=change.token, next_seq=change.end)
        self._head.steps.update(change.steps)
        self._totals.applied += len(change.rows) - change.refused
        self._totals.refused += change.refused
        self._totals.repeated += change.repeated
        self.has_sent |= {message.receiver for message in change.messages}
        if len(self._state) > MOST_ACCOUNTS:
            self._state.forget()
        return True

    def _begin_anew(self) -> None:
        self._head = self._patience.insist(self._store.head)
        self._state = State(self.number, self._head.next_seq, self._head.greatest_id, self._shard_of)
        self.has_sent = set(range(self._shards))
