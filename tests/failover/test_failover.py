"""Three real brokers, each record on all of them: whoever is killed in a burst, a broker, lb-kafka, lb, or a reader,
costs a pause, and no record. What comes twice has the same number, and who keeps a symbol's highest drops it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import database_server
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from group_member import Member, have_all
from harness.feed import Feed
from harness.flood import SYMBOLS, Flood, record
from harness.lb_process import Lb
from harness.redelivering import AT_ONCE, LITTLE, REDELIVER, assert_nothing_lost
from kafka_server import BROKER_SESSION_MS, Cluster
from test_kafka_redelivery import assert_all_there
from topic_reader import Message, messages

pytestmark = pytest.mark.slow

PIPES = 3  # with two, all of the symbols would be of one
PARTITIONS = 4
PROGRAM = (sys.executable, "-m", "trade_balancer.kafka.program")
BURST = 100
BURST_S = 0.01

Measured = Callable[[str, object], None]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with database_server.running(Cluster, may_lack=False) as brokers:
        yield brokers


@pytest.fixture
def topic(cluster: Cluster) -> str:
    name = f"t{secrets.token_hex(4)}"
    words = ("--topic", name, "--partitions", str(PARTITIONS), "--replicas", "3")
    subprocess.run([*PROGRAM, "setup", "--brokers", cluster.brokers, *words], check=True, stdout=subprocess.DEVNULL)
    return name


class Run(NamedTuple):
    """An lb with its lb-kafka, and what it is sent."""

    lb: Lb
    pids: dict[int, int]
    """Of lb-kafka, by slot."""

    def acknowledged(self) -> list[int]:
        return [int(count) for count in self.lb.balance()["acknowledged"]]

    def longest_pause_s(self) -> float:
        """Returns when what is written after this call is acknowledged, by each pipe: for how long nothing was."""
        balance = self.lb.balance()
        wanted = [a + u for a, u in zip(balance["acknowledged"], balance["unacknowledged"], strict=True)]
        since_s = [time.monotonic()] * PIPES
        before: Sequence[int] = balance["acknowledged"]
        longest_s = 0.0
        while any(count <= least for count, least in zip(before, wanted, strict=True)):
            now = self.acknowledged()
            now_s = time.monotonic()
            for pipe in range(PIPES):
                if now[pipe] > before[pipe]:
                    longest_s = max(longest_s, now_s - since_s[pipe])
                    since_s[pipe] = now_s
            before = now
        return longest_s

    def end(self) -> int:
        """Stops lb, which hands over all that it has; returns how many records those are."""
        end = self.lb.stop()
        received = int(end.balance["received"])
        assert_nothing_lost(end.balance, received)
        assert end.exit_code == 0
        return received


def paced(number: int) -> bytes:
    """10,000 a second."""
    if number % BURST == 0:
        time.sleep(BURST_S)
    return record(number)


@contextmanager
def running(cluster: Cluster, topic: str, *options: str, begin: int = 0) -> Iterator[Run]:
    """In the middle of a burst. The burst ends with lb."""
    command = (*PROGRAM, "--brokers", cluster.brokers, "--topic", topic, *options)
    with (
        Feed() as feed,
        Lb(feed.url, PIPES, *REDELIVER, "--route", "symbol", *LITTLE, worker=command, constants=AT_ONCE) as lb,
    ):
        lines = [lb.await_line("worker started") for _ in range(PIPES)]
        run = Run(lb, {int(line["slot"]): int(line["pid"]) for line in lines})
        with feed.session() as peer, Flood(peer, begin=begin, make=paced):
            while not all(run.acknowledged()):
                pass
            yield run


def leader_of_most(cluster: Cluster, topic: str, but: int = 0) -> int:
    """Asked again while it is `but`."""
    admin = AdminClient({"bootstrap.servers": cluster.brokers, "log_level": 0})
    while True:
        parts = admin.list_topics(topic, timeout=30).topics[topic].partitions.values()
        leader = Counter(part.leader for part in parts).most_common(1)[0][0]
        if leader not in (-1, but):
            return int(leader)


def await_in_step(cluster: Cluster, topic: str) -> None:
    """Until all brokers have all that there is."""
    admin = AdminClient({"bootstrap.servers": cluster.brokers, "log_level": 0})
    while any(len(part.isrs) < 3 for part in admin.list_topics(topic, timeout=30).topics[topic].partitions.values()):
        pass


def await_shared(cluster: Cluster, group: str, members: int) -> None:
    """Until each member of the group has as many of the partitions as the others."""
    admin = AdminClient({"bootstrap.servers": cluster.brokers, "log_level": 0})
    counts: list[int] = []
    while counts != [PARTITIONS // members] * members:
        with contextlib.suppress(KafkaException):  # nobody coordinates a group before it has its first member
            found = admin.describe_consumer_groups([group])[group].result()
            counts = [len(each.assignment.topic_partitions) for each in found.members]


def by_run(found: Sequence[Message]) -> list[list[Message]]:
    runs: dict[str, list[Message]] = {}
    for message in found:
        runs.setdefault(message.source.partition("/")[0], []).append(message)
    return list(runs.values())


def test_a_broker_that_dies(cluster: Cluster, topic: str, record_property: Measured) -> None:
    """The leader of most of the partitions. With a second one, nothing is taken until they are back."""
    with Member(cluster.brokers, topic) as member, running(cluster, topic) as run:
        member.wait_until(lambda: member.count > 5 * BURST)
        first = leader_of_most(cluster, topic)
        member.forget_pauses()
        cluster.nodes[first].kill()
        pause_s = run.longest_pause_s()
        told = f"nothing acknowledged for {pause_s:.1f} s, nothing read for {member.longest_pause_s:.1f} s"
        record_property("measured", f"a broker of three killed, their sessions {BROKER_SESSION_MS} ms: {told}")
        second = leader_of_most(cluster, topic, but=first)
        cluster.nodes[second].kill()
        while not any("the brokers take nothing" in line["message"] for line in run.lb.lines):
            time.sleep(0.01)
        for node in (first, second):
            cluster.nodes[node].begin()
        run.longest_pause_s()
        received = run.end()
        member.wait_until(lambda: have_all([member], received))
    await_in_step(cluster, topic)
    assert assert_all_there(messages(cluster.brokers, [topic])) == received
    assert member.numbers == list(range(received))


def test_a_lb_kafka_that_dies(cluster: Cluster, topic: str, record_property: Measured) -> None:
    with Member(cluster.brokers, topic) as member, running(cluster, topic, "--pack-ms", "5") as run:
        os.kill(run.pids[0], signal.SIGKILL)
        pause_s = run.longest_pause_s()
        record_property("measured", f"lb-kafka killed: nothing of its pipe acknowledged for {pause_s:.1f} s")
        received = run.end()
        member.wait_until(lambda: have_all([member], received))
    assert assert_all_there(messages(cluster.brokers, [topic])) == received
    assert member.numbers == list(range(received))


def test_a_lb_that_dies(cluster: Cluster, topic: str, record_property: Measured) -> None:
    """Its lb-kafka hand over what was in their pipes. The next one is of another run."""
    later = 10_000_000
    with Member(cluster.brokers, topic) as member:
        with running(cluster, topic) as run:
            written = sum(run.acknowledged())
            killed_at_s = time.monotonic()
            run.lb.send_signal(signal.SIGKILL)
            assert run.lb.wait().exit_code == -signal.SIGKILL  # when its workers have ended, too
        with running(cluster, topic, begin=later) as run:
            pause_s = time.monotonic() - killed_at_s
            record_property("measured", f"lb killed and begun again: nothing acknowledged for {pause_s:.1f} s")
            received = run.end()
        member.wait_until(lambda: have_all([member], later + received))
    (there,) = {assert_all_there(run) for run in by_run(messages(cluster.brokers, [topic]))} - {received}
    assert there >= written
    assert member.numbers == [*range(there), *range(later, later + received)]


@pytest.mark.parametrize("named", [False, True], ids=["", "named"])
def test_a_reader_that_dies(cluster: Cluster, topic: str, named: bool, record_property: Measured) -> None:
    """What it had handled and not committed is handled again, by who gets its partitions: the other member, or, by its
    name, its own successor, of which the other does not notice anything."""
    session_s = 10 if named else 3
    options = [("-X", f"session.timeout.ms={session_s}000", *["--member", name][: 2 * named]) for name in "ab"]
    with contextlib.ExitStack() as stack:
        dying, other = (stack.enter_context(Member(cluster.brokers, topic, *words)) for words in options)
        await_shared(cluster, topic, 2)
        run = stack.enter_context(running(cluster, topic))
        for member in (dying, other):
            member.wait_until(lambda member=member: member.count > 5 * BURST)
        dying.kill()
        killed_at_s = time.monotonic()
        heir = stack.enter_context(Member(cluster.brokers, topic, *options[0])) if named else other
        heir.wait_until(lambda: dying.by_symbol.keys() <= heir.by_symbol.keys())
        pause_s = time.monotonic() - killed_at_s
        what = "and back under its name" if named else f"its session {session_s} s"
        record_property("measured", f"a reader killed, {what}: nothing of its symbols read for {pause_s:.1f} s")
        received = run.end()
        everyone = {dying, other, heir}
        for member in everyone - {dying}:
            member.wait_until(lambda: have_all(everyone, received))
    assert not named or dying.by_symbol.keys().isdisjoint(other.by_symbol)
    for member in everyone:
        for numbers in member.by_symbol.values():
            assert numbers == list(range(numbers[0], numbers[-1] + 1, SYMBOLS))
    assert {number for member in everyone for number in member.numbers} == set(range(received))
