"""Proves from a ledger's database that it is right: everything is computed anew from the journal.

Law: reads, and changes nothing. Whoever writes meanwhile is held up for as long as it takes to begin: all shards are
seen at one moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from trade_balancer.ledger.account import FIRST_LINK, Entry, link
from trade_balancer.ledger.change import Row
from trade_balancer.ledger.sharding import shard_of
from trade_balancer.ledger.store import Layout, Snapshot, step_of_shard
from trade_balancer.ledger.transaction import LAST_OF_CLIENTS, Kind, text_of

MOST_FAULTS = 20
"""So many are told; all are counted."""

_EFFECTS: dict[int, tuple[int, int, int]] = {
    Kind.DEPOSIT: (1, 0, 0),
    Kind.WITHDRAWAL: (-1, 0, 0),
    Kind.TRANSFER: (-1, 0, 1),
    Kind.DISPUTE: (-1, 1, 0),
    Kind.RESOLVE: (1, -1, 0),
    Kind.CHARGEBACK: (0, -1, 0),
    Kind.CREDIT: (1, 0, 0),
    Kind.SETTLE: (0, 0, -1),
    Kind.RETURN: (1, 0, -1),
}
"""Of an entry that is applied, on available, held and pending: times its amount. A transfer within a shard leaves
nothing pending."""
_FROM_OUTSIDE = {int(Kind.DEPOSIT): 1, int(Kind.WITHDRAWAL): -1, int(Kind.CHARGEBACK): -1}


class _Transfer(NamedTuple):
    shard: int
    """The sender's."""
    id: str | None
    sender: str | None
    receiver: str | None
    time: int


@dataclass
class Book:
    """An account as the journal tells it."""

    available: int = 0
    held: int = 0
    pending: int = 0
    locked: int = 0
    last: int = 0
    chain: bytes = FIRST_LINK
    log: list[Entry] = field(default_factory=list)


@dataclass
class Findings:
    """What was looked at, and what is wrong."""

    accounts: int = 0
    applied: int = 0
    refused: int = 0
    repeated: int = 0
    batches: int = 0
    locked: int = 0
    from_outside: int = 0
    """Units: deposits less withdrawals and chargebacks."""
    in_accounts: int = 0
    """Units: all balances, and none twice."""
    in_flight: int = 0
    """Transfers that are on their way between shards."""
    faults_total: int = 0
    faults: list[str] = field(default_factory=list)

    def note(self, fault: str) -> None:
        self.faults_total += 1
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(fault)

    def table(self) -> list[tuple[str, str]]:
        return [
            ("accounts", f"{self.accounts:,}"),
            ("of them locked", f"{self.locked:,}"),
            ("transactions applied", f"{self.applied:,}"),
            ("refused", f"{self.refused:,}"),
            ("came again, done once", f"{self.repeated:,}"),
            ("batches", f"{self.batches:,}"),
            ("transfers in flight", f"{self.in_flight:,}"),
            ("came in less went out", text_of(self.from_outside)),
            ("is in accounts", text_of(self.in_accounts)),
            ("faults", f"{self.faults_total:,}"),
        ]


def audit(layout: Layout, snapshots: Sequence[Snapshot]) -> Findings:
    """All that is wrong is in `faults`."""
    findings = Findings()
    flight = _Flight(layout, snapshots)
    for shard, snapshot in enumerate(snapshots):
        books = _read_journal(findings, shard, snapshot, flight)
        _compare(findings, shard, snapshot, books)
    flight.check(findings)
    if findings.from_outside != findings.in_accounts:
        findings.note(
            f"{text_of(findings.from_outside)} came in less went out, {text_of(findings.in_accounts)} is in accounts"
        )
    return findings


def _read_journal(findings: Findings, shard: int, snapshot: Snapshot, flight: _Flight) -> dict[str, Book]:
    books: dict[str, Book] = {}
    seq = 0
    for rows in _batches(findings, shard, snapshot):
        findings.batches += 1
        touched: dict[str, Book] = {}
        for row in rows:
            seq += 1
            if row.seq != seq:
                findings.note(f"shard {shard}: after row {seq - 1} comes row {row.seq}")
                seq = row.seq
            if row.reason is not None:
                findings.refused += row.kind <= LAST_OF_CLIENTS
            _follow(findings, shard, row, books, touched, flight)
        for book in touched.values():
            book.chain, book.log = link(book.chain, book.log), []
    if snapshot.head().next_seq != seq + 1:
        findings.note(f"shard {shard}: the journal ends with row {seq}, not {snapshot.head().next_seq - 1}")
    findings.repeated += snapshot.head().repeated
    return books


def _batches(findings: Findings, shard: int, snapshot: Snapshot) -> Iterator[list[Row]]:
    """The rows of each batch; a row of none is told."""
    rows = snapshot.rows()
    end = 1
    for batch in snapshot.batches():
        if batch.first != end:
            findings.note(f"shard {shard}: after the batch up to {end} comes one from {batch.first}")
        end = batch.end
        some = []
        for row in rows:
            some.append(row)
            if row.seq >= batch.end - 1:
                break
        yield some
    for row in rows:
        findings.note(f"shard {shard}: row {row.seq} is of no batch")


def _follow(
    findings: Findings, shard: int, row: Row, books: dict[str, Book], touched: dict[str, Book], flight: _Flight
) -> None:
    """Does with the books what the row says."""
    name = row.account
    if row.reason is not None:
        if name in books:
            books[name].last = row.seq
        return
    if name is None or row.kind not in _EFFECTS:
        findings.note(f"shard {shard}: row {row.seq} can't be applied")
        return
    book = books.setdefault(name, Book())
    if row.previous != book.last:
        findings.note(f"shard {shard}: row {row.seq} of {name} follows {row.previous}, not {book.last}")
    available, held, pending = _EFFECTS[row.kind]
    if row.kind == Kind.TRANSFER and not flight.leaves(shard, row):
        pending = 0
    book.available += available * row.amount
    book.held += held * row.amount
    book.pending += pending * row.amount
    book.locked |= row.kind == Kind.CHARGEBACK
    book.last = row.seq
    book.log.append((row.id, name, row.kind, row.amount, row.time, row.other))
    touched[name] = book
    findings.applied += row.kind <= LAST_OF_CLIENTS
    findings.from_outside += _FROM_OUTSIDE.get(row.kind, 0) * row.amount
    if row.kind == Kind.CREDIT:
        flight.arrives(shard, row)
    elif row.kind in (Kind.SETTLE, Kind.RETURN):
        flight.ends(findings, shard, row)
    if min(book.available, book.held, book.pending) < 0:
        findings.note(f"shard {shard}: row {row.seq} leaves {name} with less than nothing")


def _compare(findings: Findings, shard: int, snapshot: Snapshot, books: dict[str, Book]) -> None:
    """What the table of accounts says with what the journal does."""
    for balance in snapshot.balances():
        findings.accounts += 1
        findings.locked += balance.locked
        findings.in_accounts += balance.total
        book = books.pop(balance.account, None)
        if book is None:
            findings.note(f"shard {shard}: nothing in the journal is of the account {balance.account}")
            continue
        told = (book.available, book.held, book.pending, book.locked, book.last)
        if told != balance[1:6]:
            findings.note(f"shard {shard}: {balance.account} has {balance[1:6]}, and by the journal {told}")
        elif book.chain != balance.chain:
            findings.note(f"shard {shard}: the chain of {balance.account} is broken")
    for name in books:
        findings.note(f"shard {shard}: the account {name} is not in the table")


class _Flight:
    """Transfers between shards: each is settled or returned, or a message says where it is. Of those that were settled
    and of those that arrived, sums of hashes are compared: there may be any number of them.
    """

    def __init__(self, layout: Layout, snapshots: Sequence[Snapshot]) -> None:
        self._shard_of = lru_cache(1 << 16)(lambda name: shard_of(name, layout.shards, layout.hash))
        self._snapshots = snapshots
        self._open: dict[_Transfer, int] = {}
        """Those that have left, and are neither settled nor returned: their amounts."""
        self._settled = self._arrived = 0

    def leaves(self, shard: int, row: Row) -> bool:
        """Whether the transfer goes to another shard."""
        assert row.other is not None
        if self._shard_of(row.other) == shard:
            return False
        self._open[_Transfer(shard, row.id, row.account, row.other, row.time)] = row.amount
        return True

    def arrives(self, shard: int, row: Row) -> None:
        assert row.other is not None
        if (sender := self._shard_of(row.other)) != shard:
            self._arrived += hash((_Transfer(sender, row.id, row.other, row.account, row.time), row.amount))

    def ends(self, findings: Findings, shard: int, row: Row) -> None:
        transfer = _Transfer(shard, row.id, row.account, row.other, row.time)
        if self._open.pop(transfer, None) != row.amount:
            findings.note(f"shard {shard}: row {row.seq} ends a transfer that has not begun")
        if row.kind == Kind.SETTLE:
            self._settled += hash((transfer, row.amount))

    def check(self, findings: Findings) -> None:
        findings.in_flight = len(self._open)
        lying = self._lying()
        for transfer, amount in self._open.items():
            kind = lying.get(transfer)
            if kind is None:
                findings.note(f"the transfer {transfer.id} of {transfer.sender} has left, and is nowhere")
            elif kind is Kind.SETTLE:  # it has come, and is pending still
                findings.in_accounts -= amount
                self._settled += hash((transfer, amount))
        if self._settled != self._arrived:
            findings.note("the transfers that have left and those that have arrived are not the same")

    def _lying(self) -> dict[_Transfer, Kind]:
        """What the messages say that were not taken."""
        steps = [snapshot.head().steps for snapshot in self._snapshots]
        lying = {}
        for shard, snapshot in enumerate(self._snapshots):
            for message in snapshot.messages():
                if message.seq < steps[message.receiver].get(step_of_shard(shard), 0):
                    continue
                ends = (message.other, message.account)
                sender, receiver = ends if message.kind is Kind.CREDIT else ends[::-1]
                of_shard = shard if message.kind is Kind.CREDIT else message.receiver
                lying[_Transfer(of_shard, message.id, sender, receiver, message.time)] = message.kind
        return lying
