"""Class PlainOutbox: what Outbox does, by confluent-kafka's own calls, for where librdkafka itself can't be opened.

Law: as Outbox's, but that each record is a message: nothing is packed. One call for each, as produce_batch() has no
headers, and who reads a topic knows by its header alone what has come twice.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from typing import Any

from trade_balancer.errors import MissingExtraError, OutputError, UsageError
from trade_balancer.frames import LENGTH_BYTES, cut
from trade_balancer.kafka._kafka import ffi, lib
from trade_balancer.kafka.outbox import Account, Taken
from trade_balancer.kafka.rules import Rules

try:
    from confluent_kafka import KafkaError, KafkaException, Producer
except ImportError:
    raise MissingExtraError("what reads and writes Kafka", "confluent-kafka", "kafka") from None

_OF_THE_RECORD = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE, KafkaError.INVALID_RECORD)
_MOST_EVENTS: int = lib.OUTBOX_EVENTS_MAX


class PlainOutbox:
    """A producer of this process. See `Outbox`, also for what its methods do.

    Raises:
        UsageError: a setting is none.
    """

    def __init__(self, settings: Mapping[str, str], rules: Rules) -> None:
        self.error = ""
        self.failure = ""
        self._rules = rules
        self._pipes: list[tuple[str, int]] = []
        self._events: Counter[str] = Counter()
        self._batches: deque[_Batch] = deque([_Batch(self)])
        """Those that are not finished; the last one is still open."""
        self._batches_done = 0
        self._taken = self.acknowledged = self.failed = self._errors = 0
        self._fatal = ""
        try:
            self._producer = Producer({**settings, "error_cb": self._note_error})
        except KafkaException as fault:
            raise UsageError(f"-X: {fault.args[0].str()}") from fault

    def pipe(self, source: str, first_number: int) -> int:
        self._pipes.append((source, first_number))
        return len(self._pipes) - 1

    def take(self, pipe: int, frames: memoryview) -> Taken:
        now_ns = time.time_ns()
        records: list[bytes] = []
        cut(frames, 0, records)
        source, number = self._pipes[pipe]
        begin = 0
        taken = 0
        for record in records:
            if not self._send(record, f"{source}{number + taken}", now_ns):
                break
            begin += LENGTH_BYTES + len(record)
            taken += 1
        self._pipes[pipe] = source, number + taken
        newest = frames[begin - len(records[taken - 1]) : begin] if taken else frames[:0]
        return Taken(taken < len(records), begin, taken, newest)

    def flush(self) -> bool:
        return True

    def close_batch(self) -> int | None:
        self._batches.append(_Batch(self))
        return self._batches_done + len(self._batches) - 1

    def poll(self, timeout_ms: int = 0) -> int:
        self._producer.poll(timeout_ms / 1000)
        if self._fatal:
            raise OutputError(f"Kafka takes no more: {self._fatal}; {self.account()}")
        while len(self._batches) > 1 and not self._batches[0].waiting:
            self._batches.popleft()
            self._batches_done += 1
        return self._batches_done

    @property
    def waiting_messages(self) -> int:
        return self._taken - self.acknowledged - self.failed

    def account(self) -> Account:
        return Account(
            self._taken,
            self.acknowledged,
            self.waiting_messages,
            self.failed,
            self._taken,
            self.acknowledged,
            self._errors,
        )

    def events(self) -> Iterator[tuple[str, int]]:
        yield from self._events.items()

    def close(self) -> None:
        self._producer.purge()

    def note_failure(self, code: int, batch: _Batch) -> None:
        """A record is not there, and will not be. Where it is to blame itself, it is finished all the same."""
        self.failed += 1
        self.failure = KafkaError(code).str()
        if code in _OF_THE_RECORD:
            batch.waiting -= 1
        else:
            self._fatal = self._fatal or self.failure

    def _send(self, record: bytes, number: str, now_ns: int) -> bool:
        """Returns False where there is no room."""
        subject = lib.subject_of(record, len(record))
        event = bytes(ffi.buffer(subject.event, subject.event_bytes)).decode(errors="replace")
        key = bytes(ffi.buffer(subject.symbol, subject.symbol_bytes)) or None
        batch = self._batches[-1]
        refused = 0
        headers: list[tuple[str, str | bytes | None]] = [
            ("producerTime", str(now_ns).encode()),
            ("lb", number.encode()),
        ]
        try:
            self._producer.produce(
                self._rules.by_event.get(event, self._rules.others),
                record,
                key,
                on_delivery=batch.note,
                timestamp=now_ns // 1_000_000,
                headers=headers,
            )
        except BufferError:
            return False
        except KafkaException as fault:
            refused = fault.args[0].code()
        batch.waiting += 1
        if refused:
            self.note_failure(refused, batch)
        self._taken += 1
        is_known = event in self._events or (
            len(self._events) < _MOST_EVENTS and len(event.encode()) < lib.OUTBOX_NAME_BYTES
        )
        self._events[event if is_known else ""] += 1
        return True

    def _note_error(self, error: Any) -> None:
        self._errors += 1
        self.error = error.str()
        if error.fatal():
            self._fatal = self._fatal or error.str()


class _Batch:
    """Records that were taken between two calls of `close_batch`."""

    __slots__ = ("_outbox", "waiting")

    def __init__(self, outbox: PlainOutbox) -> None:
        self._outbox = outbox
        self.waiting = 0

    def note(self, error: Any, _message: Any) -> None:
        if error is None:
            self._outbox.acknowledged += 1
            self.waiting -= 1
        else:
            self._outbox.note_failure(error.code(), self)
