"""What a message tells of its way, by hop; what it does not tell is no hop."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME

from trade_balancer.kafka.journey import Journey, journey_of


class Message:
    """As confluent_kafka's, as far as one is looked at."""

    def __init__(self, value: bytes | None, kind: int, time_ms: int, headers: list[tuple[str, bytes]] | None) -> None:
        self._told = (value, (kind, time_ms), headers)

    def value(self) -> bytes | None:
        return self._told[0]

    def timestamp(self) -> tuple[int, int]:
        return self._told[1]

    def headers(self) -> list[tuple[str, bytes]] | None:
        return self._told[2]


READ = [("producerTime", b"1500750000"), ("lb", b"run/3/17+4")]
PACKED = b'{"ev":"T","t":1400}\n{"ev":"T","t":1490}'


@pytest.mark.parametrize(
    ("message", "journey", "hops_ms"),
    [
        (
            Message(PACKED, TIMESTAMP_LOG_APPEND_TIME, 1510, READ),
            Journey(1400, 1500.75, 1510),
            {"receive": 100.75, "produce": 9.25, "consume": 90},
        ),
        (
            Message(PACKED, TIMESTAMP_CREATE_TIME, 1500, READ),
            Journey(1400, 1500.75, None),
            {"receive": 100.75, "consume": 99.25},
        ),
        (
            Message(b"no record", TIMESTAMP_LOG_APPEND_TIME, 1510, READ),
            Journey(None, 1500.75, 1510),
            {"produce": 9.25, "consume": 90},
        ),
    ],
    ids=["the broker tells", "the broker does not tell", "the record has no time"],
)
def test_its_hops(message: Any, journey: Journey, hops_ms: dict[str, float]) -> None:
    assert journey_of(message) == journey
    assert journey.hops_ms(1600) == hops_ms


@pytest.mark.parametrize(
    "message",
    [
        Message(PACKED, TIMESTAMP_CREATE_TIME, 1500, None),
        Message(None, TIMESTAMP_CREATE_TIME, 1500, READ),
        Message(PACKED, TIMESTAMP_CREATE_TIME, 1500, [("producerTime", b"now")]),
    ],
    ids=["no header", "a tombstone", "no time"],
)
def test_what_is_not_lb_kafka_s_tells_nothing(message: Any) -> None:
    assert journey_of(message) is None
