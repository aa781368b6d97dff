"""Class Outbox: records of some pipes on their way to Kafka, in C (csrc/outbox.h).

Law: received = acknowledged + waiting + failed, at any moment. A process that was forked makes one of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from trade_balancer.errors import OutputError, UnavailableError, UsageError
from trade_balancer.kafka._kafka import ffi, lib
from trade_balancer.kafka.rules import Rules

_WINDOW_RECORDS = 1 << 16
_WINDOW_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Account:
    """Records: received = acknowledged + waiting + failed; and messages. `errors` counts those that librdkafka goes on
    from by itself, such as a broker that is away."""

    received: int
    acknowledged: int
    waiting: int
    failed: int
    messages: int
    acknowledged_messages: int
    errors: int

    def __str__(self) -> str:
        parts = f"{self.acknowledged} acknowledged + {self.waiting} waiting + {self.failed} failed"
        return f"{self.received} records = {parts}"


class Taken(NamedTuple):
    """What an outbox has taken of some frames; `newest` is the last record of it."""

    is_full: bool
    consumed_bytes: int
    records: int
    newest: memoryview


class AnyOutbox(Protocol):
    """Outbox, or PlainOutbox where that can't be."""

    def pipe(self, source: str, first_number: int) -> int: ...
    def take(self, pipe: int, frames: memoryview) -> Taken: ...
    def flush(self) -> bool: ...
    def close_batch(self) -> int | None: ...
    def poll(self, timeout_ms: int = 0) -> int: ...
    def account(self) -> Account: ...
    def events(self) -> Iterator[tuple[str, int]]: ...
    def close(self) -> None: ...
    @property
    def waiting_messages(self) -> int: ...
    @property
    def error(self) -> str: ...
    @property
    def failure(self) -> str: ...


class Outbox:
    """A producer of this process.

    Args:
        library: librdkafka's file.
        settings: librdkafka's own.
        rules: which topic is whose.
        is_packing: records of one pipe, topic and key are kept until `flush`, and become one message.
        message_bytes: what such a message has at most.

    Raises:
        UsageError: a setting is none.
        UnavailableError: the library can't be used.
    """

    def __init__(
        self, library: str, settings: Mapping[str, str], rules: Rules, is_packing: bool, message_bytes: int
    ) -> None:
        text = ffi.new("char[]", lib.OUTBOX_TEXT_BYTES)
        outbox = lib.outbox_new(library.encode(), text)
        if outbox == ffi.NULL:
            raise UnavailableError(f"librdkafka: {_text(text)}")
        self._outbox = ffi.gc(outbox, lib.outbox_free)
        for name, value in settings.items():
            if lib.outbox_set(self._outbox, name.encode(), value.encode(), text):
                raise UsageError(f"-X {name}: {_text(text)}")
        window_records = _WINDOW_RECORDS if is_packing else 0
        if lib.outbox_start(self._outbox, window_records, _WINDOW_BYTES, message_bytes, text):
            raise UsageError(f"-X: {_text(text)}")
        for event, topic in [("", rules.others), *rules.by_event.items()]:
            if lib.outbox_route(self._outbox, event.encode(), topic.encode(), text):
                raise UsageError(f"--topic: {_text(text)}")
        self._counters = lib.outbox_counters(self._outbox)
        self._taken = ffi.new("struct outbox_taken *")

    def pipe(self, source: str, first_number: int) -> int:
        """One more pipe, by the number of its first record; `source` is in front of numbers in the header `lb`.

        Raises:
            UsageError: there are too many.
        """
        pipe: int = lib.outbox_pipe(self._outbox, source.encode(), first_number)
        if pipe < 0:
            raise UsageError(
                f"a process writes {lib.OUTBOX_PIPES_MAX} pipes at most: lb --spawn per-pipe, or --processes"
            )
        return pipe

    def take(self, pipe: int, frames: memoryview) -> Taken:
        """Takes whole frames, as many as there is room for."""
        view = ffi.from_buffer("uint8_t[]", frames)
        rc = lib.outbox_take(self._outbox, pipe, view, len(view), self._taken)
        taken = self._taken
        newest = frames[taken.newest_offset : taken.newest_offset + taken.newest_bytes]
        return Taken(rc != lib.OUTBOX_DONE, taken.consumed_bytes, taken.records, newest)

    def flush(self) -> bool:
        """Hands over what is kept to be packed. Returns False where there is no room for all of it."""
        return lib.outbox_flush(self._outbox) == lib.OUTBOX_DONE

    def close_batch(self) -> int | None:
        """What was taken since the last one is a batch: returns its number; None where there are too many."""
        if lib.outbox_close_batch(self._outbox) != lib.OUTBOX_DONE:
            return None
        return int(self._counters.batches_closed)

    def poll(self, timeout_ms: int = 0) -> int:
        """Hears what has become of messages, and waits for that at most so long.

        Returns the number of the last batch that is finished, as all before it are.

        Raises:
            OutputError: the brokers do not take records, and will not.
        """
        lib.outbox_poll(self._outbox, timeout_ms)
        if self._counters.fatal:
            raise OutputError(f"Kafka takes no more: {_text(self._counters.fatal_text)}; {self.account()}")
        return int(self._counters.batches_done)

    @property
    def waiting_messages(self) -> int:
        """Handed over, and not acknowledged yet."""
        return int(self._counters.waiting_messages)

    def account(self) -> Account:
        counters = self._counters
        return Account(
            counters.taken_total,
            counters.acknowledged_total,
            counters.waiting_records,
            counters.failed_total,
            counters.messages_total,
            counters.acknowledged_messages_total,
            counters.errors_total,
        )

    @property
    def error(self) -> str:
        """The newest that librdkafka goes on from by itself."""
        return _text(self._counters.error_text)

    @property
    def failure(self) -> str:
        """Why the newest failed record was refused."""
        return _text(lib.outbox_error_name(self._outbox, self._counters.failure))

    def events(self) -> Iterator[tuple[str, int]]:
        """How many records of each event were taken."""
        for number in range(self._counters.events):
            event = lib.outbox_event(self._outbox, number)
            if event.records_total:
                yield _text(event.name), int(event.records_total)

    def close(self) -> None:
        """What waits is given up."""
        outbox, self._outbox = self._outbox, None
        if outbox is not None:
            ffi.release(outbox)


def _text(text: Any) -> str:
    return ffi.string(text).decode(errors="replace")
