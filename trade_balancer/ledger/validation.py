"""A record into a transaction, or why it is none: what can be said without knowing any account.

Law: pure functions, no state. What is in C is here in Python, too, and the tests compare them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import orjson

from trade_balancer.ledger.sharding import Hash, shard_of
from trade_balancer.ledger.transaction import (
    DECIMALS,
    KINDS,
    MOST_AMOUNT,
    MOST_NAME_BYTES,
    MOST_TIME_MS,
    Kind,
    Reason,
    Transaction,
)

_NUMBER = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?)([0-9]+))?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MEMBERS = frozenset(("id", "account", "kind", "amount", "time", "to", "of"))
_BEYOND = 10**6
"""An exponent that no amount has."""


class _Number(str):
    """A JSON number as it was written."""


class _Refused(Exception):
    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


def read(record: bytes) -> Transaction:
    """Of a record that is no transaction, `kind` is a negative Reason and `other` the record."""
    found: dict[str, Any] = {"id": None, "account": None}
    try:
        members = _members(record)
        found["id"] = _name(members, "id", Reason.BAD_ID)
        found["account"] = _name(members, "account", Reason.BAD_ACCOUNT)
        kind = KINDS.get(_name(members, "kind", Reason.BAD_KIND))
        if kind is None:
            raise _Refused(Reason.BAD_KIND)
        moves_money = kind <= Kind.TRANSFER
        if not moves_money and "amount" in members:
            raise _Refused(Reason.AMOUNT_NOT_WANTED)
        amount = _amount(members.get("amount")) if moves_money else 0
        time = _time(members.get("time"))
        other = None
        if kind is Kind.TRANSFER:
            other = _name(members, "to", Reason.BAD_TO)
            if other == found["account"]:
                raise _Refused(Reason.BAD_TO)
        elif not moves_money:
            other = _name(members, "of", Reason.BAD_OF)
    except _Refused as refusal:
        return Transaction(found["id"], found["account"], -refusal.reason, 0, 0, record)
    return Transaction(found["id"], found["account"], kind, amount, time, other)


def _members(record: bytes) -> Mapping[str, Any]:
    try:
        orjson.loads(record)  # as strict as JSON is
        pairs = json.loads(record, object_pairs_hook=list, parse_int=_Number, parse_float=_Number)
    except (ValueError, RecursionError):
        raise _Refused(Reason.NO_OBJECT) from None
    if not record.lstrip(b" \t\r\n").startswith(b"{"):
        raise _Refused(Reason.NO_OBJECT)
    names = [name for name, _ in pairs if name in _MEMBERS]
    if len(set(names)) < len(names):
        raise _Refused(Reason.REPEATED_MEMBER)
    return dict(pairs)


def _name(members: Mapping[str, Any], name: str, otherwise: Reason) -> str:
    value = members.get(name)
    if type(value) is not str or _CONTROL.search(value) or not 1 <= len(value.encode()) <= MOST_NAME_BYTES:
        raise _Refused(otherwise)
    return value


def _time(value: object) -> int:
    is_count = isinstance(value, _Number) and value.isdigit() and len(value) < len(str(MOST_TIME_MS)) + 1
    if not is_count or int(str(value)) > MOST_TIME_MS:
        raise _Refused(Reason.BAD_TIME)
    return int(str(value))


def _amount(value: object) -> int:
    """A number, or a string that says one: in units, exactly."""
    found = _NUMBER.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise _Refused(Reason.BAD_AMOUNT)
    sign, whole, fraction, exponent_sign, exponent = found.groups(default="")
    exponent = exponent.lstrip("0")
    power = min(int(exponent[:7] or "0"), _BEYOND) if len(exponent) < 8 else _BEYOND
    power = (-power if exponent_sign == "-" else power) - len(fraction) + DECIMALS
    digits = (whole + fraction).lstrip("0")
    if not digits or sign:
        raise _Refused(Reason.AMOUNT_NOT_POSITIVE)
    shortened = digits.rstrip("0")
    power += len(digits) - len(shortened)
    if len(shortened) + power > len(str(MOST_AMOUNT)):
        raise _Refused(Reason.AMOUNT_TOO_LARGE)
    kept = shortened[: len(shortened) + power] if power < 0 else shortened + "0" * power
    units = int(kept) if kept and len(shortened) + power > 0 else 0
    if units > MOST_AMOUNT or (units == MOST_AMOUNT and power < 0):
        raise _Refused(Reason.AMOUNT_TOO_LARGE)
    if power < 0:
        raise _Refused(Reason.AMOUNT_TOO_FINE)
    return units


def decode_in_python(records: list[bytes], shards: int, is_murmur2: bool) -> list[list[Any]]:
    """As `decode`."""
    how = Hash.MURMUR2 if is_murmur2 else Hash.FNV1A
    found: list[list[Any]] = [[] for _ in range(shards)]
    for record in records:
        transaction = read(record)
        shard = 0 if transaction.account is None else shard_of(transaction.account, shards, how)
        found[shard].append(tuple(transaction))
    return found


try:
    from trade_balancer.ledger._validation import decode as _decode_in_c
except ImportError:  # the SDK's files used as they are, without being built
    _decode: Any = decode_in_python
else:
    _decode = _decode_in_c


def decode(records: list[bytes], shards: int = 1, how: Hash = Hash.FNV1A) -> list[list[Any]]:
    """For each shard its transactions, in their order: tuples with the members of Transaction. What names no account is
    of shard 0."""
    found: list[list[Any]] = _decode(records, shards, how is Hash.MURMUR2)
    return found
