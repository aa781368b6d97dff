"""`lb --redeliver` with `lb-ledger`, whose processes are killed in full flight: no transaction is lost or done twice,
no transfer between shards loses or makes money."""

from __future__ import annotations

import sys
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from harness.feed import Feed
from harness.flood import Flood
from harness.lb_process import End, Lb
from harness.redelivering import AT_ONCE, LITTLE, REDELIVER, assert_nothing_lost, kill_in_full_flight
from ledger_traffic import expected, transaction

from trade_balancer.ledger.audit import Findings, audit
from trade_balancer.ledger.store_sqlite import SqliteDatabase
from trade_balancer.ledger.transaction import text_of

SHARDS = 3
ROUTE = ("--route", "key=account")
LEDGER = "trade_balancer.ledger.program"


def looked_at(folder: Path) -> tuple[Findings, dict[str, Decimal]]:
    with closing(SqliteDatabase(folder)) as database:
        snapshots = database.snapshots()
        findings = audit(database.layout, snapshots)
        available = {one.account: Decimal(text_of(one.available)) for shot in snapshots for one in shot.balances()}
        for snapshot in snapshots:
            snapshot.close()
    return findings, available


def killed_in_full_flight(folder: Path, *worker: str, times: int = 4, route: tuple[str, ...] = ROUTE) -> End:
    command = (sys.executable, *worker, "run", "--database", str(folder), "--shards", str(SHARDS))
    with Feed() as feed, Lb(feed.url, SHARDS, *REDELIVER, *LITTLE, *route, worker=command, constants=AT_ONCE) as lb:
        with feed.session() as peer, Flood(peer, make=transaction):
            kill_in_full_flight(lb, SHARDS, times=times)
        end = lb.stop()
    assert_nothing_lost(end.balance, end.balance["received"])
    assert end.exit_code == 0
    return end


def test_each_transaction_is_done_once_and_no_transfer_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    received = killed_in_full_flight(folder, "-m", LEDGER).balance["received"]
    findings, available = looked_at(folder)
    assert findings.faults == []
    assert (findings.applied, findings.refused, findings.in_flight) == (received, 0, 0)
    assert available == expected(received)


DIES_UNTOLD = """
import os, signal, sys
from pathlib import Path
from trade_balancer.ledger.program import main
from trade_balancer.ledger.store_sqlite import SqliteStore
deaths, write, send = Path(sys.argv.pop(1)), SqliteStore.write, os.kill
def die(self, change):
    write(self, change)
    if change.steps and len(list(deaths.iterdir())) < 3:
        (deaths / str(os.getpid())).touch()
        send(os.getpid(), signal.SIGKILL)
SqliteStore.write = die
sys.exit(main())
"""
"""A ledger of which three processes die behind a commit, before lb or a transfer's other shard knows of it."""


@pytest.mark.parametrize("route", [ROUTE, ("--route", "round-robin")])
def test_what_was_committed_and_not_acknowledged_is_passed_over(tmp_path: Path, route: tuple[str, ...]) -> None:
    """Also where records are dealt without a key: then all processes write all shards, and none trusts its memory."""
    deaths, folder = tmp_path / "deaths", tmp_path / "ledger"
    deaths.mkdir()
    command = (sys.executable, "-c", DIES_UNTOLD, str(deaths), "run", "--database", str(folder), "--shards", "3")
    limit = 3000
    with Feed() as feed, Lb(feed.url, SHARDS, *REDELIVER, *LITTLE, *route, worker=command, constants=AT_ONCE) as lb:
        with feed.session() as peer, Flood(peer, make=transaction, limit=limit) as flood:
            for _ in range(SHARDS + 3):
                lb.await_line("worker started")
            flood.wait()
        end = lb.stop()
    assert_nothing_lost(end.balance, end.balance["received"])
    findings, available = looked_at(folder)
    assert findings.faults == []
    received = end.balance["received"]
    if route == ROUTE:
        assert (findings.applied, findings.refused, findings.in_flight) == (received, 0, 0)
        assert available == expected(received)
    else:  # an account's first deposit may come behind others: what is refused depends on it
        assert findings.applied + findings.refused == received
    assert len(list(deaths.iterdir())) == 3
