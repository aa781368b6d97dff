"""examples/to_centrifugo.py: of each symbol the newest record, in a message that names its channel."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import orjson
import pytest
from confluent_kafka import Producer
from feeding import ROOT
from harness.emitting import trade
from harness.lb_process import lb_environment
from mock_cluster import mock_cluster
from topic_reader import messages

pytestmark = pytest.mark.slow

SYMBOLS = ("A", "B", "C")
LAST = 1000


def test_each_symbol_has_a_channel_with_its_newest_record() -> None:
    with mock_cluster() as cluster:
        for topic in ("trades", "centrifugo"):
            cluster.make_topic(topic, 2)
        producer = Producer({"bootstrap.servers": cluster.brokers})
        for number in range(LAST + 1):
            for symbol in SYMBOLS:
                producer.produce("trades", trade(symbol, float(number)), symbol)
        assert producer.flush(30) == 0
        words = ("--kafka", cluster.brokers, "--topic", "trades", "--group", "g", "-X", "fetch.wait.max.ms=10")
        environment = lb_environment() | {"BROKERS": cluster.brokers, "PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(
            [sys.executable, ROOT / "examples" / "to_centrifugo.py", *words], env=environment, stderr=subprocess.PIPE
        ) as process:
            try:
                seen: dict[str, list[int]] = {}
                while {symbol: prices[-1] for symbol, prices in seen.items()} != dict.fromkeys(SYMBOLS, LAST):
                    assert process.poll() is None
                    seen = {}
                    for message in messages(cluster.brokers, ["centrifugo"]):
                        record = orjson.loads(message.value)
                        assert message.key == record["sym"].encode()
                        assert message.headers == {"centrifugo-channels": b"trades:" + message.key}
                        seen.setdefault(record["sym"], []).append(record["p"])
                process.send_signal(signal.SIGTERM)
                _, said = process.communicate(timeout=60)
            finally:
                process.kill()
        assert process.returncode == os.EX_OK, said
        assert all(prices == sorted(prices) and len(prices) < LAST for prices in seen.values())
