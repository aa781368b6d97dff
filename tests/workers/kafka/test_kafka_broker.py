"""A real broker of Kafka's: topics, passwords, a restart in full flight, a member that is killed, and all that
compose.yaml starts."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import composed
import database_server
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from feeding import ROOT, framed, ready_worker, run_worker
from group_member import member_of
from harness.emitting import Emit
from harness.feed import Feed
from harness.flood import Flood, record
from harness.lb_process import Lb, with_constants
from harness.redelivering import AT_ONCE, LITTLE, REDELIVER, assert_nothing_lost, kill_in_full_flight
from harness.replay import replay
from kafka_server import PASSWORD, Server
from test_kafka_redelivery import assert_all_there
from topic_reader import messages

pytestmark = pytest.mark.slow

KAFKA = ["-m", "trade_balancer.kafka.program"]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with database_server.running(Server, may_lack=False) as broker:
        yield broker


def set_up(server: Server, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *KAFKA, "setup", "--brokers", server.brokers, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def topic(server: Server) -> str:
    name = f"t{secrets.token_hex(4)}"
    assert set_up(server, "--topic", name, "--partitions", "4").returncode == 0
    return name


def test_topics_are_made_and_told_and_not_changed(server: Server) -> None:
    words = ("--topic", "T=one,two", "--partitions", "3")
    first, second = (set_up(server, *words, "--retention", "2d") for _ in range(2))
    assert (first.returncode, first.stdout) == (0, "one: made, 3 partitions\ntwo: made, 3 partitions\n"), first.stderr
    assert (second.returncode, second.stdout) == (0, "one: is there\ntwo: is there\n"), second.stderr
    other = set_up(server, "--topic", "one", "--partitions", "5", "--retention", "1h")
    assert (other.returncode, other.stdout) == (78, "one: is there, but with 3 partitions, retention.ms=172800000\n")
    refused = set_up(server, "--topic", "three", "--replicas", "2")
    assert refused.returncode == 69
    assert "topic three: " in refused.stderr


def test_a_topic_that_is_missing_is_named(server: Server) -> None:
    done = run_worker([*KAFKA, "--brokers", server.brokers, "--topic", "absent"], [b""])
    assert done.code == 69
    assert re.search(r"topic absent: .*`lb-kafka setup` makes it\n$", done.err)


def test_a_password_comes_from_a_file(server: Server, topic: str, tmp_path: Path) -> None:
    settings = tmp_path / "settings"
    settings.write_text(
        f"security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.username=lb\nsasl.password={PASSWORD}\n"
    )
    command = [
        *KAFKA,
        "--brokers",
        server.sasl_brokers,
        "-X",
        f"@{settings}",
        "--topic",
        topic,
        "--compression",
        "zstd",
    ]
    done = run_worker(command, [framed([record(number) for number in range(100)])])
    assert done.code == 0, done.err
    assert PASSWORD not in done.err  # where the broker has begun a moment ago, librdkafka may say that it tries again
    assert sorted(message.value for message in messages(server.brokers, [topic])) == sorted(map(record, range(100)))


def test_a_broker_and_lb_kafka_that_are_killed_cost_nothing(server: Server, topic: str) -> None:
    command = (sys.executable, *KAFKA, "--brokers", server.brokers, "--topic", topic, "--pack-ms", "5")
    with Feed() as feed, Lb(feed.url, 2, *REDELIVER, *LITTLE, worker=command, constants=AT_ONCE) as lb:
        with feed.session() as peer, Flood(peer):
            kill_in_full_flight(lb, 2, times=2)
            server.kill()
            server.start()
            before = sum(lb.balance()["acknowledged"])
            while sum(lb.balance()["acknowledged"]) <= before:
                pass
        end = lb.stop()
    assert_nothing_lost(end.balance, end.balance["received"])
    assert end.exit_code == 0
    assert assert_all_there(messages(server.brokers, [topic])) == end.balance["received"]


@pytest.mark.parametrize("named", [True, False], ids=["static", "KIP-848"])
def test_a_member_that_is_killed_is_followed_by_one_that_misses_nothing(
    server: Server, topic: str, named: bool
) -> None:
    """Of each symbol all comes in order; what the first had not finished comes again."""
    words = [*KAFKA, "--brokers", server.brokers, "--topic", topic]
    assert run_worker(words, [framed([record(number) for number in range(4000)])]).code == 0
    options = ["--kafka", server.brokers, "--topic", topic, "--group", topic, "-X", "auto.commit.interval.ms=50"]
    options += ["--member", "one"] if named else ["-X", "group.protocol=consumer"]
    seen: list[int] = []
    for is_last in (False, True):
        with member_of(*options) as process:
            assert process.stdout is not None
            part: list[tuple[str, int]] = []
            while (len({*seen, *(number for _, number in part)}) < 4000) if is_last else (len(part) < 1000):
                symbol, number = process.stdout.readline().split()
                part.append((symbol, int(number)))
            process.send_signal(signal.SIGTERM if is_last else signal.SIGKILL)
            process.communicate()
        for one in {symbol for symbol, _ in part}:
            numbers = [number for symbol, number in part if symbol == one]
            assert numbers == sorted(set(numbers)), one
        seen += [number for _, number in part]
    assert set(seen) == set(range(4000))


def test_the_demo_accounts_for_every_record(server: Server) -> None:
    path = f"{ROOT / 'scripts' / 'demo.d'}:{ROOT}"
    environment = os.environ | {"LB_DEMO_BROKERS": server.brokers, "PYTHONPATH": path}
    command = [sys.executable, "-m", "demo", "kafka", "1"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every record accounted for" in done.stdout


def await_committed(brokers: str, group: str, topic: str, partitions: int) -> None:
    """Until something of the topic is finished by the group."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": group})
    try:
        places = [TopicPartition(topic, number) for number in range(partitions)]
        while all(place.offset < 0 for place in consumer.committed(places, timeout=30)):
            pass
    finally:
        consumer.close()


def test_what_compose_yaml_starts_works_and_each_hop_is_told(server: Server, tmp_path: Path) -> None:
    """The same commands, as processes of this machine."""
    hosts = {"kafka:9092": server.brokers}
    made = subprocess.run(composed.command("topics", hosts), capture_output=True, text=True, check=False)
    assert made.stdout == "trades: made, 12 partitions\nrecords: made, 12 partitions\n", made.stderr
    feed_words = composed.command("feed", {"0.0.0.0": "127.0.0.1", "8765": "0"})
    with replay(*feed_words[3:]) as feed:
        hosts["ws://feed:8765"] = feed.url.removesuffix("/stocks")
        words = composed.command("lb", hosts)
        begin = words.index("demo")
        url, pipes, directory, *worker = words[begin + 1 :]
        with (
            Emit(*composed.command("emit", hosts)[3:]) as emit,
            composed.running(composed.command("bars", hosts), tmp_path) as bars,
            Lb(url, pipes, *words[3:begin], worker=worker, directory=directory) as lb,
        ):
            with emit.client() as client:
                client.subscribe("T.*")
                client.until(lambda values: len(values["T"]) > 1)
            for hop in ("exchange", "receive", "produce", "consume", "emit", "tick"):
                emit.await_metric("lb_emit_hop_seconds_count", lambda total: total > 0, hop=hop)
            await_committed(server.brokers, "bars", "trades", 12)
            end = lb.stop()
            assert (end.exit_code, end.balance["exact"]) == (0, True)
            assert emit.stop() == 0
            bars.send_signal(signal.SIGTERM)
            _, said = bars.communicate()
            assert bars.returncode == 0, said
    assert (tmp_path / "bars.jsonl").read_text().count("\n") > 0


def test_batches_are_smaller_than_what_the_topic_allows(server: Server, topic: str, tmp_path: Path) -> None:
    """Brokers refuse a batch as a whole."""
    admin = AdminClient({"bootstrap.servers": server.brokers})
    limit = ConfigEntry("max.message.bytes", "20000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[limit])
    admin.incremental_alter_configs([resource])[resource].result()
    sent = [record(number) for number in range(5000)] + [b'{"ev":"T","sym":"S1","pad":"%s"}' % (b"x" * 20_000)]
    for packing in ([], ["--pack-ms", "50"]):
        words = [*KAFKA, "--brokers", server.brokers, "--topic", topic, "--compression", "none", *packing]
        path = tmp_path / "summary"
        done = run_worker([*words, "--summary", str(path)], [framed(sent)])
        summary = json.loads(path.read_text())
        assert (done.code, summary["acknowledged"], summary["failed"]) == (74, 5000, 1), done.err


def test_a_topic_that_is_deleted_ends_the_worker(server: Server, topic: str, tmp_path: Path) -> None:
    """When librdkafka has seen for so long that it is not there, by default 30 s."""
    admin = AdminClient({"bootstrap.servers": server.brokers})
    path = tmp_path / "summary"
    words = [*KAFKA, "--brokers", server.brokers, "--topic", topic, "--summary", str(path)]
    words += ["-X", "topic.metadata.propagation.max.ms=500", "-X", "topic.metadata.refresh.interval.ms=500"]
    with ready_worker(words) as (worker, [pipe]):
        os.write(pipe, framed([record(0)]))
        while not messages(server.brokers, [topic]):
            pass
        admin.delete_topics([topic])[topic].result()
        number = 1
        with contextlib.suppress(BrokenPipeError):
            while worker.poll() is None:
                os.write(pipe, framed([record(number)]))
                number += 1
        os.close(pipe)
        _, err = worker.communicate()
    assert worker.returncode == 74, err
    assert re.search(r"Kafka takes no more: .*[Uu]nknown", err), err
    summary = json.loads(path.read_text())
    assert summary["records"] == summary["acknowledged"] + summary["waiting"] + summary["failed"]
    assert summary["failed"] > 0


def test_a_password_that_is_wrong_is_told_at_the_start(server: Server, topic: str, tmp_path: Path) -> None:
    settings = tmp_path / "settings"
    settings.write_text("security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.username=lb\nsasl.password=x\n")
    command = [*with_constants("trade_balancer.kafka.program", {"trade_balancer.kafka.topics._ANSWER_S": 3})]
    command += ["--brokers", server.sasl_brokers, "-X", f"@{settings}", "--topic", topic]
    done = run_worker(command, [b""])
    assert done.code == 69
    assert re.search(r"no answer from the brokers: .*[Aa]uthentication failed", done.err), done.err
