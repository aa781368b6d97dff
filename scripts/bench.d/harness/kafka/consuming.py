"""From a topic to columns: the SDK, beside a loop around consume() with orjson. Both read what lb-kafka has sent."""

import resource
import time
from collections.abc import Iterator
from functools import cache

import orjson

from harness.errors import TrialError
from harness.kafka import row
from harness.kafka.broker import brokers, new_topic
from harness.kafka.producing import Run, fill
from harness.rows import Terms

COLUMNS = "a topic of packed messages to columns (sym, p, s, t), records a second"
CPU = "... CPU per record"
TO_LOOP = "... CPU, a loop's of consume() and orjson on single records to its"
_SETTINGS = {"group.id": "bench", "auto.offset.reset": "earliest", "enable.auto.commit": False}


@row(COLUMNS)
def columns(terms: Terms) -> list[float]:
    return [run.rate for run in _runs(terms)]


@row(CPU)
def cpu(terms: Terms) -> list[float]:
    return [run.cpu_us for run in _runs(terms)]


@row(TO_LOOP)
def to_loop(terms: Terms) -> list[float]:
    return [_timed(_loop(terms)).cpu_us / run.cpu_us for run in _runs(terms)]


@cache
def _runs(terms: Terms) -> list[Run]:
    """One for each round; rows share them."""
    return [_timed(_columns(terms)) for _ in range(terms.rounds)]


def _timed(counts: Iterator[int]) -> Run:
    """From the first records on: a group is joined once in a program's life."""
    next(counts)
    began_s, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    count = sum(counts)
    taken_s, after = time.monotonic() - began_s, resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(count / taken_s / 1e6, cpu_s * 1e6 / count)


_topics: dict[bool, tuple[str, int]] = {}


def topic_of(terms: Terms, is_packed: bool) -> tuple[str, int]:
    """Filled once, and how many records it has."""
    if is_packed not in _topics:
        topic = new_topic()
        _topics[is_packed] = (topic, fill(terms, topic, *(("--pack-ms", "10") if is_packed else ())))
    return _topics[is_packed]


def _columns(terms: Terms) -> Iterator[int]:
    """How many records each read has brought."""
    from trade_balancer import columns
    from trade_balancer.kafka.source import consume

    topic, wanted = topic_of(terms, True)
    found = 0
    with consume(brokers(), [topic], f"bench-{time.monotonic_ns()}") as source:
        for batch in columns(source.fds, "sym", "p", "s", "t"):
            yield len(batch)
            found += len(batch)
            if found >= wanted:
                source.leave()
    if found != wanted:
        raise TrialError(f"read {found} records, expected {wanted}")


def _loop(terms: Terms) -> Iterator[int]:
    from confluent_kafka import Consumer

    topic, wanted = topic_of(terms, False)
    consumer = Consumer({"bootstrap.servers": brokers(), **_SETTINGS, "group.id": f"bench-{time.monotonic_ns()}"})
    consumer.subscribe([topic])
    found = 0
    while found < wanted:
        prices = [
            orjson.loads(message.value())["p"] for message in consumer.consume(500, 1.0) if message.error() is None
        ]
        found += len(prices)
        if prices:
            yield len(prices)
    consumer.close()
