"""What a batch changes in a shard: the rows of one transaction of the database."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from trade_balancer.ledger.account import Balance
from trade_balancer.ledger.transaction import Kind


class Row(NamedTuple):
    """Of the journal: an entry, applied or refused."""

    seq: int
    """From 1 on, without a gap, in each shard."""
    id: str | None
    """None of what has no id, or one that another transaction of the account has (then `other` tells it)."""
    account: str | None
    kind: int
    """A Kind; 0 of a record that is no transaction (then `other` is its text)."""
    amount: int
    time: int
    other: str | None
    reason: int | None
    """A Reason; None: it is applied."""
    previous: int
    """The account's entry before; 0: it has none."""


class Message(NamedTuple):
    """A step of a transfer, from one shard to another."""

    seq: int
    """Of the sender's journal: what has caused it. A receiver takes them in this order."""
    receiver: int
    kind: Kind
    """CREDIT, SETTLE or RETURN."""
    id: str
    account: str
    """Of the receiver, that the step is about."""
    amount: int
    time: int
    other: str
    """The account at the transfer's other end."""


class Dispute(IntEnum):
    OPEN = 1
    RESOLVED = 2
    CHARGED_BACK = 3


Key = tuple[str, str]
"""An id, and the account that it is of: what a transaction is known by."""


class Step(NamedTuple):
    """How far a source is read with this change."""

    source: str
    next: int
    """The number of the first record that is not in the ledger."""


@dataclass(slots=True)
class Change:
    """Of the shard's journal it has the rows from `begin` on; `end` is the number behind the last."""

    begin: int
    end: int = 0
    after: int = 0
    """The token of the change that it is made on top of; 0: there is none."""
    token: int = 0
    """A random number, by which a change is known again."""
    rows: list[Row | tuple[object, ...]] = field(default_factory=list)
    balances: list[Balance] = field(default_factory=list)
    disputes: dict[Key, Dispute] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    refused: int = 0
    repeated: int = 0
    """Were in the ledger before: nothing is done."""
