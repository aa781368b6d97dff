"""What is much, or too much: one account for everybody, more accounts than are kept at hand, a full disk, a clock that
jumps."""

from __future__ import annotations

import json
import re
import resource
import signal
import subprocess
import threading
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from harness.preload import JUMPING_CLOCK, preload
from ledger_model import record_of
from need import need_plain_build
from test_ledger_intake import PROGRAM, answers_of, deposits, listening, looked_at

from trade_balancer.ledger import shard
from trade_balancer.ledger.audit import audit
from trade_balancer.ledger.ledger import Ledger
from trade_balancer.ledger.shard import Part, Patience
from trade_balancer.ledger.store_sqlite import SqliteDatabase
from trade_balancer.ledger.transaction import text_of


def test_one_account_for_everybody_and_the_same_from_many_at_once(tmp_path: Path) -> None:
    place, folder = f"unix:{tmp_path / 'socket'}", tmp_path / "ledger"
    kinds = ["deposit", "deposit", "withdrawal"]
    told = [
        {"id": str(n), "account": "hot", "kind": kinds[n % 3], "amount": "1.00000001", "time": n} for n in range(3000)
    ]
    lines = [json.dumps(one).encode() for one in told]
    answers: list[list[str]] = []
    with listening(folder, place, "--batch-max", "100") as (_, _):
        clients = [
            threading.Thread(target=lambda: answers.append([one["status"] for one in answers_of(place, lines)]))
            for _ in range(4)
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    assert answers == [["applied"] * 3000] * 4
    findings = looked_at(folder)
    assert findings.faults == []
    assert (findings.accounts, findings.applied, findings.repeated) == (1, 3000, 9000)
    with closing(SqliteDatabase(folder)) as database, closing(database.store(0).snapshot()) as snapshot:
        balance = snapshot.balance("hot")
        assert balance is not None
        assert text_of(balance.available) == "1000.00001"
        assert len(list(snapshot.history("hot", 10_000))) == 3000


def test_more_accounts_than_are_kept_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They come back from the database as they are wanted."""
    monkeypatch.setattr(shard, "MOST_ACCOUNTS", 300)
    random = Random(7)
    numbers = [random.randrange(2000) for _ in range(6000)]
    records = [
        record_of({"id": str(at), "account": f"a{number}", "kind": "deposit", "amount": "1", "time": at})
        for at, number in enumerate(numbers)
    ]
    database = SqliteDatabase(tmp_path / "ledger")
    with closing(Ledger(database, Patience())) as ledger:
        for at in range(0, len(records), 500):
            ledger.take([Part("source", at, records[at : at + 500])])
    with closing(database.store(0).snapshot()) as snapshot:
        found = {one.account: text_of(one.available) for one in snapshot.balances()}
        assert audit(database.layout, [snapshot]).faults == []
    assert found == {f"a{number}": str(numbers.count(number)) for number in set(numbers)}


def test_a_full_disk_is_waited_for_and_nothing_is_dropped(tmp_path: Path) -> None:
    """No file may get longer, until there is room again."""
    place, folder = f"unix:{tmp_path / 'socket'}", tmp_path / "ledger"
    command = [*PROGRAM, "listen", "--database", str(folder), "--at", place, "--batch-max", "200"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as ledger:
        try:
            assert ledger.stdout is not None
            assert ledger.stderr is not None
            assert ledger.stdout.readline().startswith("ready at ")
            _, hard = resource.prlimit(ledger.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(ledger.pid, resource.RLIMIT_FSIZE, (300_000, hard))
            answers: list[dict[str, str]] = []
            client = threading.Thread(target=lambda: answers.extend(answers_of(place, deposits(0, 6000))))
            client.start()
            told = ledger.stderr.readline()
            assert re.search(r"cannot use .*; trying again, and taking nothing meanwhile", told), told
            before = looked_at(folder)
            assert before.faults == []
            assert before.applied < 6000
            resource.prlimit(ledger.pid, resource.RLIMIT_FSIZE, (hard, hard))
            client.join()
            ledger.send_signal(signal.SIGTERM)
            _, told = ledger.communicate()
        finally:
            ledger.kill()
    assert (ledger.returncode, "the database is back after" in told) == (0, True), told
    assert [one["status"] for one in answers] == ["applied"] * 6000
    findings = looked_at(folder)
    assert findings.faults == []
    assert (findings.applied, findings.refused, findings.repeated) == (6000, 0, 0)


def test_a_clock_that_jumps_by_years_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_plain_build("the library with the clock is loaded first")
    for name, value in preload(tmp_path, JUMPING_CLOCK).items():
        monkeypatch.setenv(name, value)
    place, folder = f"unix:{tmp_path / 'socket'}", tmp_path / "ledger"
    with listening(folder, place, "--batch-max", "10", "--shards", "2") as (ledger, _):
        monkeypatch.undo()
        assert [one["status"] for one in answers_of(place, deposits(0, 300))] == ["applied"] * 300
        ledger.send_signal(signal.SIGTERM)
        assert ledger.wait() == 0
    assert looked_at(folder).faults == []
    with closing(SqliteDatabase(folder)) as database, closing(database.store(1).snapshot()) as snapshot:
        times_ms = [batch.at_ms for batch in snapshot.batches()]
    assert max(times_ms) - min(times_ms) > 10 * 365 * 24 * 3600 * 1000  # it has really looked at that clock
