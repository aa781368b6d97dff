"""lb-emit reads all of a topic, and not a part of it, from now on, and tells how long what it reads was on its way."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import pytest
from confluent_kafka import Producer
from harness.emitting import T_MS, TIMEOUT_S, Emit, trade
from mock_cluster import mock_cluster

pytestmark = pytest.mark.slow

READ_MS = 250
"""After its own time, a record was read by lb-kafka."""


def await_hops(emit: Emit, holds: Callable[[dict[str, tuple[float, float]]], bool]) -> None:
    """Their samples and the sum of these in seconds, of all processes."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while True:
        found: dict[str, tuple[float, float]] = {}
        samples = emit.metrics.metrics()
        for (name, labels), value in samples.items():
            if name == "lb_emit_hop_seconds_count":
                count, total_s = found.get(hop := dict(labels)["hop"], (0, 0))
                found[hop] = (count + value, total_s + samples["lb_emit_hop_seconds_sum", labels])
        if holds(found):
            return
        assert time.monotonic() < deadline_s, found


def test_browsers_get_what_comes_to_a_topic() -> None:
    with mock_cluster() as cluster:
        cluster.make_topic("trades", 4)
        producer = Producer({"bootstrap.servers": cluster.brokers, "linger.ms": 0})
        told = {"producerTime": b"%d" % ((T_MS + READ_MS) * 1_000_000)}
        words = ("--kafka", cluster.brokers, "--topic", "trades", "-X", "fetch.wait.max.ms=10")
        with Emit("--tick-ms", "2", "--drain", "0.1", "--processes", "2", *words) as emit, emit.client() as client:
            client.subscribe("T.*")
            emit.await_metric("lb_emit_source_here", lambda total: total == 2)
            for number in itertools.count(1):  # until the last partition of both is read
                for symbol in ("A", "B", "C", "D"):
                    producer.produce("trades", trade(symbol, float(number)), symbol, headers=told)
                assert producer.flush(30) == 0
                records = {
                    dict(labels)["process"]: value
                    for (name, labels), value in emit.metrics.metrics().items()
                    if name == "lb_emit_records_total"
                }
                if all(records.values()):
                    break
            client.until(lambda values: values["T"].get("A", [0])[1:] == [100, T_MS])
            # The topic bears its writers' times: when the broker had a record, nobody knows.
            await_hops(emit, lambda hops: hops["receive"][0] == hops["consume"][0] > hops["produce"][0] == 0)
            await_hops(emit, lambda hops: hops["receive"][1] == pytest.approx(READ_MS / 1e3 * hops["receive"][0]))
            assert emit.stop() == 0
