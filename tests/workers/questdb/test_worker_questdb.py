"""`lb-sql` with a real QuestDB: every record in its table, once, also when the server is killed meanwhile."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import database_server
import pytest
from event_forge import OTHERS, records_of_all_events
from feeding import framed, pipes_with, run_worker, start_worker
from questdb_server import Server
from sql_model import NAMES, check_rows, expected_rows, trade

from trade_balancer.columnar.events import EVENTS
from trade_balancer.errors import OutputError
from trade_balancer.sql_questdb import ARRIVAL, QuestdbStore

pytestmark = pytest.mark.slow

SQL = ["-m", "trade_balancer.sql", "--database"]


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with database_server.running(Server) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    """Without a table."""
    for table in [*NAMES.values(), "others"]:
        running.ask(f"DROP TABLE IF EXISTS {table}")
    return running


def url_of(server: Server) -> str:
    return f"questdb://127.0.0.1:{server.port}"


def rows_of(server: Server, table: str, count: int) -> list[dict[str, Any]]:
    """Once there are so many: what is committed is seen a moment later."""
    seen = 0
    until_s = time.monotonic() + 60
    while seen < count:
        assert time.monotonic() < until_s, f"{table}: {seen} of {count} rows"
        there = server.ask(f"SELECT table_name FROM tables() WHERE table_name = '{table}'")
        seen = server.ask(f"SELECT count() AS seen FROM {table}")[0]["seen"] if there else 0
    rows = server.ask(f"SELECT * FROM {table}")
    for row in rows:
        del row[ARRIVAL]
        for name in ("c", "i"):
            if isinstance(row.get(name), str) and row[name].startswith("["):
                row[name] = tuple(json.loads(row[name]))
    return rows


def counted(rows: Iterable[dict[str, Any]]) -> set[tuple[tuple[str, Any], ...]]:
    """Rows that are equal in all are one here."""
    return {tuple(sorted(row.items())) for row in rows}


def test_every_record_is_in_its_table(server: Server, tmp_path: Path) -> None:
    summary = tmp_path / "summary"
    records = records_of_all_events(2000)
    ended = run_worker([*SQL, url_of(server), "--summary", summary], [framed([*records, *OTHERS])])
    assert ended.code == 0, ended.err
    for event in EVENTS:
        expected = counted(expected_rows(event, records))
        found = rows_of(server, NAMES[event], len(expected))
        assert counted(found) == expected, event
        timed = [row for row in found if row["s" if event in ("A", "AM") else "t"] is not None]
        assert len(timed) == len(counted(timed)), "one without a time has that of its writing, and is like no other"
    others = rows_of(server, "others", len(OTHERS))
    assert sorted(row["record"] for row in others) == sorted(other.decode() for other in OTHERS)
    totals = json.loads(summary.read_text())
    assert (totals["stored"], totals["others"], totals["not_stored"]) == (2005, 5, 0)


def test_nothing_is_lost_or_doubled_when_the_server_is_killed_and_comes_back(server: Server) -> None:
    records = [trade(number) for number in range(20_001)]
    chunks = [framed(records[begin : begin + 1000]) for begin in range(0, 20_000, 1000)]
    with pipes_with([chunks]) as fds:
        read_end, write_end = os.pipe()
        worker = start_worker([*SQL, url_of(server), "--keep", "5000"], [*fds, read_end])
        os.close(read_end)
        assert worker.stderr
        while not server.ask("SELECT table_name FROM tables() WHERE table_name = 'trades'"):
            pass
        server.kill()
        os.write(write_end, framed(records[20_000:]))
        away = worker.stderr.readline()
        server.start()
        back = worker.stderr.readline()
        os.close(write_end)
        _, err = worker.communicate()
    where = f"QuestDB at 127.0.0.1:{server.port}"
    assert away.startswith(f"sql.py: cannot write to {where}: ")
    assert re.match(rf"sql.py: {where} can be written again, after [\d.]+ s; \d+ records were waiting\n", back)
    assert (worker.returncode, err) == (0, "")
    check_rows("T", rows_of(server, "trades", len(records)), records)


def test_what_the_server_refuses_is_told_and_not_tried_again(server: Server) -> None:
    server.ask("CREATE TABLE trades (time TIMESTAMP, p BOOLEAN) TIMESTAMP(time) PARTITION BY DAY WAL")
    ended = run_worker([*SQL, url_of(server)], [framed([trade(1)])])
    assert ended.code == os.EX_IOERR
    assert ended.err.startswith("sql.py: 1 records are not stored\n")
    assert f"cannot write to QuestDB at 127.0.0.1:{server.port}: " in ended.err


def test_a_server_that_is_not_there_is_an_error_at_the_start() -> None:
    ended = run_worker([*SQL, "questdb://127.0.0.1:1"], [b""])
    assert ended.code == os.EX_IOERR
    assert ended.err == "sql.py: cannot write to QuestDB at 127.0.0.1:1: [Errno 111] Connection refused\n"


def test_a_password_is_not_shown_and_not_taken_from_a_command_line() -> None:
    store = QuestdbStore("questdb://me:hunter2@db.example.com")
    assert (store.name, store.has_password) == ("QuestDB at db.example.com:9000", True)
    ended = run_worker([*SQL, "questdb://me:hunter2@db.example.com"], [b""])
    assert (ended.code, "hunter2" in ended.err) == (os.EX_USAGE, False)


@pytest.mark.parametrize("url", ["questdb://", "questdb://h:x", "questdb:///h", "questdb://a b"])
def test_another_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(OutputError, match=r"^the URL is none"):
        QuestdbStore(url)
