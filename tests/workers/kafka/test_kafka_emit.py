"""lb-emit reads all of a topic, and not a part of it, from now on."""

from __future__ import annotations

import itertools

import pytest
from confluent_kafka import Producer
from harness.emitting import T_MS, Emit, trade
from mock_cluster import mock_cluster

pytestmark = pytest.mark.slow


def test_browsers_get_what_comes_to_a_topic() -> None:
    with mock_cluster() as cluster:
        cluster.make_topic("trades", 4)
        producer = Producer({"bootstrap.servers": cluster.brokers, "linger.ms": 0})
        words = ("--kafka", cluster.brokers, "--topic", "trades", "-X", "fetch.wait.max.ms=10")
        with Emit("--tick-ms", "2", "--drain", "0.1", "--processes", "2", *words) as emit, emit.client() as client:
            client.subscribe("T.*")
            emit.await_metric("lb_emit_source_here", lambda total: total == 2)
            for number in itertools.count(1):  # until the last partition of both is read
                for symbol in ("A", "B", "C", "D"):
                    producer.produce("trades", trade(symbol, float(number)), symbol)
                assert producer.flush(30) == 0
                records = {
                    dict(labels)["process"]: value
                    for (name, labels), value in emit.metrics.metrics().items()
                    if name == "lb_emit_records_total"
                }
                if all(records.values()):
                    break
            client.until(lambda values: values["T"].get("A", [0])[1:] == [100, T_MS])
            assert emit.stop() == 0
