"""`lb-ledger export`: the journal, or the accounts, as rows for other programs; as CSV here.

Law: amounts are exact, and what is written is of one moment.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TextIO

from trade_balancer.ledger.store import Snapshot
from trade_balancer.ledger.transaction import Kind, Reason, text_of

AMOUNTS = frozenset(("available", "held", "pending", "total", "amount"))
"""Columns that are amounts: in units."""


class Export(NamedTuple):
    """Rows with values for these columns, in the order of shards, and in each shard's."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]


def journal(snapshots: Sequence[Snapshot]) -> Export:
    """`amount` in units, `time` in ms since 1970 UTC; `kind` and `reason` are words."""
    kinds = {int(kind): kind.name.lower() for kind in Kind}
    reasons = {int(reason): reason.word for reason in Reason}
    return Export(
        ("shard", "seq", "time", "account", "id", "kind", "amount", "other", "reason"),
        (
            (shard, row.seq, row.time, row.account, row.id, kinds.get(row.kind), row.amount, row.other, word)
            for shard, snapshot in enumerate(snapshots)
            for row in snapshot.rows()
            for word in [None if row.reason is None else reasons[row.reason]]
        ),
    )


def accounts(snapshots: Sequence[Snapshot]) -> Export:
    """Amounts in units; `chain` in hexadecimal digits."""
    return Export(
        ("shard", "account", "available", "held", "pending", "total", "locked", "chain"),
        (
            (shard, one.account, *one[1:4], one.total, bool(one.locked), one.chain.hex())
            for shard, snapshot in enumerate(snapshots)
            for one in snapshot.balances()
        ),
    )


def write_csv(export: Export, output: TextIO) -> None:
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(export.columns)
    tell = [text_of if name in AMOUNTS else _as_it_is for name in export.columns]
    writer.writerows([told(value) for told, value in zip(tell, row, strict=True)] for row in export.rows)


def _as_it_is(value: Any) -> Any:
    return value
