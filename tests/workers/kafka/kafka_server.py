"""Real brokers of Kafka's for tests (KRaft), one or a cluster: in temporary folders, at loopback addresses of their
own."""

from __future__ import annotations

import fcntl
import hashlib
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
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
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://{plain},SASLP://{sasl},CONTROLLER://{controller}
advertised.listeners=PLAINTEXT://{plain},SASLP://{sasl}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASLP:SASL_PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
sasl.enabled.mechanisms=PLAIN
listener.name.saslp.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_lb="{password}";
log.dirs={folder}/data
auto.create.topics.enable=false
broker.session.timeout.ms={broker_session_ms}
broker.heartbeat.interval.ms=500
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=3000
group.consumer.session.timeout.ms=6000
group.consumer.min.heartbeat.interval.ms=500
group.consumer.heartbeat.interval.ms=500
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_step}
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={in_step}
"""
_JAVA = [
    "java",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
]
BROKER_SESSION_MS = 2000
"""How long a broker that is silent counts as alive. Kafka's own default is 9 s."""


class Server(OneProcess):
    """A node: by itself, or one of several whose controllers are those, by address. Raises UnavailableError."""

    def __init__(self, node: int = 1, controllers: Sequence[str] = (), java: Sequence[str] = ()) -> None:
        self._java = java or _java()
        super().__init__("kafka")
        self.node = node
        self._controllers = controllers or [_free_address()]
        self._settings = self.folder / "server.properties"

    def __enter__(self) -> Self:
        self.prepare()
        return super().__enter__()

    def prepare(self) -> None:
        """Has its folder made; `begin` waits for that."""
        self.brokers, self.sasl_brokers = _free_address(), _free_address()
        nodes = len(self._controllers)
        text = _SETTINGS.format(
            folder=self.folder,
            node=self.node,
            voters=",".join(f"{number}@{address}" for number, address in enumerate(self._controllers, 1)),
            controller=self._controllers[self.node - 1],
            plain=self.brokers,
            sasl=self.sasl_brokers,
            password=PASSWORD,
            broker_session_ms=BROKER_SESSION_MS if nodes > 1 else 9000,
            replicas=nodes,
            in_step=max(1, nodes - 1),
        )
        self._settings.write_text(text)
        self._process = self._run("kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(self._settings))
        self._is_formatted = False

    def start(self) -> None:
        self.begin()
        self.await_ready()

    def begin(self, *options: str) -> None:
        """After a `kill`, again at the same addresses."""
        if not self._is_formatted:
            assert self._process.wait() == 0, self._log()
            self._is_formatted = True
        self._process = self._run(*options, "kafka.Kafka", str(self._settings))

    def await_ready(self, brokers: int = 1) -> None:
        """Until it knows so many brokers that are there."""
        admin = AdminClient({"bootstrap.servers": self.brokers, "log_level": 0, "reconnect.backoff.max.ms": 100})
        until_s = time.monotonic() + 120
        while True:
            try:
                if len(admin.list_topics(timeout=1).brokers) == brokers:
                    return
            except KafkaException:
                assert self._process.poll() is None, self._log()
            assert time.monotonic() < until_s, self._log()

    def end(self) -> None:
        """In order."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()

    def _run(self, *words: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("a") as log:
            return subprocess.Popen([*self._java, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _log(self) -> str:
        return (self.folder / "log").read_text()[-4000:]


class Cluster:
    """Three nodes, of which each has every record of topics with three replicas. Raises UnavailableError."""

    def __init__(self) -> None:
        controllers = [_free_address() for _ in range(3)]
        self.nodes = {node: Server(node, controllers) for node in (1, 2, 3)}
        self.brokers = ""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for node in self.nodes.values():
                node.prepare()
                stack.push(node.__exit__)
            for node in self.nodes.values():
                node.begin()
            for node in self.nodes.values():
                node.await_ready(len(self.nodes))
            self._stack = stack.pop_all()
        self.brokers = ",".join(node.brokers for node in self.nodes.values())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def _java() -> list[str]:
    """Java with the broker's classes: as they are in memory once they are loaded, from an archive of them, which is
    made once for each Java. Without it a broker begins a second later.

    Raises:
        UnavailableError
    """
    folder = cache("kafka-4.4.0")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        java = [*_JAVA, "-cp", f"{prepare(HERE / 'prepare', folder)}/jars/*"]
        version = subprocess.run(["java", "-version"], capture_output=True, check=True).stderr
        archive = folder / f"classes-{hashlib.sha256(version).hexdigest()[:16]}.jsa"
        if not archive.exists():
            _archive_classes(java, archive)
    return [*java, f"-XX:SharedArchiveFile={archive}"]


def _archive_classes(java: Sequence[str], archive: Path) -> None:
    """Those of a broker that has begun and ends in order."""
    made = archive.with_suffix(".new")
    broker = Server(java=java)
    broker.prepare()
    try:
        broker.begin(f"-XX:ArchiveClassesAtExit={made}")
        broker.await_ready()
        broker.end()
    finally:
        broker.__exit__()
    made.rename(archive)


def _free_address() -> str:
    """A controller's address stands in the settings of all: the kernel can't choose its port when it is bound. No
    other program's sockets, nor the near ends of connections, are at a loopback address that nobody else knows."""
    host = f"127.{secrets.randbelow(254) + 1}.{secrets.randbelow(254) + 1}.{secrets.randbelow(254) + 1}"
    with socket.create_server((host, 0)) as one:
        return f"{host}:{one.getsockname()[1]}"
