"""`lb-ledger run --kafka`: partitions of topics, as sources whose records are numbered by the messages' offsets.

Law: where a partition goes on says the ledger's database, in which its position stands beside what came of its records.
The brokers are told it, too, for those who watch the group, and with it which ledger the group writes; what they say of
positions decides nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from trade_balancer.errors import InputError, MissingExtraError, UnavailableError, UsageError, tell
from trade_balancer.ledger.ledger import Ledger
from trade_balancer.ledger.run import IDLE_S, Pace
from trade_balancer.ledger.shard import Part

try:
    from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
except ImportError:
    raise MissingExtraError("what reads and writes Kafka", "confluent-kafka", "kafka") from None

_MESSAGES = 500  # a call: more would leave the CPU's cache
_ANSWER_S = 5.0
_TELL_GROUP_S = 1.0
_OURS: dict[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",  # nothing is passed over
}
_ASSIGNING = "partition.assignment.strategy"
_DEFAULTS: dict[str, Any] = {"fetch.wait.max.ms": 100, "log_level": 2}
_CLASSIC = {_ASSIGNING: "cooperative-sticky", "session.timeout.ms": 10_000}
_ENDS = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.TOPIC_EXCEPTION)
"""What no waiting mends."""

_Place = tuple[str, int]


class PartitionSource:
    """A member of a group.

    Args:
        settings: librdkafka's, with brokers and group.
        ledger: whose records they are; its database knows where each partition goes on.
        is_over: asked now and then: whether to read no more.

    Raises:
        UsageError: a setting is none, or the ledger's to say.
        UnavailableError: no broker answers.
    """

    def __init__(
        self,
        topics: Sequence[str],
        settings: Mapping[str, Any],
        ledger: Ledger,
        pace: Pace,
        is_over: Callable[[], bool],
    ) -> None:
        self._ledger = ledger
        self._pace = pace
        self._is_over = is_over
        self._group = settings["group.id"]
        self._next: dict[_Place, int] = {}
        """Of each partition that this member reads: the offset behind all that is in the ledger."""
        self._told: dict[_Place, int] = {}
        """... as far as the group was told."""
        self._unclaimed: dict[_Place, int] = {}
        """Partitions that are not read yet: the group may write another ledger."""
        self._tell_at_s = 0.0
        self._is_away = False
        self._fault: KafkaException | None = None
        for name in settings.keys() & {*_OURS, _ASSIGNING}:
            raise UsageError(f"-X {name}: that is the ledger's to say")
        classic = _CLASSIC if settings.get("group.protocol", "classic") == "classic" else {}
        if "group.instance.id" in settings and not classic:
            raise UsageError("--member: group.protocol=consumer refuses a member that was killed and comes back")
        try:
            self._consumer = Consumer({**_DEFAULTS, **classic, **settings, **_OURS, "error_cb": self._note_error})
        except KafkaException as fault:
            raise UsageError(f"-X: {fault.args[0].str()}") from fault
        try:
            found = [self._consumer.list_topics(topic, timeout=_ANSWER_S) for topic in topics]
        except KafkaException as fault:
            raise UnavailableError(f"no answer from the brokers: {fault.args[0].str()}") from fault
        self._cluster = found[0].cluster_id
        self._everywhere = [
            TopicPartition(topic, partition)
            for topic, one in zip(topics, found, strict=True)
            for partition in one.topics[topic].partitions
        ]
        self._consumer.subscribe(list(topics), on_assign=self._begin, on_revoke=self._give_away, on_lost=self._forget)

    def batches(self) -> Iterator[list[Part]]:
        """Until it `is_over`. A batch is finished when the next is asked for; an empty one comes while nothing does.

        Raises:
            UnavailableError: the group, or a topic, can't be read any more.
            InputError: what the ledger wants next is not in the topic.
            UsageError: the group writes another ledger.
        """
        while not self._is_over():
            ends, parts = self._parts(self._collect())
            yield parts
            self._next |= ends
            self._tell_group()
            self._claim()

    def close(self) -> None:
        """Leaves the group, which is told what is finished."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _collect(self) -> list[Any]:
        """The messages that are there. More than that is not waited for."""
        found: list[Any] = []
        end_s = 0.0
        while len(found) < self._pace.most_records:
            # One alone is waited for: librdkafka would wait for all of them.
            messages = self._consumer.consume(_MESSAGES, 0) if found else self._consumer.consume(1, IDLE_S)
            if self._fault is not None:
                raise UnavailableError(f"Kafka: {self._fault}")
            self._is_away &= not messages
            found += [message for message in messages if message.error() is None or self._fail(message)]
            if not messages or time.monotonic() >= (end_s := end_s or time.monotonic() + self._pace.most_s):
                break
        return found

    def _fail(self, message: Any) -> bool:
        """Raises what the error that stands in a message's place is; returns False if it passes by."""
        error = message.error()
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            place, wanted = (message.topic(), message.partition()), self._next | self._unclaimed
            raise InputError(
                f"partition {place[1]} of {place[0]} has nothing at offset {wanted.get(place)}, where the ledger "
                f"goes on: messages are gone, or it is another topic ({error.str()})"
            )
        if error.fatal() or error.code() in _ENDS:
            raise UnavailableError(f"Kafka: {error.str()}")
        self._note_error(error)
        return False

    def _parts(self, messages: list[Any]) -> tuple[dict[_Place, int], list[Part]]:
        """The records, by partition, and where each goes on behind them. What is not ours any more, or comes again
        after a partition was away and is back, is left out."""
        ends: dict[_Place, int] = {}
        parts: dict[_Place, tuple[list[bytes], list[int]]] = {}
        for message in messages:
            place, offset = (message.topic(), message.partition()), message.offset()
            first = self._next.get(place)
            if first is None or offset < ends.get(place, first):
                continue
            if some := _records_of(message):  # else there is nothing that its position could be stored with
                ends[place] = offset + 1
                records, numbers = parts.setdefault(place, ([], []))
                records += some
                numbers += [offset + 1] * len(some)
        return ends, [
            Part(self._source(place), self._next[place], records, numbers, self._home(place))
            for place, (records, numbers) in parts.items()
        ]

    def _source(self, place: _Place) -> str:
        return f"kafka:{self._cluster}:{place[0]}:{place[1]}"

    def _home(self, place: _Place) -> int:
        """The shard with its position; of accounts dealt by Kafka's hash, the shard that all of its records are of."""
        return place[1] % self._ledger.layout.shards

    def _begin(self, consumer: Any, places: Sequence[Any]) -> None:
        for partition in places:
            place = (partition.topic, partition.partition)
            self._ledger.let_go(self._home(place))  # what is at hand of it is from before
            position = self._ledger.position(self._source(place), self._home(place))
            partition.offset = OFFSET_BEGINNING if position is None else position
            self._unclaimed[place] = position or 0
        consumer.incremental_assign(places)
        consumer.pause(places)

    def _claim(self) -> None:
        """Asks which ledger the group writes, says that it is this one, and begins to read."""
        if not self._unclaimed:
            return
        places = [self._told_of(place, first) for place, first in self._unclaimed.items()]
        try:
            self._check_group()
            self._consumer.commit(offsets=places, asynchronous=False)
            self._check_group()  # of two who begin at the same moment, the later one sees the other
        except KafkaException as fault:
            self._note_error(fault.args[0])
            return
        self._next |= self._unclaimed
        self._told |= self._unclaimed
        self._unclaimed.clear()
        self._consumer.resume(places)

    def _check_group(self) -> None:
        """Raises UsageError where it writes another ledger, in whichever of the partitions."""
        for known in self._consumer.committed(self._everywhere, timeout=_ANSWER_S):
            if known.error is not None:
                raise KafkaException(known.error)
            if known.offset >= 0 and known.metadata != self._ledger.id:
                raise UsageError(
                    f"the group {self._group} does not write this ledger, but another one, or it is another "
                    "program's: all of a group's members write one database, which all of them can reach"
                )

    def _give_away(self, consumer: Any, places: Sequence[Any]) -> None:
        self._tell_group(is_last=True)
        self._forget(consumer, places)

    def _forget(self, _consumer: Any, places: Sequence[Any]) -> None:
        for partition in places:
            place = (partition.topic, partition.partition)
            for known in (self._next, self._told, self._unclaimed):
                known.pop(place, None)
        left = {self._home(place) for place in (*self._next, *self._unclaimed)}
        for home in {place.partition % self._ledger.layout.shards for place in places} - left:
            self._ledger.let_go(home)

    def _tell_group(self, *, is_last: bool = False) -> None:
        if not is_last and time.monotonic() < self._tell_at_s:
            return
        self._tell_at_s = time.monotonic() + _TELL_GROUP_S
        news = {place: end for place, end in self._next.items() if end != self._told[place]}
        if not news:
            return
        try:
            offsets = [self._told_of(*one) for one in news.items()]
            if is_last:
                self._consumer.commit(offsets=offsets, asynchronous=False)
            else:
                self._consumer.commit(offsets=offsets)
        except KafkaException as fault:
            self._note_error(fault.args[0])
        else:
            self._told |= news

    def _told_of(self, place: _Place, end: int) -> Any:
        return TopicPartition(*place, end, metadata=self._ledger.id)

    def _note_error(self, error: Any) -> None:
        if error.fatal():
            self._fault = KafkaException(error)
        elif not self._is_away:
            self._is_away = True
            tell(f"Kafka: {error.str()}; trying again")


_PACKED = re.compile(rb".*/\d+(\+\d+)+", re.DOTALL)
"""What lb-kafka tells of several records: RUN/PIPE/FIRST+STEP+..."""


def _records_of(message: Any) -> list[bytes]:
    """Of a message that lb-kafka has packed, those in it; else it is one."""
    value = message.value()
    if value is None:  # a tombstone
        return []
    for name, told in message.headers() or ():
        if name == "lb" and told is not None and _PACKED.fullmatch(told):
            return list(value.split(b"\n"))
    return [value]
