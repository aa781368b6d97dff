"""An opening second through `lb` and each ready-made worker, against DuckDB's own reading of the recording: the real
one, where it is on this machine."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
from harness.fixtures import opening_second
from harness.lb_process import Lb
from harness.replay import replay

pytestmark = pytest.mark.slow

__all__ = ["opening_second"]

PIPES = 3


@pytest.fixture(scope="module")
def raw(opening_second: Path) -> duckdb.DuckDBPyConnection:
    """The recording as a table `trades`, in its order, decoded by DuckDB alone."""
    connection = duckdb.connect()
    connection.execute(
        """
        CREATE TABLE trades AS
        SELECT row_number() OVER () AS position, json AS text, json->>'ev' AS ev, json->>'sym' AS sym,
               CAST(json->>'p' AS DOUBLE) AS p, CAST(json->>'t' AS BIGINT) AS t,
               CAST(coalesce(json->>'ds', json->>'s') AS DECIMAL(24, 9)) AS s
        FROM (SELECT unnest(CAST(json AS JSON[])) AS json
              FROM read_json_objects(?, format = 'newline_delimited'))
        """,
        [str(opening_second)],
    )
    return connection


def run_to_the_end(recording: Path, module: str, *options: str) -> None:
    with replay("--speed", "max", str(recording)) as server:
        worker = [sys.executable, "-m", f"trade_balancer.{module}", *options]
        with Lb(server.url, PIPES, "--once", "--route", "symbol", *server.trust, worker=worker) as lb:
            end = lb.wait()
    assert end.exit_code == 0, lb.log
    assert end.balance["written"] == end.balance["received"]


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_counts_of_every_symbol(opening_second: Path, raw: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    run_to_the_end(opening_second, "count", "--processes", "--output", str(tmp_path / "counts"))
    expected = raw.execute("SELECT ev, sym, count(*) FROM trades GROUP BY ALL ORDER BY ev, sym").fetchall()
    found = [(line["ev"], line["symbol"], line["records"]) for line in lines_of(tmp_path / "counts")]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize(("length_ms", "options"), [(1000, ["--processes"]), (86_400_000, ["--interval", "1d"])])
def test_bars_of_every_symbol(
    opening_second: Path, raw: duckdb.DuckDBPyConnection, tmp_path: Path, length_ms: int, options: list[str]
) -> None:
    run_to_the_end(opening_second, "bars", *options, "--output", str(tmp_path / "bars"))
    expected = raw.execute(
        """
        SELECT sym, t // $1 * $1 AS start, arg_min(p, position), max(p), min(p), arg_max(p, position),
               CAST(sum(s) AS DOUBLE), count(*), sum(p * s) / sum(s)
        FROM trades GROUP BY sym, start ORDER BY sym, start
        """,
        [length_ms],
    ).fetchall()
    names = ["sym", "t", "o", "h", "l", "c", "v", "n"]
    found = sorted(lines_of(tmp_path / "bars"), key=lambda bar: (bar["sym"], bar["t"]))
    assert [tuple(bar[name] for name in names) for bar in found] == [row[:-1] for row in expected]
    assert [bar["vw"] for bar in found] == pytest.approx([row[-1] for row in expected], rel=1e-12)


def test_every_stored_record(opening_second: Path, raw: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    run_to_the_end(opening_second, "jsonl", "--processes", "--directory", str(tmp_path))
    expected = raw.execute("SELECT text FROM trades").fetchall()
    files = list(tmp_path.iterdir())
    assert {file.suffix for file in files} == {".jsonl"}
    found = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert sorted(map(json.dumps, found)) == sorted(json.dumps(json.loads(text)) for (text,) in expected)
