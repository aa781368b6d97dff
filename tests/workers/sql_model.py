"""What must be in the database, by Python's json alone; shared by the tests of all databases."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from event_forge import T_MS

from trade_balancer.columnar.decoder import Decoder
from trade_balancer.columnar.events import EVENTS, Kind
from trade_balancer.errors import OutputError
from trade_balancer.sql_progress import Step
from trade_balancer.sql_store import Store
from trade_balancer.sql_tables import TABLES
from trade_balancer.zones import Zone

NAMES = {event: table.name for event, table in TABLES.items()}


def check_steps(store: Store) -> None:
    """Rows and how far they bring a pipe are written together, once, whoever tries."""

    def write(run: str, begin: int, end: int) -> int:
        frames = b"".join(len(one).to_bytes(4, "little") + one for one in map(trade, range(begin, end)))
        decoder = Decoder()
        rows = store.rows(decoder.symbols, Zone("UTC-5"))
        waiting = {TABLES["T"]: [rows(batch["T"], 0) for batch in decoder.decode([frames])]}
        return store.write(waiting, [Step(run, 3, begin, end)])

    assert store.stored("this") == {}
    assert write("this", 10, 30) == 20
    assert store.stored("this") == {3: 30}
    assert store.stored("another") == {}
    assert write("this", 10, 30) == 0
    assert write("this", 30, 40) == 10
    with pytest.raises(OutputError, match="pipe 3: another worker has stored its records up to 40, not 30, meanwhile"):
        write("this", 30, 50)
    store.close()
    assert store.stored("this") == {3: 40}
    assert write("another", 40, 50) == 10
    assert (store.stored("this"), store.stored("another")) == ({3: 40}, {3: 50})
    store.close()


def trade(number: int, **more: Any) -> bytes:
    members = {"sym": f"S{number % 50}", "i": str(number), "x": 4, "p": 10.25, "s": 3, "t": T_MS, "z": 3} | more
    return json.dumps({"ev": "T"} | {name: one for name, one in members.items() if one is not None}).encode()


def expected_rows(event: str, records: Iterable[bytes]) -> list[dict[str, Any]]:
    """A row for each record of the event: lists as tuples, the day as text."""
    rows = []
    for record in records:
        members = json.loads(record)
        if members["ev"] != event:
            continue
        row: dict[str, Any] = {}
        for column in EVENTS[event]:
            one = members.get(column.name)
            if one is not None and column.kind is Kind.TEXT:
                one = str(one)
            elif one is not None and column.kind is Kind.DECIMAL:
                one = float(one)
            elif one is not None and column.kind is Kind.INTS:
                one = tuple(one)
            row["sym" if column.kind is Kind.SYMBOL else column.name] = one
        time = members.get("s" if event in ("A", "AM") else "t")
        if event in ("LULD", "FMV") and time is not None:
            time //= 1_000_000
        day = None if time is None else datetime.fromtimestamp(time / 1000 - 5 * 3600, UTC).date().isoformat()
        rows.append({"day": day} | row)
        if event in ("T", "XT"):
            row = rows[-1]
            row |= {name: row[name] or 0 for name in ("x", "trfi") if name in row}
            if row["i"] is None and row.get("q") is not None:
                row["i"] = f"q{row['q']}"
    return rows


def check_rows(event: str, found: Sequence[dict[str, Any]], records: Iterable[bytes]) -> None:
    """Each record has its row; of trades with one key, the first."""
    expected = expected_rows(event, records)
    if event in ("T", "XT"):
        by_key: dict[tuple[Any, ...], dict[str, Any]] = {}
        for number, row in enumerate(expected):
            key = tuple(row[name] for name in TABLES[event].key)
            by_key.setdefault(key if None not in key else (number,), row)
        expected = list(by_key.values())
    assert Counter(tuple(sorted(row.items())) for row in found) == Counter(
        tuple(sorted(row.items())) for row in expected
    )
