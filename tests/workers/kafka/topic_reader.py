"""All that topics have, read by an ordinary consumer without a group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition


class Message(NamedTuple):
    topic: str
    partition: int
    key: bytes | None
    value: bytes
    headers: dict[str, bytes]
    time_ms: int

    @property
    def source(self) -> str:
        """RUN/PIPE of the header `lb`."""
        return self.headers["lb"].decode().rpartition("/")[0]

    @property
    def numbers(self) -> list[int]:
        steps = [int(step) for step in self.headers["lb"].decode().rpartition("/")[2].split("+")]
        return [sum(steps[: place + 1]) for place in range(len(steps))]

    @property
    def records(self) -> list[tuple[int, bytes]]:
        """With their numbers."""
        return list(zip(self.numbers, self.value.split(b"\n"), strict=True))


def messages(brokers: str, topics: Sequence[str]) -> list[Message]:
    """In the order of each partition, of those that are there now."""
    settings = {"group.id": "none", "enable.auto.commit": False, "fetch.wait.max.ms": 10}
    consumer = Consumer({"bootstrap.servers": brokers, **settings})
    try:
        return [message for topic in topics for message in _messages(consumer, topic)]
    finally:
        consumer.close()


def _messages(consumer: Any, topic: str) -> Iterator[Message]:
    for number in consumer.list_topics(topic, timeout=30).topics[topic].partitions:
        place = TopicPartition(topic, number, OFFSET_BEGINNING)
        _, end = consumer.get_watermark_offsets(place, timeout=30)
        consumer.assign([place])
        offset = -1
        while offset < end - 1:
            for found in consumer.consume(1000, 0.2):
                assert found.error() is None, found.error()
                offset = found.offset()
                yield Message(
                    topic, number, found.key(), found.value(), dict(found.headers()), found.timestamp()[1]
                )  # fmt: skip


def records(brokers: str, topics: Sequence[str]) -> list[bytes]:
    return [record for message in messages(brokers, topics) for _, record in message.records]
