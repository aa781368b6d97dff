"""The reference: a ledger as a dictionary of accounts, in a few obvious lines. It knows nothing of shards, batches and
databases."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

MOST_AMOUNT, MOST_BALANCE = Decimal(10**10), Decimal(9 * 10**10)


@dataclass
class Account:
    available: Decimal = Decimal(0)
    held: Decimal = Decimal(0)
    locked: bool = False

    @property
    def total(self) -> Decimal:
        return self.available + self.held


class Model:
    """Takes valid transactions, one after the other."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.seen: dict[tuple[str, str], tuple[dict[str, Any], str | None]] = {}
        """By account and id: the transaction, and what became of it."""
        self.disputes: dict[tuple[str, str], str] = {}

    def take(self, transaction: dict[str, Any]) -> str | None:
        """Returns the reason why it is refused, or None."""
        key = transaction["account"], transaction["id"]
        if key in self.seen:
            known, outcome = self.seen[key]
            return outcome if known == transaction else "id-conflict"
        outcome = self._apply(transaction, key)
        self.seen[key] = transaction, outcome
        return outcome

    def _apply(self, transaction: dict[str, Any], key: tuple[str, str]) -> str | None:
        kind, name = transaction["kind"], transaction["account"]
        account = self.accounts.get(name)
        if account is None:
            if kind != "deposit":
                return "unknown-account"
            account = self.accounts[name] = Account()
        amount = Decimal(transaction.get("amount", 0))
        if kind in ("dispute", "resolve", "chargeback"):
            return self._dispute(kind, account, name, transaction["of"])
        if account.locked:
            return "account-locked"
        if kind == "deposit":
            if account.total + amount > MOST_BALANCE:
                return "balance-too-large"
            account.available += amount
            return None
        if account.available < amount:
            return "insufficient-funds"
        if kind == "transfer":
            receiver = self.accounts.setdefault(transaction["to"], Account())
            if receiver.locked:
                return "receiver-locked"
            if receiver.total + amount > MOST_BALANCE:
                return "balance-too-large"
            receiver.available += amount
        account.available -= amount
        return None

    def _dispute(self, kind: str, account: Account, name: str, of: str) -> str | None:
        deposit, outcome = self.seen.get((name, of), ({"kind": None}, None))
        if deposit["kind"] != "deposit" or outcome is not None:
            return "unknown-deposit"
        amount, state = Decimal(deposit["amount"]), self.disputes.get((name, of))
        if kind == "dispute":
            if state in ("open", "charged back"):
                return "already-disputed"
            if account.locked:
                return "account-locked"
            if account.available < amount:
                return "insufficient-funds"
            account.available -= amount
            account.held += amount
            self.disputes[name, of] = "open"
            return None
        if state != "open":
            return "not-disputed"
        account.held -= amount
        if kind == "resolve":
            account.available += amount
        else:
            account.locked = True
        self.disputes[name, of] = "resolved" if kind == "resolve" else "charged back"
        return None


names = st.sampled_from(["ada", "bob", "cleo", "dora", "J\u00fcrgen", "\u674e"])
ids = st.integers(0, 15).map(str)
amounts = st.sampled_from(["0.00000001", "1", "2.50", "3.3", "9999999999.99999999", "10000000000"])


@st.composite
def transactions(draw: st.DrawFn) -> dict[str, Any]:
    """Valid ones, of few accounts with few ids, so that much of it meets."""
    kind = draw(
        st.sampled_from(["deposit"] * 3 + ["withdrawal", "transfer", "transfer", "dispute", "resolve", "chargeback"])
    )
    account = draw(names)
    found = {"id": draw(ids), "account": account, "kind": kind, "time": draw(st.sampled_from([0, 1_700_000_000_000]))}
    if kind in ("deposit", "withdrawal", "transfer"):
        found["amount"] = draw(amounts)
    if kind == "transfer":
        found["to"] = draw(names.filter(lambda name: name != account))
    if kind in ("dispute", "resolve", "chargeback"):
        found["of"] = draw(ids)
    return found


def record_of(transaction: dict[str, Any]) -> bytes:
    return json.dumps(transaction, ensure_ascii=False).encode()
