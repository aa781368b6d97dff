"""An account: what it has, and the chain of what was applied to it."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

import orjson

from trade_balancer.ledger.transaction import MOST_BALANCE, Reason

Entry = tuple[str | None, str | None, int, int, int, str | None]
"""Of the journal: id, account, kind, amount, time, other; see Transaction."""

CHAIN_BYTES = 16
FIRST_LINK = bytes(CHAIN_BYTES)


class Balance(NamedTuple):
    """A row of the table of accounts. Amounts are in units."""

    account: str
    available: int
    held: int
    """By disputes."""
    pending: int
    """On its way to an account of another shard."""
    locked: int
    """1 after a chargeback."""
    last: int
    """The journal's number of its newest entry."""
    chain: bytes

    @property
    def total(self) -> int:
        return self.available + self.held + self.pending


class Account:
    """The same while transactions are applied to it; `log`: what the batch in hand has applied, None where it has not
    touched the account."""

    __slots__ = ("available", "chain", "held", "last", "locked", "log", "name", "pending")

    def __init__(self, balance: Balance) -> None:
        self.name, self.available, self.held, self.pending, self.locked, self.last, self.chain = balance
        self.log: list[Entry] | None = None

    def deposit(self, amount: int) -> Reason | None:
        """As all of these: returns why not, and changes nothing then."""
        if self.locked:
            return Reason.ACCOUNT_LOCKED
        if self.available + self.held + self.pending + amount > MOST_BALANCE:
            return Reason.BALANCE_TOO_LARGE
        self.available += amount
        return None

    def withdraw(self, amount: int) -> Reason | None:
        if self.locked:
            return Reason.ACCOUNT_LOCKED
        if self.available < amount:
            return Reason.INSUFFICIENT_FUNDS
        self.available -= amount
        return None

    def send(self, amount: int) -> Reason | None:
        """To another shard."""
        reason = self.withdraw(amount)
        if reason is None:
            self.pending += amount
        return reason

    def hold(self, amount: int) -> Reason | None:
        """For a dispute."""
        reason = self.withdraw(amount)
        if reason is None:
            self.held += amount
        return reason

    def close_batch(self) -> Balance:
        """The row that is to be stored, with a link more in the chain."""
        if self.log:
            self.chain = link(self.chain, self.log)
        self.log = None
        return Balance(self.name, self.available, self.held, self.pending, self.locked, self.last, self.chain)


def new_account(name: str) -> Account:
    return Account(Balance(name, 0, 0, 0, 0, 0, FIRST_LINK))


def link(chain: bytes, entries: Sequence[Entry]) -> bytes:
    """The chain's head after a batch: BLAKE2b of the head before, and the batch's entries as JSON without spaces."""
    return blake2b(chain + orjson.dumps(entries), digest_size=CHAIN_BYTES).digest()
