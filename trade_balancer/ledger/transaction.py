"""What a transaction is: its kinds, its amounts, and why one is refused.

Law: an amount is a whole number of units of 10^-8, everywhere but in texts; no float ever holds money.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

DECIMALS = 8
UNIT = 10**DECIMALS
MOST_AMOUNT = 10**10 * UNIT
"""Of one transaction: ten thousand million."""
MOST_BALANCE = 9 * 10**10 * UNIT
"""Of one account: what 64 bits with sign hold, in every database."""
MOST_NAME_BYTES = 64
"""Of an id and of an account's name, in UTF-8."""
MOST_TIME_MS = 1 << 53


class Kind(IntEnum):
    """Those of clients' transactions, and the steps of a transfer between shards."""

    DEPOSIT = 1
    WITHDRAWAL = 2
    TRANSFER = 3
    """Money leaves `account` for the account `other`."""
    DISPUTE = 4
    """The deposit with the id `other` is questioned: its amount is held."""
    RESOLVE = 5
    """... and was right: it is available again."""
    CHARGEBACK = 6
    """... and was wrong: it is gone, and the account locked."""
    CREDIT = 7
    """A transfer's money comes to `account`, from the account `other`."""
    SETTLE = 8
    """It has come to the account `other`, of another shard: it is not pending any more."""
    RETURN = 9
    """It was refused there: it is available again."""


LAST_OF_CLIENTS = Kind.CHARGEBACK
KINDS = {kind.name.lower(): kind for kind in Kind if kind <= LAST_OF_CLIENTS}


class Reason(IntEnum):
    """Why a transaction is refused. Those up to BAD_OF are of the record alone, the others of the accounts."""

    NO_OBJECT = 1
    REPEATED_MEMBER = 2
    BAD_ID = 3
    BAD_ACCOUNT = 4
    BAD_KIND = 5
    BAD_AMOUNT = 6
    AMOUNT_NOT_POSITIVE = 7
    AMOUNT_TOO_LARGE = 8
    AMOUNT_TOO_FINE = 9
    AMOUNT_NOT_WANTED = 10
    BAD_TIME = 11
    BAD_TO = 12
    BAD_OF = 13
    ID_CONFLICT = 14
    """There is another transaction of the account with this id."""
    UNKNOWN_ACCOUNT = 15
    ACCOUNT_LOCKED = 16
    INSUFFICIENT_FUNDS = 17
    BALANCE_TOO_LARGE = 18
    RECEIVER_LOCKED = 19
    UNKNOWN_DEPOSIT = 20
    """No deposit of this account has the id that a dispute names."""
    NOT_DISPUTED = 21
    ALREADY_DISPUTED = 22

    @property
    def word(self) -> str:
        return self.name.lower().replace("_", "-")


class Transaction(NamedTuple):
    """A client's transaction, or the step of a transfer.

    Of a record that is none, `kind` is a negative Reason, and `other` its bytes.
    """

    id: str | None
    account: str | None
    kind: int
    amount: int
    """In units; of a dispute and what follows it 0 in records, and the deposit's in the journal."""
    time: int
    """ms since 1970 UTC, as the client has it: nothing depends on it."""
    other: str | bytes | None
    """The receiver of a transfer, the id of a disputed deposit."""


def text_of(units: int) -> str:
    """An amount as people write it: no digit more than it has."""
    sign = "-" if units < 0 else ""
    whole, part = divmod(abs(units), UNIT)
    return f"{sign}{whole}.{part:0{DECIMALS}}".rstrip("0").rstrip(".")
