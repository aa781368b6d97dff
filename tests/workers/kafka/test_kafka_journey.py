"""What a message tells of its way, by hop; what it does not tell is no hop."""

from __future__ import annotations

import pytest

from trade_balancer.kafka.inbox import Sample
from trade_balancer.kafka.journey import Journey, journey_of

READ = b"1500750000"
RECORD = b'{"ev":"T","t":1400}'


@pytest.mark.parametrize(
    ("sample", "journey", "hops_ms"),
    [
        (
            Sample(RECORD, READ, True, 1510),
            Journey(1400, 1500.75, 1510),
            {"receive": 100.75, "produce": 9.25, "consume": 90},
        ),
        (
            Sample(RECORD, READ, False, 1500),
            Journey(1400, 1500.75, None),
            {"receive": 100.75, "consume": 99.25},
        ),
        (
            Sample(b"no record", READ, True, 1510),
            Journey(None, 1500.75, 1510),
            {"produce": 9.25, "consume": 90},
        ),
    ],
    ids=["the broker tells", "the broker does not tell", "the record has no time"],
)
def test_its_hops(sample: Sample, journey: Journey, hops_ms: dict[str, float]) -> None:
    assert journey_of(sample) == journey
    assert journey.hops_ms(1600) == hops_ms


@pytest.mark.parametrize("told", [b"", b"now"], ids=["no header", "no time"])
def test_what_is_not_lb_kafka_s_tells_nothing(told: bytes) -> None:
    assert journey_of(Sample(RECORD, told, False, 1500)) is None
