"""Records of a topic, as from a pipe: what reads pipes reads them, and does not know the difference.

Law: an offset is committed when its records, and all before them, are finished, as a worker of lb acknowledges them. A
partition is given away when what was read of it is finished: the next who gets it begins behind it.
"""

from __future__ import annotations

import fcntl
import os
import random
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from trade_balancer import channel
from trade_balancer.errors import MissingExtraError, UnavailableError, UsageError, tell
from trade_balancer.kafka.journey import Journey, journey_of
from trade_balancer.kafka.unpacking import Unpacker

try:
    from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
except ImportError:
    raise MissingExtraError("what reads and writes Kafka", "confluent-kafka", "kafka") from None

_PIPE_BYTES = 1 << 20
_MESSAGES = 500  # a call: more would leave the CPU's cache
_WAIT_S = 0.1
_GIVE_AWAY_S = 30
"""How long a partition that is to be given away waits for what was read of it."""
_TOLD_EVERY_S = 60.0
_DEFAULTS: dict[str, Any] = {
    "enable.auto.offset.store": False,  # stored is what is finished, and what is stored is committed each second
    "auto.commit.interval.ms": 1000,
    "auto.offset.reset": "earliest",
    "fetch.wait.max.ms": 100,
    "log_level": 2,  # what goes wrong is told by us
}
_CLASSIC = {"partition.assignment.strategy": "cooperative-sticky", "session.timeout.ms": 10_000}
"""Where the group's protocol is the brokers' own (KIP-848), these are the brokers' to say."""

_ENDS = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.TOPIC_EXCEPTION)
"""What no waiting mends."""

_Place = tuple[str, int]

Note = Callable[[int, Journey], None]
"""Called with the number of a record, counted from 1, and the way of a message at or before it, before that record is
in the pipe; in a thread of its own."""


def consume(
    brokers: str,
    topics: Sequence[str],
    group: str,
    *,
    member: str = "",
    settings: Mapping[str, Any] | None = None,
    note: Note | None = None,
) -> Consumed:
    """Joins a group that reads topics, and reads its part of them as a pipe:

        with consume("kafka1:9092", ["trades"], "bars") as source:
            for fd, records in batches(source.fds):
                ...

    Args:
        group: its members part the topics' partitions among them; what is finished is known by its name.
        member: a name of this member's own, for one that comes back at once after its end, or death: it gets back what
            it had, and no other notices. It gives nothing away when it leaves, until its session ends (10 s).
        settings: librdkafka's; group.protocol=consumer for groups as Kafka 4 has them (KIP-848).
        note: is told the way of one message of each read, any of them.

    Raises:
        UnavailableError: no broker answers, or a topic is not there.
        UsageError: a setting is none; or a member's name for a group of KIP-848: there, one that was killed and comes
            back is refused, for good.
    """
    from trade_balancer.kafka.topics import Topics

    given = {"bootstrap.servers": brokers, **(settings or {})}
    is_classic = given.get("group.protocol", "classic") == "classic"
    if member and not is_classic:
        raise UsageError("--member: group.protocol=consumer refuses a member that was killed and comes back")
    Topics(given).check(topics)
    of_member = {"group.instance.id": member} if member else {}
    chosen = _DEFAULTS | (_CLASSIC if is_classic else {}) | of_member | {"group.id": group}
    return Consumed({**chosen, **given}, topics, note)


class Consumed:
    """A member of a group, with a pipe of what it gets; see `consume`."""

    def __init__(self, settings: Mapping[str, Any], topics: Sequence[str], note: Note | None = None) -> None:
        self._note = note
        self._unpacker = Unpacker()
        self._handed_over: deque[tuple[int, dict[_Place, int]]] = deque()
        """Up to which number, and where the next begins, by partition."""
        self._acknowledged = 0
        self._pending = memoryview(b"")
        self._is_leaving = False
        self._is_closing = False
        self._is_away = False
        self._fault: Exception | None = None
        self._told_at_s = time.monotonic() + _TOLD_EVERY_S
        try:
            self._consumer = Consumer({**settings, "error_cb": self._note_error})
        except KafkaException as fault:
            raise UsageError(f"-X: {fault.args[0].str()}") from fault
        self._consumer.subscribe(
            list(topics), on_assign=self._note_assigned, on_revoke=self._give_away, on_lost=self._note_lost
        )
        self.fd, self._write_fd = os.pipe()
        fcntl.fcntl(self._write_fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        os.set_blocking(self._write_fd, False)
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._theirs = theirs
        channel.stand_in_for_lb(theirs.fileno(), self.fd)
        os.register_at_fork(after_in_child=self._forget)
        self._thread = threading.Thread(target=self._run, name="kafka", daemon=True)
        self._thread.start()

    @property
    def fds(self) -> list[int]:
        """What `batches`, `records`, `columns` and `run` take."""
        return [self.fd]

    def leave(self) -> None:
        """Nothing more is read from the topic, and the pipe ends behind what is in it."""
        self._is_leaving = True

    def close(self) -> None:
        """Commits what is finished, and leaves the group. The second time, nothing happens.

        Raises:
            UnavailableError: the group, or the topic, could not be read any more.
        """
        if self.fd >= 0:
            self._is_leaving = self._is_closing = True
            self._thread.join()
            channel.stand_in_for_lb(None, self.fd)
            self._theirs.close()
            self._ours.close()
            os.close(self.fd)
            self.fd = -1
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise UnavailableError(f"Kafka: {fault}") from fault

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _forget(self) -> None:
        """In a process that is forked: the pipe must not be held open, and the topic is its parent's."""
        if self._write_fd >= 0:
            os.close(self._write_fd)
            self._write_fd = -1

    def _run(self) -> None:
        try:
            while not self._is_leaving:
                self._read()
            self._move_all()
            self._end_pipe()
            while not self._is_closing:
                self._hear(_WAIT_S)
            self._hear(0)
        except Exception as fault:
            self._fault = fault
        finally:
            self._end_pipe()
            self._tell()
            self._consumer.close()

    def _read(self) -> None:
        messages = self._consumer.consume(_MESSAGES, _WAIT_S)
        for fault in (message.error() for message in messages):
            if fault is not None and (fault.fatal() or fault.code() in _ENDS):
                raise KafkaException(fault)
        good: list[Any] = [message for message in messages if message.error() is None]
        if good:
            self._is_away = False
            ends = {(message.topic(), message.partition()): message.offset() + 1 for message in good}
            self._pending = memoryview(self._unpacker.frames(good))
            self._handed_over.append((self._unpacker.records_total, ends))
            if self._note is not None and (journey := journey_of(random.choice(good))) is not None:
                self._note(self._unpacker.records_total, journey)
            self._move_all()
        self._hear(0)
        if time.monotonic() >= self._told_at_s:
            self._told_at_s = time.monotonic() + _TOLD_EVERY_S
            self._tell()

    def _move_all(self) -> None:
        """Into the pipe; while it is full, the group still sees us, and no more comes."""
        places: list[Any] = []
        while self._pending and not self._is_closing:
            if self._move(_WAIT_S) or not self._pending:
                continue
            if not places:
                places = self._consumer.assignment()
                self._consumer.pause(places)
            message = self._consumer.poll(0)
            assert message is None or message.error() is not None, "a partition that is paused gives nothing"
        if places:
            held = self._held()
            self._consumer.resume([place for place in places if (place.topic, place.partition) in held])

    def _move(self, timeout_s: float) -> int:
        """Waits for room, or for an acknowledgement; returns how many bytes went into the pipe."""
        _, writable, _ = select.select([self._ours], [self._write_fd] if self._pending else [], [], timeout_s)
        self._hear(0)
        if not writable:
            return 0
        moved = os.write(self._write_fd, self._pending)
        self._pending = self._pending[moved:]
        return moved

    def _hear(self, timeout_s: float) -> None:
        """What is finished."""
        if not select.select([self._ours], [], [], timeout_s)[0]:
            return
        while True:
            try:
                word = self._ours.recv(200, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            if word.startswith(b"ACK "):
                self._acknowledged = int(word.split()[2])
        self._store()

    def _store(self) -> None:
        """What is stored is committed before long."""
        ends: dict[_Place, int] = {}
        while self._handed_over and self._handed_over[0][0] <= self._acknowledged:
            ends |= self._handed_over.popleft()[1]
        if ends:
            held = self._held()
            offsets = [TopicPartition(*place, end) for place, end in ends.items() if place in held]
            if offsets:
                self._consumer.store_offsets(offsets=offsets)

    def _held(self) -> set[_Place]:
        return _places(self._consumer.assignment())

    def _note_assigned(self, _consumer: Any, places: Sequence[Any]) -> None:
        for place in places:
            self._unpacker.forget(place.topic, place.partition)

    def _give_away(self, consumer: Any, places: Sequence[Any]) -> None:
        given = _places(places)
        until_s = time.monotonic() + _GIVE_AWAY_S
        while self._has_unfinished(given) and not self._is_closing and time.monotonic() < until_s:
            self._move(_WAIT_S)
        try:
            consumer.commit(asynchronous=False)
        except KafkaException as fault:
            if fault.args[0].code() != KafkaError._NO_OFFSET:
                tell(f"Kafka: what was finished could not be committed: {fault.args[0].str()}")
        self._note_lost(consumer, places)

    def _has_unfinished(self, places: set[_Place]) -> bool:
        return any(places & ends.keys() for _, ends in self._handed_over)

    def _note_lost(self, _consumer: Any, places: Sequence[Any]) -> None:
        """Others have them: what is finished of them is not ours to say any more."""
        lost = _places(places)
        self._handed_over = deque(
            (number, {place: end for place, end in ends.items() if place not in lost})
            for number, ends in self._handed_over
        )

    def _note_error(self, error: Any) -> None:
        if error.fatal():
            self._fault = KafkaException(error)
            self._is_leaving = True
        elif not self._is_away:
            self._is_away = True
            tell(f"Kafka: {error.str()}; trying again")

    def _end_pipe(self) -> None:
        if self._write_fd >= 0:
            os.close(self._write_fd)
            self._write_fd = -1

    def _tell(self) -> None:
        """How many messages there are that we have not read; as far as we have heard."""
        lag = 0
        places = self._consumer.assignment()
        for place in self._consumer.position(places):
            _, end = self._consumer.get_watermark_offsets(place, cached=True)
            lag += max(0, end - place.offset) if place.offset >= 0 else 0
        unpacker = self._unpacker
        again = f", {unpacker.again_total} more that came again" if unpacker.again_total else ""
        tell(f"{unpacker.records_total} records read{again}; lag {lag} messages in {len(places)} partitions")


def _places(partitions: Sequence[Any]) -> set[_Place]:
    return {(each.topic, each.partition) for each in partitions}
