"""A real broker of Kafka's for tests (KRaft, one node): in a temporary folder, on loopback ports that were free."""

from __future__ import annotations

import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from database_server import OneProcess, cache, prepare

HERE = Path(__file__).parent
CLUSTER = "lbTestsAAAAAAAAAAAAAAA"  # 16 bytes, base64url
PASSWORD = "secret of the test's"
_SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{plain},SASLP://127.0.0.1:{sasl},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASLP://127.0.0.1:{sasl}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASLP:SASL_PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
sasl.enabled.mechanisms=PLAIN
listener.name.saslp.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_lb="{password}";
log.dirs={folder}/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
group.consumer.min.session.timeout.ms=3000
group.consumer.session.timeout.ms=6000
group.consumer.min.heartbeat.interval.ms=500
group.consumer.heartbeat.interval.ms=500
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
"""
_JAVA = [
    "java",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
]


class Server(OneProcess):
    """Raises UnavailableError."""

    def __init__(self) -> None:
        self._classes = ["-cp", f"{prepare(HERE / 'prepare', cache('kafka-4.4.0'))}/jars/*"]
        super().__init__("kafka")
        self._settings = self.folder / "server.properties"

    def __enter__(self) -> Self:
        ports = _free_ports(3)
        names = dict(zip(("plain", "sasl", "controller"), ports, strict=True))
        self.brokers, self.sasl_brokers = (f"127.0.0.1:{port}" for port in ports[:2])
        self._settings.write_text(_SETTINGS.format(folder=self.folder, password=PASSWORD, **names))
        tool = ["kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", self._settings]
        subprocess.run(
            [*_JAVA, *self._classes, *tool], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        return super().__enter__()

    def start(self) -> None:
        with (self.folder / "log").open("a") as log:
            self._process = subprocess.Popen(
                [*_JAVA, *self._classes, "kafka.Kafka", self._settings],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        admin = AdminClient({"bootstrap.servers": self.brokers, "log_level": 0, "reconnect.backoff.max.ms": 100})
        until_s = time.monotonic() + 120
        while True:
            try:
                if admin.list_topics(timeout=1).brokers:
                    return
            except KafkaException:
                assert self._process.poll() is None, (self.folder / "log").read_text()[-4000:]
                assert time.monotonic() < until_s, (self.folder / "log").read_text()[-4000:]


def _free_ports(count: int) -> list[int]:
    """A controller's port stands in the settings of all: the kernel can't choose it when it is bound."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
