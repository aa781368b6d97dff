"""What the ledger wants of a database.

Law: `write` is one transaction: all of a change or nothing, and only on top of what the writer thinks is there. So two
who write one shard, one of them thought to be dead, can't both succeed: the token of the change before decides.
"""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from trade_balancer.errors import OutputError
from trade_balancer.ledger.account import Balance
from trade_balancer.ledger.change import Change, Dispute, Key, Message, Row
from trade_balancer.ledger.sharding import Hash
from trade_balancer.ledger.state import Wanted
from trade_balancer.ledger.transaction import Kind


class StoreGoneError(Exception):
    """The database can't be used now. The same may be tried again later; whether a change was stored is known then."""


class StaleError(Exception):
    """Somebody else has written this shard: what is in memory is not true any more, and nothing was stored."""


class Layout(NamedTuple):
    """Of a ledger; it never changes."""

    shards: int = 1
    hash: Hash = Hash.FNV1A


class Head(NamedTuple):
    """Where a shard is."""

    next_seq: int
    token: int
    """Of the newest change."""
    repeated: int
    steps: dict[str, int]
    """By source, the number of the first record that is not in the ledger."""
    greatest_id: str = ""
    """Of clients' transactions, by its code points."""


class Loaded(NamedTuple):
    """What was wanted, as far as it is there."""

    balances: Iterable[Balance]
    known: Iterable[Row]
    """Of clients' transactions; those with one of the wanted ids."""
    disputes: dict[Key, Dispute]


class Batches(NamedTuple):
    """Which rows were stored together."""

    first: int
    end: int
    at_ms: int
    """When, since 1970 UTC, by the clock of the machine that wrote them."""


class Store(ABC):
    """One shard, by a connection of its own, which is opened when it is wanted and again after a StoreGoneError. All
    raise StoreGoneError, and OutputError where trying again does not help."""

    name: str
    """Which database it is, in words that anybody may see."""

    @abstractmethod
    def head(self) -> Head: ...

    @abstractmethod
    def load(self, wanted: Wanted) -> Loaded: ...

    @abstractmethod
    def write(self, change: Change) -> None:
        """Does nothing where this very change is stored. Raises StaleError."""

    @abstractmethod
    def messages(self, receiver: int, first: int, most: int) -> list[Message]:
        """Those for this shard, from this number on."""

    @abstractmethod
    def outstanding(self) -> dict[int, int]:
        """By receiver, the number of its newest message that was not forgotten."""

    @abstractmethod
    def forget_messages(self, receiver: int, end: int) -> None:
        """The receiver has taken those below."""

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """What is there now, whatever is written meanwhile."""

    @abstractmethod
    def close(self) -> None: ...


class Snapshot(ABC):
    """A view of a shard that does not change. To be closed."""

    @abstractmethod
    def head(self) -> Head: ...

    @abstractmethod
    def rows(self) -> Iterator[Row]:
        """The whole journal, in its order."""

    @abstractmethod
    def row(self, seq: int) -> Row:
        """One that is there."""

    def history(self, account: str, most: int) -> Iterator[Row]:
        """An account's entries, the newest first."""
        balance = self.balance(account)
        seq = balance.last if balance else 0
        while seq and most:
            row = self.row(seq)
            yield row
            seq, most = row.previous, most - 1

    @abstractmethod
    def batches(self) -> Iterator[Batches]: ...

    @abstractmethod
    def balances(self) -> Iterator[Balance]: ...

    @abstractmethod
    def balance(self, account: str) -> Balance | None: ...

    @abstractmethod
    def messages(self) -> list[Message]:
        """All that were not forgotten."""

    @abstractmethod
    def close(self) -> None: ...


class Database(ABC):
    """A ledger: its layout and its shards."""

    name: str
    id: str
    """Made with it, at random: no other database has it."""
    layout: Layout

    @abstractmethod
    def store(self, shard: int) -> Store:
        """A new connection to a shard."""

    @abstractmethod
    def snapshots(self) -> list[Snapshot]:
        """Of all shards, of one moment. Raises as Store does."""

    @abstractmethod
    def close(self) -> None: ...


def new_id() -> str:
    """Of a database that is made."""
    return secrets.token_hex(8)


def check_layout(ledger: str, there: Layout, wanted: Layout | None) -> None:
    """Raises OutputError where the layout of this ledger is not the one that is wanted."""
    if wanted is not None and wanted != there:
        raise OutputError(
            f"{ledger} has {there.shards} shards by {there.hash}, not {wanted.shards} by {wanted.hash}: that never "
            "changes"
        )


def message_of(row: Sequence[Any]) -> Message:
    """What a database has of it."""
    seq, receiver, kind, *rest = row
    return Message(seq, receiver, Kind(kind), *rest)


def step_of_shard(sender: int) -> str:
    """The source that another shard's messages are."""
    return f"shard:{sender}"
