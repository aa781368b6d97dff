"""`lb-sql` with a real PostgreSQL: every record in its table, once, also when the server is killed meanwhile."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import database_server
import psycopg
import pytest
from event_forge import OTHERS, records_of_all_events
from feeding import framed, pipes_with, ready_worker, run_worker, start_worker
from postgresql_server import Server
from psycopg.rows import dict_row
from sql_model import NAMES, check_rows, check_steps, trade

from trade_balancer.columnar.events import EVENTS
from trade_balancer.sql_postgresql import PostgresqlStore

pytestmark = pytest.mark.slow

SQL = ["-m", "trade_balancer.sql", "--database"]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with database_server.running(Server) as server:
        yield server


@pytest.fixture
def database(server: Server) -> str:
    """A URL of an empty database, without a password."""
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS market WITH (FORCE)")
        connection.execute("CREATE DATABASE market")
    return f"postgresql://lb@/market?host={server.folder}"


def rows_of(database: str, table: str) -> list[dict[str, Any]]:
    with psycopg.connect(database, row_factory=dict_row) as connection:
        rows = connection.execute(f"SELECT * FROM {table}".encode()).fetchall()
    for row in rows:
        for name, one in row.items():
            row[name] = tuple(one) if isinstance(one, list) else str(one) if name == "day" and one else one
    return rows


def await_trades(database: str, least: int) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        while connection.execute("SELECT to_regclass('trades')").fetchone() == (None,):
            pass
        while connection.execute("SELECT count(*) >= %s FROM trades", [least]).fetchone() == (False,):
            pass


@pytest.mark.parametrize("options", [[], ["--processes"]])
def test_every_record_is_in_its_table(database: str, options: list[str], tmp_path: Path) -> None:
    summary = tmp_path / "summary"
    records = records_of_all_events(2000)
    everything = [*records, *OTHERS, b'{"ev":"T","sym":"A\\u0000B","i":"\\u0000","c":[]}', b"\xff\x00"]
    streams = [framed(everything)] if not options else [framed(everything[pipe::3]) for pipe in range(3)]
    ended = run_worker([*SQL, database, "--summary", summary, *options], streams)
    assert ended.code == 0, ended.err
    expected = [*records, '{"ev":"T","sym":"A\ufffdB","i":"\ufffd","c":[]}'.encode()]
    for event in EVENTS:
        if not options or event not in ("T", "XT"):  # of several processes nobody knows whose trade is the first
            check_rows(event, rows_of(database, NAMES[event]), expected)
    others = sorted(row["record"] for row in rows_of(database, "others"))
    assert others == sorted([*(other.decode() for other in OTHERS), "\\xff\ufffd"])
    totals = json.loads(summary.read_text())
    assert (totals["stored"], totals["others"], totals["not_stored"]) == (2007, 6, 0)
    assert totals["added"] == sum(len(rows_of(database, name)) for name in [*NAMES.values(), "others"])


def test_trades_that_come_again_are_not_added(database: str, tmp_path: Path) -> None:
    summary = tmp_path / "summary"
    records = [trade(number) for number in range(300)]
    for _ in range(2):
        ended = run_worker([*SQL, database, "--summary", summary], [framed([*records, trade(1, i=None)])])
        assert ended.code == 0, ended.err
    check_rows("T", rows_of(database, "trades"), [*records, *[trade(1, i=None)] * 2])
    totals = json.loads(summary.read_text())
    assert (totals["stored"], totals["added"]) == (301, 1)


def test_how_far_a_pipe_is_stored_is_written_with_its_rows(database: str) -> None:
    check_steps(PostgresqlStore(database))


def test_where_no_trade_has_an_id_the_sequence_number_is_one(database: str) -> None:
    """So it is with options and futures."""
    records = [trade(1, i=None, x=None, q=7), trade(1, i=None, x=None, q=8), trade(2, i=None, x=None, q=7)]
    for _ in range(2):
        ended = run_worker([*SQL, database], [framed(records)])
        assert ended.code == 0, ended.err
    check_rows("T", rows_of(database, "trades"), records)


def test_a_table_that_is_there_is_used_as_it_is(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(
            "CREATE TABLE trades (mine int DEFAULT 7, p numeric, day date, sym text, i text, x bigint, s real, c int[],"
            " t bigint, pt bigint, q bigint, z int, trfi int, trft bigint, ds numeric)"
        )
    ended = run_worker([*SQL, database], [framed([trade(1), trade(1)])])
    assert ended.code == 0, ended.err
    assert [(row["mine"], str(row["p"]), row["i"]) for row in rows_of(database, "trades")] == [(7, "10.25", "1")] * 2


def test_nothing_is_lost_or_doubled_when_the_server_is_killed_and_comes_back(server: Server, database: str) -> None:
    """Twice, in the middle of a stream; and while it is away, more comes."""
    records = [trade(number, i=str(number) if number else None) for number in range(50_002)]
    chunks = [framed(records[begin : begin + 1000]) for begin in range(0, 50_000, 1000)]
    told = []
    with pipes_with([chunks]) as fds:
        read_end, write_end = os.pipe()
        worker = start_worker([*SQL, database, "--keep", "10000"], [*fds, read_end])
        os.close(read_end)
        assert worker.stderr
        for round_, least in enumerate((1, 30_000)):
            await_trades(database, least)
            server.kill()
            os.write(write_end, framed([records[50_000 + round_]]))
            told.append(worker.stderr.readline())
            server.start()
            told.append(worker.stderr.readline())
        os.close(write_end)
        _, err = worker.communicate()
    where = f"PostgreSQL's database market at {server.folder}"
    for away, back in (told[:2], told[2:]):
        assert away.startswith(f"sql.py: cannot write to {where}: ")
        assert away.endswith("; trying again, 10000 records are kept meanwhile, then the pipes wait\n")
        assert re.match(rf"sql.py: {where} can be written again, after [\d.]+ s; \d+ records were waiting\n", back)
    assert (worker.returncode, err) == (0, "")
    check_rows("T", rows_of(database, "trades"), records)


def test_what_psycopg_logs_is_no_line_of_the_worker_s() -> None:
    """It warns of a COPY whose connection is gone."""
    program = "import trade_balancer.sql_postgresql, logging; logging.getLogger('psycopg').warning('error ignored')"
    ended = run_worker(["-c", program], [])
    assert (ended.code, ended.err) == (0, "")


def test_a_transaction_adds_its_own_rows_alone(database: str) -> None:
    """Where no key would keep those of the one before out."""
    nameless = trade(1, i=None)
    with ready_worker([*SQL, database]) as (worker, pipes):
        for least in (1, 2, 3):
            os.write(pipes[0], framed([nameless]))
            await_trades(database, least)
        os.close(pipes[0])
        worker.communicate()
    assert worker.returncode == 0
    check_rows("T", rows_of(database, "trades"), [nameless] * 3)


def test_what_passes_by_is_waited_for(database: str) -> None:
    """A lock, on a connection that is whole."""
    with (
        psycopg.connect(database, autocommit=True) as locker,
        ready_worker([*SQL, f"{database}&options=-c%20lock_timeout%3D200"]) as (worker, pipes),
    ):
        os.write(pipes[0], framed([trade(1)]))
        await_trades(database, 1)
        with locker.transaction():
            locker.execute("LOCK TABLE trades")
            os.write(pipes[0], framed([trade(2)]))
            os.close(pipes[0])
            assert worker.stderr
            assert "canceling statement due to lock timeout" in worker.stderr.readline()
        worker.communicate()
    assert worker.returncode == 0
    check_rows("T", rows_of(database, "trades"), [trade(1), trade(2)])


def test_what_can_not_be_stored_in_time_is_told(server: Server, database: str) -> None:
    with ready_worker([*SQL, database, "--give-up", "1"]) as (worker, pipes):
        server.kill()
        try:
            os.write(pipes[0], framed([trade(1), trade(2)]))
            os.close(pipes[0])
            _, err = worker.communicate()
        finally:
            server.start()
    assert worker.returncode == 74
    _, count, why = err.splitlines()
    assert count == "sql.py: 2 records are not stored"
    assert why.endswith("; given up after 1 s")


def test_what_the_server_refuses_ends_the_worker(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE trades (sym text)")
    ended = run_worker([*SQL, database], [framed([trade(1)])])
    assert ended.code == 74
    count, why = ended.err.splitlines()
    assert count == "sql.py: 1 records are not stored"
    assert 'column "day" of relation "trades" does not exist' in why


SECRET = "swordfish"


@pytest.mark.parametrize("connection", [
    f"postgresql://lb:{SECRET}@/market?host=/nowhere",
    f"host=/nowhere password={SECRET}",
    f"postgresql://lb:{SECRET}@/market?{SECRET}=1",
    f"{SECRET} no connection string",
])  # fmt: skip
def test_no_text_shows_a_password(connection: str, tmp_path: Path) -> None:
    file = tmp_path / "connection"
    file.write_text(connection + "\n")
    ended = run_worker([*SQL, f"@{file}"], [framed([trade(1)])])
    assert ended.code == 74
    assert SECRET not in ended.err
    assert len(ended.err.splitlines()) == 1


def test_a_password_on_the_command_line_is_refused(tmp_path: Path) -> None:
    ended = run_worker([*SQL, f"postgresql://lb:{SECRET}@/market"], [framed([trade(1)])])
    assert (ended.code, SECRET in ended.err) == (64, False)
    assert ended.err.endswith("put the URL into a file (@FILE)\n")
    ended = run_worker([*SQL, f"@{tmp_path}/none"], [framed([trade(1)])])
    assert (ended.code, ended.err) == (
        64,
        f"sql.py: --database: cannot read {tmp_path}/none: No such file or directory\n",
    )


def test_without_its_extra_it_says_so_in_one_sentence() -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None; from trade_balancer.sql import main; "
        "sys.argv[1:1] = ['--database', 'postgresql://lb@/market']; sys.exit(main())"
    )
    ended = run_worker(["-c", code], [framed([trade(1)])])
    told = "-c: PostgreSQL needs the package psycopg: pip install 'trade-balancer[postgresql]'\n"
    assert (ended.code, ended.err) == (69, told)
