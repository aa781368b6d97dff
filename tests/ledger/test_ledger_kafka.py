"""`lb-ledger run --kafka`: each transaction of a topic is done once, whichever of the group's members has its
partition, and whoever is killed, stands still, or comes and goes meanwhile."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import database_server
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from ledger_traffic import expected, transaction
from mock_cluster import MockCluster, mock_cluster
from postgresql_server import Server

from trade_balancer.errors import InputError, OutputError
from trade_balancer.ledger.audit import Findings, audit
from trade_balancer.ledger.ledger import Ledger
from trade_balancer.ledger.opening import open_existing
from trade_balancer.ledger.partitions import _records_of
from trade_balancer.ledger.shard import Part, Patience
from trade_balancer.ledger.store import StoreGoneError
from trade_balancer.ledger.store_memory import MemoryDatabase
from trade_balancer.ledger.transaction import text_of

PROGRAM = [sys.executable, "-m", "trade_balancer.ledger.program"]
SHARDS = 4
QUICK = {"session.timeout.ms": 1000, "heartbeat.interval.ms": 100, "fetch.wait.max.ms": 10}
BY_ACCOUNT = ("--shards", str(SHARDS), "--hash", "murmur2")


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    with mock_cluster() as brokers:
        brokers.make_topic("bank", SHARDS)
        yield brokers


def put(brokers: str, numbers: Sequence[int]) -> None:
    """Transactions, keyed by account."""
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 5, "partitioner": "murmur2_random"})
    for number in numbers:
        record = transaction(number)
        account = re.search(rb'"account":"(\w+)"', record)
        assert account is not None
        producer.produce("bank", record, account[1])
        producer.poll(0)
    assert producer.flush(60) == 0


@contextmanager
def member(
    brokers: str, database: str | Path, *more: str, group: str = "g", quick: Mapping[str, int] = QUICK
) -> Iterator[subprocess.Popen[str]]:
    settings = [word for name, value in quick.items() for word in ("-X", f"{name}={value}")]
    command = [*PROGRAM, "run", "--kafka", brokers, "--topic", "bank", "--group", group, *settings]
    command += ["--database", str(database), *more]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def end_of(process: subprocess.Popen[str]) -> str:
    """What it says; stopped, it has ended well. One that has just begun is stopped when it listens to the signal."""
    status, listens = Path(f"/proc/{process.pid}/status"), 1 << signal.SIGTERM - 1
    while not int(re.findall(r"SigCgt:\s*(\w+)", status.read_text())[0], 16) & listens:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate()
    assert process.returncode == 0, told
    return told


def taken(database: str | Path) -> int:
    """How many messages the positions say are in the ledger."""
    with ExitStack() as stack:
        stack.enter_context(suppress(InputError, StoreGoneError))  # it is not there yet, or just being made
        ledger = stack.enter_context(closing(open_existing(str(database))))
        stores = [stack.enter_context(closing(ledger.store(shard))) for shard in range(ledger.layout.shards)]
        positions: dict[str, int] = {}
        for shard, store in enumerate(stores):
            for source, end in store.head().steps.items():
                if source.startswith("kafka:") and int(source.rsplit(":", 1)[1]) % len(stores) == shard:
                    positions[source] = end
        return sum(positions.values())
    return 0


def await_taken(database: str | Path, count: int, *processes: subprocess.Popen[str]) -> None:
    while taken(database) < count:
        for process in processes:
            assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)


def looked_at(database: str | Path) -> tuple[Findings, dict[str, Decimal]]:
    """Once all transfers have arrived."""
    with closing(open_existing(str(database))) as ledger, ExitStack() as stack:
        with closing(Ledger(ledger, Patience())) as settling:
            settling.settle()
        shots = [stack.enter_context(closing(shot)) for shot in ledger.snapshots()]
        available = {one.account: Decimal(text_of(one.available)) for shot in shots for one in shot.balances()}
        return audit(ledger.layout, shots), available


def assert_once(database: str | Path, count: int) -> None:
    findings, available = looked_at(database)
    assert findings.faults == []
    assert (findings.applied, findings.refused, findings.repeated, findings.in_flight) == (count, 0, 0, 0)
    assert available == expected(count)


def test_a_topic_s_transactions_are_done_once(cluster: MockCluster, tmp_path: Path) -> None:
    """Also where a partition has accounts of many shards; and whoever comes next goes on behind them."""
    database = tmp_path / "ledger"
    put(cluster.brokers, range(600))
    with member(cluster.brokers, database, "--shards", "3") as first:
        await_taken(database, 600, first)
        first.kill()
    put(cluster.brokers, range(600, 900))
    with member(cluster.brokers, database, group="another") as second:
        await_taken(database, 900, second)
        told = end_of(second)
    assert " 0 had come before" in told
    assert_once(database, 900)


def in_a_burst(brokers: str, database: str | Path, count: int = 3000) -> None:
    """While transactions come, members come and are killed, one leaves, and one stands still for longer than the group
    waits, and goes on then with what it had in its hands."""
    small = (*BY_ACCOUNT, "--batch-max", "25")
    burst = threading.Thread(target=put, args=(brokers, range(count)))
    with ExitStack() as stack:

        def join() -> subprocess.Popen[str]:
            return stack.enter_context(member(brokers, database, *small))

        first = join()
        burst.start()
        await_taken(database, 1, first)
        still, leaving = join(), join()
        await_taken(database, count // 6, first, still, leaving)
        still.send_signal(signal.SIGSTOP)
        first.kill()
        until_s = time.monotonic() + 5
        while taken(database) < count and time.monotonic() < until_s:
            time.sleep(0.05)  # it may stand still with the database's lock: then all wait for it
        still.send_signal(signal.SIGCONT)
        last = join()
        end_of(leaving)
        burst.join()
        put(brokers, range(count, count + 500))
        await_taken(database, count + 500, still, last)
        end_of(still)
        end_of(last)
    assert_once(database, count + 500)


def test_partitions_move_between_members_in_a_burst(cluster: MockCluster, tmp_path: Path) -> None:
    in_a_burst(cluster.brokers, tmp_path / "ledger")


@pytest.mark.slow
def test_partitions_move_between_members_that_share_postgresql(cluster: MockCluster, tmp_path: Path) -> None:
    """As members on several machines do."""
    with database_server.running(Server) as server:
        (tmp_path / "url").write_text(f"postgresql://lb@/postgres?host={server.folder}")
        in_a_burst(cluster.brokers, f"@{tmp_path / 'url'}", 1500)


def test_a_group_writes_one_ledger(cluster: MockCluster, tmp_path: Path) -> None:
    """A folder here and another one there: each would have a part of the accounts, and some money twice."""
    put(cluster.brokers, range(100))
    with member(cluster.brokers, tmp_path / "here", *BY_ACCOUNT) as here:
        await_taken(tmp_path / "here", 100, here)
        end_of(here)
    with member(cluster.brokers, tmp_path / "there", *BY_ACCOUNT) as there:
        _, told = there.communicate()
    assert there.returncode == 64, told
    assert "the group g does not write this ledger, but another one" in told
    assert taken(tmp_path / "there") == 0


def test_a_group_that_writes_another_ledger_elsewhere_is_not_joined(cluster: MockCluster, tmp_path: Path) -> None:
    """Also where that stands in a partition which this member does not get, as it is here each second time."""
    ours: dict[str, str | int] = {**QUICK, "bootstrap.servers": cluster.brokers, "group.id": "g"}
    beside = Consumer({**ours, "partition.assignment.strategy": "cooperative-sticky"})
    with closing(beside):
        beside.subscribe(["bank"])
        while len(beside.assignment()) < SHARDS:
            beside.poll(0.05)
        beside.commit(offsets=[TopicPartition("bank", 0, 0, metadata="another")], asynchronous=False)
        with member(cluster.brokers, tmp_path / "there", *BY_ACCOUNT) as there:
            while there.poll() is None:
                beside.poll(0.05)
            _, told = there.communicate()
    assert there.returncode == 64, told


def test_a_member_with_a_name_and_the_brokers_own_protocol_is_refused(cluster: MockCluster, tmp_path: Path) -> None:
    words = (*BY_ACCOUNT, "--member", "a", "-X", "group.protocol=consumer")
    with member(cluster.brokers, tmp_path / "ledger", *words, quick={}) as refused:
        _, told = refused.communicate()
    assert (refused.returncode, "--member" in told) == (64, True), told


def test_messages_without_a_value_are_passed_over(cluster: MockCluster, tmp_path: Path) -> None:
    """Also where they come alone, and others behind them."""
    producer = Producer({"bootstrap.servers": cluster.brokers})
    put(cluster.brokers, range(50))
    with member(cluster.brokers, tmp_path / "ledger", *BY_ACCOUNT) as reading:
        await_taken(tmp_path / "ledger", 50, reading)
        for partition in range(SHARDS):
            producer.produce("bank", None, "nobody", partition)
        assert producer.flush(60) == 0
        time.sleep(0.5)  # a batch of their own
        put(cluster.brokers, range(50, 150))
        await_taken(tmp_path / "ledger", 150 + SHARDS, reading)
        end_of(reading)
    assert_once(tmp_path / "ledger", 150)


def test_a_database_without_its_position_is_not_gone_on_with() -> None:
    """Somebody has made it anew, under a member that goes on."""
    database = MemoryDatabase()
    with closing(Ledger(database, Patience())) as ledger:
        ledger.take([Part("kafka:c:bank:0", 0, [transaction(0)], [7], 0)])
        assert ledger.position("kafka:c:bank:0", 0) == 7
    with closing(Ledger(MemoryDatabase(), Patience())) as ledger, pytest.raises(OutputError, match="not what it was"):
        ledger.take([Part("kafka:c:bank:0", 7, [transaction(1)], [8], 0)])


def test_only_what_lb_kafka_has_packed_is_taken_apart() -> None:
    def records(told: bytes | None) -> list[bytes]:
        return _records_of(SimpleNamespace(value=lambda: b"a\nb", headers=lambda: [("lb", told)]))

    assert records(b"run/3/17+4") == [b"a", b"b"]
    for told in (b"run/3/17", b"a+b", b"run/3/17+", None):
        assert records(told) == [b"a\nb"]


def test_what_is_not_in_the_topic_any_more_is_not_passed_over(cluster: MockCluster, tmp_path: Path) -> None:
    put(cluster.brokers, range(100))
    with member(cluster.brokers, tmp_path / "ledger", *BY_ACCOUNT) as first:
        await_taken(tmp_path / "ledger", 100, first)
        end_of(first)
    with closing(open_existing(str(tmp_path / "ledger"))) as database, closing(Ledger(database, Patience())) as ledger:
        with closing(database.store(2)) as store:
            source = next(iter(store.head().steps))
        ledger.take([Part(source, ledger.position(source, 2) or 0, [b"{}"], [7000], 2)])
    with member(cluster.brokers, tmp_path / "ledger", group="other") as second:
        _, told = second.communicate()
    assert second.returncode == 66, told
    assert "partition 2 of bank has nothing at offset 7000" in told
