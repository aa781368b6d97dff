"""A made-up market -> lb --redeliver -> lb-kafka -> a broker of Kafka's -> two programs of one group that count."""

from __future__ import annotations

import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from demo.market import watch
from demo.programs import PIPES, Failed, Program, balancer, beside, feed, member

RATE = 30_000
_MEMBERS = 2
_LONGEST_S = 60


@contextmanager
def broker() -> Iterator[str]:
    """A broker's address: one that runs (LB_DEMO_BROKERS), or one of ours, in the machine's Java, fetched by Maven
    once. Raises Failed: it can't be."""
    if running := os.environ.get("LB_DEMO_BROKERS"):
        yield running
        return
    tests = Path(__file__).parents[3] / "tests" / "workers"
    sys.path += [str(tests), str(tests / "kafka")]
    from database_server import UnavailableError
    from kafka_server import Server

    try:
        server = Server()
    except UnavailableError as fault:
        raise Failed(f"{fault} - on Debian and Ubuntu: sudo apt-get install maven") from fault
    with server:
        yield server.brokers


def show(duration_s: int) -> int:
    console = Console(highlight=False, soft_wrap=True)
    console.print("starting a broker of Kafka's (at the first time Maven fetches it) ...")
    with tempfile.TemporaryDirectory(prefix="lb-demo-") as name, broker() as brokers:
        folder = Path(name)
        topic = f"lb-demo-{secrets.token_hex(4)}"
        told = ("--brokers", brokers, "--topic", topic)
        beside(folder, "lb-kafka", "setup", *told, "--partitions", "4")
        words = ("--kafka", brokers, "--topic", topic, "--group", topic)
        options = ("--redeliver", "--spawn", "per-pipe", "--route", "symbol")
        with feed("--rate", str(RATE), "--stamp", "--self-signed") as source:
            console.print(
                f"lb deals {RATE:,} trades/s to {PIPES} lb-kafka, which pack those of 10 ms by symbol;\n"
                f"{_MEMBERS} lb-count of one group read the topic, for {duration_s} s"
            )
            with member(folder, *words) as one, member(folder, *words) as other:
                _await_members(brokers, topic)
                with balancer(source, folder, "lb-kafka", *told, "--pack-ms", "10", options=options) as lb:
                    _await_records(lb)
                    watch(lb, console, duration_s)
                    lb.end()
                messages = _await_all_read(brokers, topic)
                for program in (one, other):
                    program.end()
        summaries = [json.loads(path.read_text()) for path in sorted(folder.glob("summary-*"))]
    balance = lb.last("balance")
    console.print(outcome(balance, messages, summaries))
    read = sum(summary["records"] for summary in summaries)
    is_complete = balance["exact"] and balance["received"] == sum(balance["acknowledged"]) == read > 0
    console.print("every record accounted for" if is_complete else "RECORDS MISSING")
    return 0 if is_complete else 1


def _await_records(lb: Program) -> None:
    """Four lb-kafka begin on cores that a broker needs, too."""
    while lb.runs and not (lb.has("statistics") and lb.last("statistics")["records"]):
        time.sleep(0.1)


def _await_members(brokers: str, group: str) -> None:
    """Until each of them has partitions."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": brokers})
    until_s = time.monotonic() + _LONGEST_S
    parts: list[int] = []
    while len(parts) < _MEMBERS or not all(parts):
        if time.monotonic() > until_s:
            raise Failed(f"the members of the group have {parts} partitions")
        time.sleep(0.1)
        with suppress(KafkaException):  # nobody coordinates a group before it has its first member
            found = admin.describe_consumer_groups([group])[group].result()
            parts = [len(each.assignment.topic_partitions) for each in found.members]


def _await_all_read(brokers: str, topic: str) -> int:
    """Until the group has committed all that there is; returns how many messages that are."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": brokers, "group.id": topic})
    try:
        until_s = time.monotonic() + _LONGEST_S
        places = [
            TopicPartition(topic, number) for number in consumer.list_topics(topic, timeout=10).topics[topic].partitions
        ]
        ends = {place.partition: consumer.get_watermark_offsets(place, timeout=10)[1] for place in places}
        while any(place.offset < ends[place.partition] > 0 for place in consumer.committed(places, timeout=10)):
            if time.monotonic() > until_s:
                raise Failed("the topic is not read to its end")
            time.sleep(0.1)
        return sum(ends.values())
    finally:
        consumer.close()


def outcome(balance: dict[str, Any], messages: int, summaries: list[dict[str, Any]]) -> Table:
    table = Table(show_header=False)
    table.add_row("received by lb", f"{balance['received']:,}")
    table.add_row("acknowledged by the broker", f"{sum(balance['acknowledged']):,}, in {messages:,} messages")
    for number, summary in enumerate(summaries, 1):
        lag = summary["lag_ms"]
        when = f", lag p50 {lag['p50']}, p99 {lag['p99']} ms" if summary["records"] else ""
        table.add_row(f"counted by member {number}", f"{summary['records']:,}{when}")
    return table
