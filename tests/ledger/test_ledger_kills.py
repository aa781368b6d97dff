"""A share of 200 kills: of ledgers at chosen system calls and at random, of the database, of lb, and of the broker.

All of them: `ledger_kills.py 140`, `ledger_kills.py 20 --postgresql`, and LB_KILLS=20 in the environment of this file.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import database_server
import postgresql_server
import pytest
from harness.feed import Feed
from harness.flood import Flood
from harness.lb_process import Lb
from harness.redelivering import AT_ONCE, LITTLE, REDELIVER
from kafka_server import Server
from ledger_traffic import expected, transaction
from need import need, need_plain_build
from test_ledger_kafka import BY_ACCOUNT, assert_once, await_taken, member, put, taken
from test_ledger_killed import LEDGER, ROUTE, SHARDS, looked_at

from trade_balancer.ledger.store_sqlite import SqliteDatabase
from trade_balancer.ledger.transaction import LAST_OF_CLIENTS

KILLS = int(os.environ.get("LB_KILLS", "1"))
PROGRAM = [sys.executable, str(Path(__file__).parent / "ledger_kills.py")]


def killed(*words: str) -> None:
    need("cc")
    need_plain_build("the library that kills is loaded first")
    done = subprocess.run([*PROGRAM, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ledgers_that_are_killed_at_any_system_call(tmp_path: Path) -> None:
    killed("40")


@pytest.mark.slow
def test_ledgers_that_are_killed_and_so_is_their_database() -> None:
    try:
        postgresql_server.programs()
    except database_server.UnavailableError as fault:
        pytest.skip(f"NOT TESTED here: {fault}")
    killed("10", "--postgresql")


def numbers_in(folder: Path) -> set[int]:
    """Of the transactions that are in the ledger."""
    numbers: set[int] = set()
    with closing(SqliteDatabase(folder)) as database:
        for snapshot in database.snapshots():
            numbers |= {int(row.id or 0) for row in snapshot.rows() if row.kind <= LAST_OF_CLIENTS}
            snapshot.close()
    return numbers


def test_lb_is_killed_and_the_feed_sends_again(tmp_path: Path) -> None:
    """From before what was lost on: what came through is known by its ids."""
    folder, begin = tmp_path / "ledger", 0
    worker = (sys.executable, "-m", LEDGER, "run", "--database", str(folder), "--shards", str(SHARDS))
    with Feed() as feed:
        for _ in range(KILLS):
            with (
                Lb(feed.url, SHARDS, *REDELIVER, *LITTLE, *ROUTE, worker=worker, constants=AT_ONCE) as lb,
                feed.session() as peer,
                Flood(peer, begin=begin, make=transaction),
            ):
                for _ in range(SHARDS):
                    lb.await_line("worker started")
                while min(lb.balance()["acknowledged"]) == 0:
                    pass
                os.kill(lb.pid, signal.SIGKILL)
            numbers = numbers_in(folder)
            begin = next(number for number in range(len(numbers) + 1) if number not in numbers)
        limit = max(numbers) + 200
        with Lb(feed.url, SHARDS, *REDELIVER, *LITTLE, *ROUTE, worker=worker, constants=AT_ONCE) as lb:
            with feed.session() as peer, Flood(peer, begin=begin, limit=limit, make=transaction) as flood:
                flood.wait()
                while sum(lb.balance()["acknowledged"]) < limit - begin:
                    pass
            assert lb.stop().exit_code == 0
    findings, available = looked_at(folder)
    assert findings.faults == []
    assert (findings.applied, findings.refused, findings.in_flight) == (limit, 0, 0)
    assert available == expected(limit)


@pytest.mark.skipif("LB_KILLS" not in os.environ, reason="takes seconds for each kill: by LB_KILLS=20 alone")
def test_the_broker_is_killed_and_so_are_members(tmp_path: Path) -> None:
    database, count = tmp_path / "ledger", 400 * KILLS
    patient = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 500, "reconnect.backoff.max.ms": 200}
    with database_server.running(Server) as server:
        topic = ["setup", "--brokers", server.brokers, "--topic", "bank", "--partitions", "4"]
        subprocess.run([sys.executable, "-m", "trade_balancer.kafka.program", *topic], check=True, capture_output=True)
        burst = threading.Thread(target=put, args=(server.brokers, range(count)))
        burst.start()
        group = secrets.token_hex(4)
        for number in range(KILLS):
            with member(server.brokers, database, *BY_ACCOUNT, "--member", "m", group=group, quick=patient) as ledger:
                await_taken(database, min(taken(database) + 100, count), ledger)
                server.kill()
                if number % 2:
                    ledger.kill()
                server.start()
                if not number % 2:
                    await_taken(database, min(taken(database) + 100, count), ledger)
        burst.join()
        with member(server.brokers, database, "--member", "m", group=group, quick=patient) as ledger:
            await_taken(database, count, ledger)
    assert_once(database, count)
