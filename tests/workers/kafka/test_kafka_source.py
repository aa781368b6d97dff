"""The SDK's other source: the same handlers on a topic, commits behind them, hand-overs between members."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from group_member import Member, have_all, member_of
from harness import flood
from harness.flood import SYMBOLS
from harness.lb_process import hold
from mock_cluster import MockCluster, mock_cluster

from trade_balancer import acknowledge, batches, columns, numbered
from trade_balancer.errors import UnavailableError, UsageError
from trade_balancer.kafka import source as source_module
from trade_balancer.kafka.inbox import Inbox, Place, Question
from trade_balancer.kafka.library import library
from trade_balancer.kafka.source import Consumed, consume

QUICK = {
    "session.timeout.ms": 3000,
    "heartbeat.interval.ms": 200,
    "fetch.wait.max.ms": 10,
    "auto.commit.interval.ms": 50,
}
RUN = "0123456789abcdef/3/"


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    with mock_cluster() as brokers:
        yield brokers


def record(number: int) -> bytes:
    return b'{"ev":"T","sym":"S%d","p":1.5,"q":%d}' % (number % 11, number)


def put(cluster: MockCluster, messages: Sequence[tuple[bytes | None, bytes | None, str | None]]) -> None:
    """Key, value and the header `lb`."""
    producer = Producer({"bootstrap.servers": cluster.brokers, "linger.ms": 5})
    for key, value, told in messages:
        producer.produce("trades", value, key, headers=[("lb", told.encode())] if told else None)
    assert producer.flush(30) == 0


def of_records(numbers: Sequence[int]) -> list[tuple[bytes, bytes, str]]:
    return [(b"S%d" % (number % 11), record(number), f"{RUN}{number}") for number in numbers]


def take(source: Consumed, count: int) -> list[bytes]:
    """So many records; then it leaves, and the rest of the pipe is read."""
    found: list[bytes] = []
    for _, records in batches(source.fds):
        found += records
        if len(found) >= count:
            source.leave()
    return found


def joined(cluster: MockCluster, **more: Any) -> Consumed:
    return consume(cluster.brokers, ["trades"], "group", settings=QUICK, **more)


def test_records_come_as_from_a_pipe(cluster: MockCluster) -> None:
    """Packed ones one by one, others' messages as they are, and nothing of a tombstone."""
    packed = [record(number) for number in (0, 11, 22)]
    put(
        cluster,
        [
            (b"S0", b"\n".join(packed), f"{RUN}0+11+11"),
            (b"other", b'{"a":\n1}', None),
            (b"other", b'{"a":\n2}', "not ours"),
            (None, b'{"sym":\n3}', f"{RUN}3"),
        ],
    )
    with joined(cluster) as source:
        found = take(source, 6)
    assert sorted(found) == sorted([*packed, b'{"a":\n1}', b'{"a":\n2}', b'{"sym":\n3}'])


def test_what_was_sent_again_comes_once(cluster: MockCluster) -> None:
    """Whatever was packed with it."""
    put(cluster, of_records(range(50)))
    put(cluster, of_records(range(30, 60)))
    put(cluster, [(b"S1", b"\n".join(map(record, (45, 56, 67))), f"{RUN}45+11+11")])
    put(cluster, [(b"S1", b"\n".join(map(record, (56, 67, 78))), f"{RUN}56+11+11"), *of_records([100])])
    put(cluster, [(b"S1", record(1), "fedcba9876543210/3/1")])  # of another run
    with joined(cluster) as source:
        found = take(source, 64)
    assert sorted(found) == sorted(map(record, [*range(60), 67, 78, 100, 1]))
    of_one = [json.loads(one)["q"] for one in found if b'"S5"' in one]
    assert of_one == sorted(of_one)


def test_columns_come_as_from_a_pipe(cluster: MockCluster) -> None:
    put(cluster, [(b"S1", b"\n".join(record(11 * number + 1) for number in range(500)), RUN + "1" + "+11" * 499)])
    numbers: list[int] = []
    with joined(cluster) as source:
        for batch in columns(source.fds, "sym", "q"):
            numbers += batch["T"]["q"].tolist()
            if len(numbers) == 500:
                source.leave()
    assert numbers == [11 * number + 1 for number in range(500)]


def test_what_a_full_pipe_holds_up_comes_in_order_and_once(
    cluster: MockCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_up = threading.Event()
    pause = Inbox.pause

    def noted(inbox: Inbox, is_paused: bool) -> None:
        pause(inbox, is_paused)
        held_up.set()

    monkeypatch.setattr(Inbox, "pause", noted)
    sent = [record(number)[:-1] + b',"x":"%s"}' % (b"x" * 300) for number in range(15_000)]
    put(cluster, [(b"S%d" % (number % 11), one, f"{RUN}{number}") for number, one in enumerate(sent)])
    with joined(cluster) as source:
        held_up.wait()
        found = take(source, len(sent))
    assert len(found) == len(sent)
    for symbol in range(11):
        assert [one for one in found if b'"S%d"' % symbol in one] == sent[symbol::11]


def committed(cluster: MockCluster) -> int:
    """How many messages lie before the group's offsets."""
    consumer = Consumer({"bootstrap.servers": cluster.brokers, "group.id": "group"})
    try:
        places = consumer.committed([TopicPartition("trades", number) for number in range(4)], timeout=30)
    finally:
        consumer.close()
    return sum(max(0, place.offset) for place in places)


def test_the_next_begins_behind_what_is_finished(cluster: MockCluster) -> None:
    """Not behind what was read: the second half is in the hands of a handler that fails."""
    put(cluster, of_records(range(150)))
    found: list[bytes] = []
    with contextlib.suppress(ZeroDivisionError), joined(cluster) as source:
        for fd, _, records in numbered(source.fds, acknowledge=False):
            found += records
            if len(found) == 150:
                put(cluster, of_records(range(150, 300)))
            elif len(found) == 300:
                acknowledge(fd, 150)
                raise ZeroDivisionError
    assert committed(cluster) == 150
    with joined(cluster) as source:
        rest = take(source, 150)
    assert sorted(rest) == sorted(map(record, range(150, 300)))


def options(brokers: str, topic: str, *more: str) -> list[str]:
    words = [word for name, value in QUICK.items() for word in ("-X", f"{name}={value}")]
    return ["--kafka", brokers, "--topic", topic, "--group", "g", *words, *more]


def member(cluster: MockCluster) -> AbstractContextManager[subprocess.Popen[str]]:
    return member_of(*options(cluster.brokers, "trades"))


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(count)]


def test_a_worker_written_for_a_pipe_reads_a_topic_and_stops_when_told(cluster: MockCluster) -> None:
    put(cluster, of_records(range(200)))
    with member(cluster) as process:
        found = lines(process, 200)
        process.send_signal(signal.SIGTERM)
        rest, err = process.communicate()
    assert sorted(found) == sorted(f"S{number % 11} {number}" for number in range(200))
    assert (rest, process.returncode) == ("", 0), err
    assert re.search(r"200 records read; lag 0 messages in 4 partitions", err), err


def test_a_member_that_leaves_hands_over_what_it_had(cluster: MockCluster) -> None:
    """The second gets what comes then, and nothing that the first has handled."""
    put(cluster, of_records(range(100)))
    with member(cluster) as first:
        found = lines(first, 100)
        first.send_signal(signal.SIGTERM)
        assert first.communicate()[0] == ""
    with member(cluster) as second:
        put(cluster, of_records(range(100, 150)))
        found += lines(second, 50)
    assert sorted(found) == sorted(f"S{number % 11} {number}" for number in range(150))


def test_a_process_for_each_pipe_and_a_ready_made_worker(cluster: MockCluster, tmp_path: Path) -> None:
    put(cluster, of_records(range(100)))
    worker = [
        sys.executable,
        "-m",
        "trade_balancer.jsonl",
        "--directory",
        str(tmp_path),
        "--processes",
        "--prefix",
        "r",
    ]
    with subprocess.Popen([*worker, *options(cluster.brokers, "trades")], stderr=subprocess.PIPE, text=True) as process:
        while sum(path.read_bytes().count(b"\n") for path in tmp_path.iterdir()) < 100:
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        err = process.communicate()[1]
    assert process.returncode == 0, err
    stored = [one for path in tmp_path.iterdir() for one in path.read_bytes().splitlines()]
    assert sorted(stored) == sorted(map(record, range(100)))


def test_what_can_not_be_read_is_told(cluster: MockCluster) -> None:
    cluster.refuse_topic("absent", 3)
    with pytest.raises(UnavailableError, match="topic absent"):
        consume(cluster.brokers, ["absent"], "group")
    with pytest.raises(UsageError, match="--member"):
        consume(cluster.brokers, ["trades"], "group", member="a", settings={"group.protocol": "consumer"})
    named = {"group.protocol": "consumer", "group.instance.id": "a"}
    with pytest.raises(UsageError, match=r"group\.instance\.id"):
        consume(cluster.brokers, ["trades"], "group", settings=named)
    with pytest.raises(UsageError, match=r"no\.such"):
        consume(cluster.brokers, ["trades"], "group", settings={"no.such": "1"})


def test_a_topic_that_is_gone_is_told(cluster: MockCluster, capfd: pytest.CaptureFixture[str]) -> None:
    """And waited for."""
    often = {"topic.metadata.refresh.interval.ms": 100, "topic.metadata.propagation.max.ms": 100}
    put(cluster, of_records(range(10)))
    with consume(cluster.brokers, ["trades"], "group", settings=QUICK | often) as source:
        next(batches(source.fds))
        cluster.refuse_topic("trades", 3)
        told = ""
        while not re.search("[Uu]nknown topic.*; trying again", told):
            threading.Event().wait(0.05)
            told += capfd.readouterr().err


@pytest.mark.parametrize("waits", [True, False], ids=["finished-in-time", "given-up"])
def test_a_partition_is_given_away_when_what_was_read_of_it_is_finished(
    cluster: MockCluster, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], waits: bool
) -> None:
    """To one who joins while all is read and nothing is finished. Where that takes too long, it gets that again; and
    where the cluster, unlike a real one, goes on without a member that gives something away and takes no word of it."""
    is_asked, finish = threading.Event(), Consumed._finish

    def note(source: Consumed, places: set[Place]) -> None:
        is_asked.set()
        finish(source, places)

    monkeypatch.setattr(Consumed, "_finish", note)
    monkeypatch.setattr(source_module, "_GIVE_AWAY_S", 60 if waits else 0)
    put(cluster, of_records(range(200)))
    with joined(cluster) as first, ThreadPoolExecutor() as threads:
        reading = numbered(first.fds, acknowledge=False)
        begun: list[bytes] = []
        while len(begun) < 200:
            begun += next(reading)[2]
        with joined(cluster) as second:
            assert is_asked.wait(30)
            assert committed(cluster) == 0
            if waits:
                acknowledge(first.fd, 200)
            put(cluster, of_records(range(200, 300)))
            first_rest, second_all = Found(), Found()
            futures = [
                threads.submit(first_rest.read, (records for _, _, records in reading)),
                threads.submit(second_all.read, (records for _, records in batches(second.fds))),
            ]
            wanted = set(map(record, range(300))) - set(begun)
            while not wanted <= {*first_rest.records, *second_all.records} or not second_all.records:
                threading.Event().wait(0.01)
            for source in (first, second):
                source.leave()
            for future in futures:
                future.result()
    came_again = {*second_all.records, *first_rest.records} & set(begun)
    is_refused = "could not be committed" in capfd.readouterr().err
    assert bool(came_again) is (is_refused or not waits)


def test_what_was_given_away_has_no_end_any_more(cluster: MockCluster) -> None:
    """Else it would be committed when it comes back, behind others who have gone on with it."""

    def begun() -> Inbox:
        ours = {"group.id": "group", "partition.assignment.strategy": "cooperative-sticky"}
        return Inbox(
            library(), source_module._DEFAULTS | QUICK | ours | {"bootstrap.servers": cluster.brokers}, ["trades"]
        )

    def go_on(inbox: Inbox) -> Question:
        question = inbox.read(0.05, 1 << 20)
        if question is Question.TAKE:
            inbox.answer()
        return question

    put(cluster, of_records(range(200)))
    with closing(begun()) as first:
        while first.records_total < 200:
            go_on(first)
        assert sum(first.new_ends().values()) == 200
        with closing(begun()) as second:
            while go_on(first) is not Question.GIVE:
                go_on(second)
            first.answer()
            assert first.new_ends() == {}
            first.answer()  # nothing is asked any more
            assert first.question is Question.NOTHING


def test_messages_without_records_are_finished_without_a_word(cluster: MockCluster) -> None:
    """What else would be waited for when their partition is to be given away?"""
    put(cluster, [(b"S%d" % number, None, None) for number in range(50)])
    with joined(cluster):
        while committed(cluster) < 50:
            threading.Event().wait(0.05)


class Found:
    """What was read in another thread."""

    def __init__(self) -> None:
        self.records: list[bytes] = []

    def read(self, some: Iterable[list[bytes]]) -> None:
        for records in some:
            self.records += records


def test_a_member_that_stood_still_for_too_long_goes_on(cluster: MockCluster) -> None:
    """Others have what it had; it finishes what it has in hand, and says nothing any more of how far they are."""
    words = ("-X", "session.timeout.ms=1000")
    with ExitStack() as stack:
        held, other = (stack.enter_context(Member(cluster.brokers, "trades", *words)) for _ in range(2))
        sent = 0

        def send_until(has_come: Callable[[], bool]) -> None:
            nonlocal sent
            while not has_come():
                put(cluster, [flooded(number) for number in range(sent, sent + SYMBOLS)])
                sent += SYMBOLS

        send_until(lambda: bool(held.count and other.count))
        hold(held.process.pid)
        theirs = set(held.by_symbol)
        send_until(lambda: theirs <= other.by_symbol.keys())
        held.process.send_signal(signal.SIGCONT)
        before = held.count
        send_until(lambda: held.count > before + SYMBOLS)
        for member in (held, other):
            member.wait_until(lambda: have_all([held, other], sent))
        for member in (held, other):
            member.process.send_signal(signal.SIGTERM)
            assert member.process.wait() == 0
    assert {*held.numbers, *other.numbers} == set(range(sent))


def flooded(number: int) -> tuple[bytes, bytes, str]:
    return b"S%d" % (number % SYMBOLS), flood.record(number), f"{RUN}{number}"
