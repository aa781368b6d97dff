"""`lb-sql` with SQLite: every record in its table, once, or told as not stored."""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
from event_forge import OTHERS, T_MS, records_of_all_events
from feeding import framed, ready_worker, run_worker
from harness import Lb, lb_environment, replay
from harness.fixtures import opening_second
from sql_model import NAMES, check_rows, check_steps, trade

from trade_balancer.columnar.events import EVENTS
from trade_balancer.sql_sqlite import SqliteStore

__all__ = ["opening_second"]

SQL = ["-m", "trade_balancer.sql"]


def rows_of(path: Path, table: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]
    for row in rows:
        for name in ("c", "i"):
            if isinstance(row.get(name), str) and row[name].startswith("["):
                row[name] = tuple(json.loads(row[name]))
    return rows


def numbers(path: Path) -> list[int]:
    return sorted(int(row["i"]) for row in rows_of(path, "trades"))


@pytest.mark.parametrize("options", [[], ["--processes"]])
def test_every_record_is_in_its_table(options: list[str], tmp_path: Path) -> None:
    path, summary = tmp_path / "db", tmp_path / "summary"
    records = records_of_all_events(2000)
    everything = records + OTHERS
    streams = [framed(everything)] if not options else [framed(everything[pipe::3]) for pipe in range(3)]
    ended = run_worker([*SQL, "--database", path, "--summary", summary, *options], streams)
    assert ended.code == 0, ended.err
    for event in EVENTS:
        if not options or event not in ("T", "XT"):  # of several processes nobody knows whose trade is the first
            check_rows(event, rows_of(path, NAMES[event]), records)
    assert sorted(row["record"].encode() for row in rows_of(path, "others")) == sorted(OTHERS)
    totals = json.loads(summary.read_text())
    assert (totals["stored"], totals["others"], totals["not_stored"]) == (2005, 5, 0)
    assert totals["added"] == sum(len(rows_of(path, name)) for name in [*NAMES.values(), "others"])


def test_trades_that_come_again_are_not_added(tmp_path: Path) -> None:
    """An option's trade has no id; where nothing tells trades apart, all are added."""
    path, summary = tmp_path / "db", tmp_path / "summary"
    once = [trade(1), trade(1, x=5), trade(1, trfi=201), trade(1, trfi=202), trade(1, sym="A"),
            trade(1, t=T_MS + 86_400_000), trade(1, i=None, q=7), trade(1, i=None, q=8), trade(2, x=None)]  # fmt: skip
    evening = trade(1, t=1_781_665_200_000)  # 03:00 UTC of the next day is the same day in New York
    nameless = trade(1, i=None)
    for _ in range(2):
        stream = framed([*once, evening, nameless])
        ended = run_worker([*SQL, "--database", path, "--summary", summary], [stream])
        assert ended.code == 0, ended.err
    check_rows("T", rows_of(path, "trades"), [*once, nameless, nameless])
    totals = json.loads(summary.read_text())
    assert (totals["stored"], totals["added"]) == (11, 1)


def test_how_far_a_pipe_is_stored_is_written_with_its_rows(tmp_path: Path) -> None:
    check_steps(SqliteStore(tmp_path / "db"))


def test_a_character_0_is_replaced(tmp_path: Path) -> None:
    """PostgreSQL has it in no text, and many programs end one there."""
    path = tmp_path / "db"
    ended = run_worker([*SQL, "--database", path], [framed([trade(1, i="\0", sym="A\0"), b"\0"])])
    assert ended.code == 0, ended.err
    assert [(row["i"], row["sym"]) for row in rows_of(path, "trades")] == [("\ufffd", "A\ufffd")]
    assert [row["record"] for row in rows_of(path, "others")] == ["\ufffd"]


def test_sigterm_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "db"
    with ready_worker([*SQL, "--database", path]) as (worker, pipes):
        os.write(pipes[0], framed([trade(1), trade(2)]))
        worker.send_signal(signal.SIGTERM)
        os.write(pipes[0], framed([trade(3)]))
        os.close(pipes[0])
        worker.communicate()
    assert worker.returncode == 0
    assert numbers(path) == [1, 2, 3]


def test_what_came_is_there_soon_though_no_more_comes(tmp_path: Path) -> None:
    path = tmp_path / "db"
    with ready_worker([*SQL, "--database", path]) as (worker, pipes), closing(sqlite3.connect(path)) as reader:
        os.write(pipes[0], framed([trade(1)]))
        while not reader.execute("SELECT 1 FROM sqlite_master WHERE name = 'trades'").fetchall():
            assert worker.poll() is None
        assert numbers(path) == [1]
        os.close(pipes[0])
        worker.communicate()
    assert worker.returncode == 0


def test_records_wait_while_the_file_is_locked(tmp_path: Path) -> None:
    path = tmp_path / "db"
    locker = sqlite3.connect(path, isolation_level=None)
    with closing(locker), ready_worker([*SQL, "--database", path]) as (worker, pipes):
        locker.execute("BEGIN IMMEDIATE")
        os.write(pipes[0], framed([trade(number) for number in range(100)]))
        os.close(pipes[0])
        assert worker.stderr
        told = worker.stderr.readline()
        assert told.startswith(f"sql.py: cannot write to {path}: database is locked; trying again, 200000 records are ")
        locker.execute("COMMIT")
        _, err = worker.communicate()
        assert err.startswith(f"sql.py: {path} can be written again, after ")
    assert worker.returncode == 0
    assert numbers(path) == list(range(100))


def test_what_can_not_be_stored_in_time_is_told(tmp_path: Path) -> None:
    path, summary = tmp_path / "db", tmp_path / "summary"
    locker = sqlite3.connect(path, isolation_level=None)
    arguments = [*SQL, "--database", path, "--give-up", "0", "--summary", summary]
    with closing(locker), ready_worker(arguments) as (worker, pipes):
        locker.execute("BEGIN IMMEDIATE")
        os.write(pipes[0], framed([trade(1), trade(2)]))
        os.close(pipes[0])
        _, err = worker.communicate()
    assert worker.returncode == 74
    _, count, why = err.splitlines()
    assert count == "sql.py: 2 records are not stored"
    assert why == f"sql.py: cannot write to {path}: database is locked; given up after 0 s"


def test_a_file_that_can_not_grow_ends_the_worker(tmp_path: Path) -> None:
    def no_large_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    path = tmp_path / "db"
    stream = framed([trade(number) for number in range(10_000)])
    ended = run_worker([*SQL, "--database", path], [stream], preexec_fn=no_large_files)
    assert ended.code == 74
    count, why = ended.err.splitlines()
    assert count == "sql.py: 10000 records are not stored"
    assert why.startswith(f"sql.py: cannot write to {path}: ")


def test_what_can_not_be_used_is_told_at_once(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no database" * 100)
    none = tmp_path / "none" / "db"
    for options, code, told in [
        (["--database", str(none)], 74, f"sql.py: cannot write to {none}: unable to open database file\n"),
        (["--database", str(text)], 74, f"sql.py: cannot write to {text}: file is not a database\n"),
        (["--keep", "-1"], 64, "argument --keep: -1 is below 0\n"),
    ]:
        ended = run_worker([*SQL, *options], [framed([trade(1)])])
        assert ended.code == code
        assert ended.err.endswith(told)
        assert "Traceback" not in ended.err


def test_the_opening_second_has_the_same_totals(opening_second: Path, tmp_path: Path) -> None:
    """As DuckDB's own reading of the recording."""
    worker = (sys.executable, *SQL, "--processes", "--database", "db")
    with (
        replay("--speed", "max", str(opening_second)) as server,
        Lb(
            server.url, 3, "--once", "--grace", "60", worker=worker, records=False, directory=tmp_path,
            environment=lb_environment(),
        ) as lb,
    ):  # fmt: skip
        assert lb.wait().exit_code == 0, lb.log
    raw = duckdb.execute(
        """
        SELECT record->>'sym' AS sym, count(*), sum(CAST(record->>'s' AS BIGINT)), max(CAST(record->>'p' AS DOUBLE))
        FROM (SELECT unnest(CAST(json AS JSON[])) AS record FROM read_json_objects(?)) GROUP BY ALL ORDER BY sym
        """,
        [str(opening_second)],
    ).fetchall()
    with closing(sqlite3.connect(tmp_path / "db")) as connection:
        found = connection.execute(
            "SELECT sym, count(*), CAST(sum(s) AS INTEGER), max(p) FROM trades GROUP BY sym ORDER BY sym"
        )
        assert found.fetchall() == raw
