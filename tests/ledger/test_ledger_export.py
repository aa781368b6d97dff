"""`lb-ledger export`: CSV and Parquet say the same, and every digit of it."""

from __future__ import annotations

import csv
import subprocess
import sys
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from ledger_model import record_of
from pyarrow import parquet

from trade_balancer.ledger.ledger import Ledger
from trade_balancer.ledger.shard import Patience
from trade_balancer.ledger.store import Layout
from trade_balancer.ledger.store_sqlite import SqliteDatabase

PROGRAM = [sys.executable, "-m", "trade_balancer.ledger.program", "export"]


@pytest.mark.parametrize("words", [[], ["--accounts"]])
def test_parquet_has_what_csv_has_and_exact_decimals(tmp_path: Path, words: list[str]) -> None:
    deposit = {"id": "1", "account": "J\u00fcrgen", "kind": "deposit", "amount": "9999999999.99999999", "time": 2**53}
    records = [
        *(record_of(deposit | {"id": str(number)}) for number in range(8)),
        record_of(deposit | {"account": "\u674e", "amount": "0.00000001"}),
        record_of(deposit | {"id": "9", "kind": "transfer", "to": "\u674e", "amount": "0.1"}),
        record_of(deposit | {"id": "x", "kind": "withdrawal", "amount": "90000000000"}),
        b'{"id":"\xff',
    ]
    with closing(Ledger(SqliteDatabase(tmp_path / "ledger", Layout(2)), Patience())) as ledger:
        ledger.submit(records)
    file = tmp_path / "file.parquet"
    common = [*PROGRAM, "--database", tmp_path / "ledger", *words]
    told = csv.DictReader(subprocess.run(common, check=True, capture_output=True, text=True).stdout.splitlines())
    done = subprocess.run([*common, "--parquet", file], check=True, capture_output=True, text=True)
    again = subprocess.run([*common, "--parquet", file], check=False, capture_output=True, text=True)
    table = parquet.read_table(file)
    assert done.stderr.endswith(f"{file}: {len(table)} rows\n")
    assert (again.returncode, again.stderr.endswith("is there already\n")) == (74, True)
    stored = [{name: _told_of(value) for name, value in row.items()} for row in table.to_pylist()]
    assert stored == [dict(row) for row in told]
    assert "decimal128(20, 8)" in {str(kind) for kind in table.schema.types}


def _told_of(value: object) -> str:
    """As CSV has it."""
    if isinstance(value, Decimal):
        return f"{value:f}".rstrip("0").rstrip(".")
    return "" if value is None else str(value)
