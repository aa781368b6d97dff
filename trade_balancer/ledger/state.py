"""The accounts of one shard, and what transactions do to them.

Law: no I/O. What a batch needs is loaded before (`Wanted`), what it changes comes out (`Change`); one owner, no locks.
A transaction is done whole or refused with a reason; no order of them makes or loses money.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from trade_balancer.ledger.account import Account, Balance, Entry, new_account
from trade_balancer.ledger.change import Change, Dispute, Key, Message, Row
from trade_balancer.ledger.transaction import Kind, Reason

DEPOSIT, WITHDRAWAL, TRANSFER = int(Kind.DEPOSIT), int(Kind.WITHDRAWAL), int(Kind.TRANSFER)
MOST_RECORD_BYTES = 1000
"""Of a record that is no transaction, so much is kept."""


class Outcome(NamedTuple):
    """What became of a transaction."""

    reason: int | None
    """None: applied."""
    is_repeated: bool = False
    """It was in the ledger before, with this outcome."""
    is_pending: bool = False
    """The money is on its way to another shard."""


APPLIED, PENDING = Outcome(None), Outcome(None, is_pending=True)


class Wanted(NamedTuple):
    """What has to be known before a batch can be applied."""

    accounts: list[str]
    """Those that are not at hand."""
    ids: list[str]
    """Of transactions that may be in the ledger, as far as their ids tell: those that rise are new; and of the deposits
    that disputes name."""
    deposits: list[str]
    """Of these alone."""


class State:
    """Args:
    shard: its number.
    next_seq: the number that the journal's next row gets.
    greatest_id: of all transactions in the ledger.
    shard_of: of an account's name.
    """

    def __init__(self, shard: int, next_seq: int, greatest_id: str, shard_of: Callable[[str], int]) -> None:
        self._shard = shard
        self._greatest_id = greatest_id
        self._shard_of = shard_of
        self._accounts: dict[str, Account] = {}
        self._known: dict[str, Any] = {}
        """The journal's rows of transactions with these ids: from the database, and of the batch in hand."""
        self._others: dict[Key, Any] = {}
        """... of those whose id another account's transaction has, too."""
        self._disputes: dict[Key, Dispute] = {}
        self._touched: list[Account] = []
        self._change = Change(next_seq)

    def __len__(self) -> int:
        """How many accounts are at hand."""
        return len(self._accounts)

    def forget(self) -> None:
        """All accounts: they are loaded again when they are wanted."""
        self._accounts.clear()

    def wanted(self, transactions: Iterable[Sequence[Any]], messages: Iterable[Message] = ()) -> Wanted:
        """Before `apply` and `deliver`."""
        names = {message.account for message in messages}
        before = greatest = self._greatest_id
        ids: list[str] = []
        deposits: list[str] = []
        for id_, name, kind, _, _, other in transactions:
            if name is not None:
                names.add(name)
            if kind > 0:
                if id_ <= before:
                    ids.append(id_)
                elif id_ > greatest:
                    greatest = id_
            if kind == TRANSFER:
                names.add(other)
            elif kind > TRANSFER:
                deposits.append(other)
        self._greatest_id = greatest
        return Wanted(list(names - self._accounts.keys()), ids + deposits, deposits)

    def load(self, balances: Iterable[Balance], known: Iterable[Row], disputes: Mapping[Key, Dispute]) -> None:
        """What was wanted, as far as there is such."""
        for balance in balances:
            self._accounts[balance[0]] = Account(balance)
        for row in known:
            self._remember(row)
        self._disputes.update(disputes)

    def apply(self, transactions: Iterable[Sequence[Any]], outcomes: list[Outcome]) -> None:
        """In their order. `outcomes` gets one for each."""
        accounts, known, change = self._accounts, self._known, self._change
        rows, first, touched = change.rows, change.begin, self._touched
        for transaction in transactions:
            id_, name, kind, amount, time, _ = transaction
            account = accounts.get(name)
            if account is None or kind >= TRANSFER or kind <= 0 or id_ in known:
                outcome = self._apply_rare(transaction, account)
            elif reason := account.deposit(amount) if kind == DEPOSIT else account.withdraw(amount):
                outcome = self._refuse(transaction, account, reason)
            else:  # as _enter() does, without its call: most transactions come here
                seq = first + len(rows)
                known[id_] = row = (seq, id_, name, kind, amount, time, None, None, account.last)
                rows.append(row)
                account.last = seq
                if account.log:
                    account.log.append(transaction)  # type: ignore[arg-type]
                else:
                    if account.log is None:
                        touched.append(account)
                    account.log = [transaction]  # type: ignore[list-item]
                outcome = APPLIED
            outcomes.append(outcome)

    def deliver(self, sender: int, messages: Iterable[Message]) -> None:
        """Steps of transfers, in the sender's order."""
        for message in messages:
            account = self._accounts.get(message.account)
            if message.kind is Kind.CREDIT:
                account = account or self._open(message.account)
                reason = account.deposit(message.amount)
                answer = Kind.RETURN if reason else Kind.SETTLE
                seq = self._enter(account, _entry(message, Kind.CREDIT), reason)
                self._change.messages.append(
                    message._replace(
                        seq=seq, receiver=sender, kind=answer, account=message.other, other=message.account
                    )
                )
                continue
            assert account is not None  # whoever sends has an account
            account.pending -= message.amount
            if message.kind is Kind.RETURN:
                account.available += message.amount
            self._enter(account, _entry(message, message.kind), None)

    def close_batch(self) -> Change:
        """All that was applied since the last time."""
        change = self._change
        change.end = change.begin + len(change.rows)
        change.balances = [account.close_batch() for account in self._touched]
        self._touched = []
        self._known, self._others, self._disputes = {}, {}, {}
        self._change = Change(change.end)
        return change

    def _apply_rare(self, transaction: Sequence[Any], account: Account | None) -> Outcome:
        """Whatever `apply` does not do by itself."""
        id_, name, kind, amount, _, other = transaction
        if kind <= 0:
            entry: Entry = (id_, name, 0, 0, 0, _text_of(other))
            self._enter(account, (None, *entry[1:]), Reason(-kind))
            return Outcome(-kind)
        if (row := self._row_of(id_, name)) is not None:
            return self._repeat(transaction, account, row)
        if kind == DEPOSIT:
            account = account or self._open(name)
            reason = account.deposit(amount)
        elif account is None:
            reason = Reason.UNKNOWN_ACCOUNT
        elif kind == WITHDRAWAL:
            reason = account.withdraw(amount)
        elif kind == TRANSFER:
            return self._transfer(transaction, account)
        else:
            return self._dispute(transaction, account)
        if reason or account is None:
            return self._refuse(transaction, account, reason or Reason.UNKNOWN_ACCOUNT)
        self._note(account, (id_, name, kind, amount, transaction[4], other))
        return APPLIED

    def _repeat(self, transaction: Sequence[Any], account: Account | None, row: Sequence[Any]) -> Outcome:
        """The id is known: of this very transaction, or of another one."""
        id_, name, kind, amount, time, other = transaction
        _, _, _, its_kind, its_amount, its_time, its_other, its_reason, _ = row
        is_same = (its_kind, its_time, its_other) == (kind, time, other) and (kind > TRANSFER or its_amount == amount)
        if is_same:
            self._change.repeated += 1
            is_pending = kind == TRANSFER and its_reason is None and self._shard_of(other) != self._shard
            return Outcome(its_reason, is_repeated=True, is_pending=is_pending)
        self._enter(account, (None, name, kind, amount, time, id_), Reason.ID_CONFLICT)
        return Outcome(Reason.ID_CONFLICT)

    def _transfer(self, transaction: Sequence[Any], account: Account) -> Outcome:
        id_, name, _, amount, time, other = transaction
        receiver_shard = self._shard_of(other)
        if receiver_shard != self._shard:
            if reason := account.send(amount):
                return self._refuse(transaction, account, reason)
            seq = self._note(account, tuple(transaction))
            self._change.messages.append(Message(seq, receiver_shard, Kind.CREDIT, id_, other, amount, time, name))
            return PENDING
        receiver = self._accounts.get(other)
        reason = account.withdraw(amount)
        if reason is None:
            receiver = receiver or self._open(other)
            reason = receiver.deposit(amount)
            if reason:
                account.available += amount
                reason = Reason.RECEIVER_LOCKED if reason is Reason.ACCOUNT_LOCKED else reason
        if reason or receiver is None:
            return self._refuse(transaction, account, reason or Reason.UNKNOWN_ACCOUNT)
        self._note(account, tuple(transaction))
        self._enter(receiver, (id_, other, int(Kind.CREDIT), amount, time, name), None)
        return APPLIED

    def _dispute(self, transaction: Sequence[Any], account: Account) -> Outcome:
        id_, name, kind, _, time, of = transaction
        deposit = self._row_of(of, name)
        if deposit is None or deposit[3] != DEPOSIT or deposit[7] is not None:
            return self._refuse(transaction, account, Reason.UNKNOWN_DEPOSIT)
        amount, state = deposit[4], self._disputes.get((of, name))
        if reason := _disputed(account, kind, amount, state):
            return self._refuse(transaction, account, reason)
        change = {Kind.DISPUTE: Dispute.OPEN, Kind.RESOLVE: Dispute.RESOLVED, Kind.CHARGEBACK: Dispute.CHARGED_BACK}
        self._disputes[of, name] = self._change.disputes[of, name] = change[Kind(kind)]
        self._note(account, (id_, name, kind, amount, time, of))
        return APPLIED

    def _open(self, name: str) -> Account:
        account = self._accounts[name] = new_account(name)
        return account

    def _note(self, account: Account, entry: Entry) -> int:
        """An entry that is applied, of a client's transaction."""
        seq = self._enter(account, entry, None)
        self._remember(self._change.rows[-1])
        return seq

    def _refuse(self, transaction: Sequence[Any], account: Account | None, reason: Reason) -> Outcome:
        self._enter(account, tuple(transaction), reason)
        self._remember(self._change.rows[-1])
        return Outcome(reason)

    def _remember(self, row: Sequence[Any]) -> None:
        if self._known.setdefault(row[1], row) is not row:
            self._others[row[1], row[2]] = row

    def _row_of(self, id_: str, name: str) -> Sequence[Any] | None:
        row = self._known.get(id_)
        return row if row is not None and row[2] == name else self._others.get((id_, name))

    def _enter(self, account: Account | None, entry: Entry, reason: Reason | None) -> int:
        """Adds a row to the journal; what is applied, to the account's chain. Returns its number."""
        change = self._change
        seq = change.begin + len(change.rows)
        change.rows.append((seq, *entry, reason, account.last if account else 0))
        change.refused += reason is not None
        if account is not None:
            account.last = seq
            if account.log is None:
                account.log = []
                self._touched.append(account)
            if reason is None:
                account.log.append(entry)
        return seq


def _text_of(record: bytes) -> str:
    """Its begin; a character 0, which no text of a database should have, becomes U+FFFD."""
    return record[:MOST_RECORD_BYTES].decode(errors="replace").replace("\0", "\ufffd")


def _entry(message: Message, kind: Kind) -> Entry:
    return (message.id, message.account, int(kind), message.amount, message.time, message.other)


def _disputed(account: Account, kind: int, amount: int, state: Dispute | None) -> Reason | None:
    """Does what the dispute, or its end, does. Returns why not."""
    if kind == Kind.DISPUTE:
        if state in (Dispute.OPEN, Dispute.CHARGED_BACK):
            return Reason.ALREADY_DISPUTED
        return account.hold(amount)
    if state is not Dispute.OPEN:
        return Reason.NOT_DISPUTED
    account.held -= amount
    if kind == Kind.RESOLVE:
        account.available += amount
    else:
        account.locked = 1
    return None
