"""A tape: messages of a feed in the order they were sent, with the time at which each is due. No I/O.

A message is one JSON array of objects (records), as the feed sends it, and is kept as the bytes it came in.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import orjson

from lb.replay.errors import InputError

# `t` is in milliseconds for most events and in nanoseconds for some (LULD, FMV). Milliseconds stay below this bound
# until the year 318857, nanoseconds have been above it since April 1970.
_LEAST_TIME_IN_NS = 10**16

# A tape that is played in a loop waits at least this long between its last message and its first.
_LEAST_GAP_NS = 1_000_000


@dataclass(frozen=True)
class Message:
    """One array and what playing it needs to know of it."""

    text: bytes
    records: int
    time_ns: int | None
    """The latest `t` of its records in nanoseconds since 1970; None if none has one."""
    events: frozenset[str]

    @classmethod
    def of_records(cls, records: Sequence[bytes], time_ns: int | None = None) -> "Message":
        """One message of these JSON objects, due at `time_ns` where that is given; raises ValueError for anything
        else."""
        message = cls.parse(b"[" + b",".join(records) + b"]")
        if message.records != len(records):
            raise ValueError("a record is more than one object")
        return message if time_ns is None else replace(message, time_ns=time_ns)

    @classmethod
    def parse(cls, text: bytes) -> "Message":
        """Reads a JSON array of objects; raises ValueError for anything else."""
        try:
            records = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise ValueError(f"not JSON: {error}") from None
        if not isinstance(records, list):
            raise ValueError("not a JSON array, and no object")
        for number, record in enumerate(records, 1):
            if not isinstance(record, dict):
                raise ValueError(f"element {number} of the array is not an object")
        times_ns = [_time_ns(record.get("t")) for record in records]
        return cls(
            text,
            len(records),
            max((time_ns for time_ns in times_ns if time_ns is not None), default=None),
            frozenset(_event(record) for record in records),
        )


@dataclass(frozen=True)
class Tape:
    """Messages and their due times.

    `due_ns[k]` is when message k is due, in nanoseconds after the first; it never decreases. `records_total[k]` counts
    the records of messages 0 to k. `duration_ns` is the time from the first message to the first of the next pass in a
    loop.
    """

    messages: Sequence[bytes]
    records_total: Sequence[int]
    due_ns: Sequence[int]
    duration_ns: int
    events: frozenset[str]

    @classmethod
    def of(cls, texts: Iterable[bytes]) -> "Tape":
        """A tape of these messages, due as the `t` of their records says.

        Raises InputError, with the number of the message, where one is not an array of objects.
        """
        return cls.of_messages(_parse_each(texts))

    @classmethod
    def of_messages(cls, messages: Iterable[Message]) -> "Tape":
        """A tape of parsed messages. One without a time, or earlier than the one before, is due with that."""
        kept = list(messages)
        first_ns = next((message.time_ns for message in kept if message.time_ns is not None), 0)
        times_ns = (first_ns if message.time_ns is None else message.time_ns for message in kept)
        due_ns = [time_ns - first_ns for time_ns in accumulate(times_ns, max)]
        last_ns = due_ns[-1] if due_ns else 0
        return cls(
            messages=[message.text for message in kept],
            records_total=list(accumulate(message.records for message in kept)),
            due_ns=due_ns,
            duration_ns=last_ns + max(last_ns // max(len(kept), 1), _LEAST_GAP_NS),
            events=frozenset().union(*(message.events for message in kept)),
        )

    @property
    def record_count(self) -> int:
        """How many records the whole tape has."""
        return self.records_total[-1] if self.records_total else 0


def records_of(message: bytes) -> list[tuple[bytes, dict[str, Any]]]:
    """The records of a message, an array of objects: the very bytes each has in it, and the same decoded."""
    heads, *rest = message.strip()[1:-1].split(b'},{"ev":')
    pieces = [heads, *(b'{"ev":' + piece for piece in rest)]
    texts = [*(piece + b"}" for piece in pieces[:-1]), pieces[-1]]
    try:
        # Guessed, then proven: if every piece is a whole JSON value, there is no other way to cut the array.
        return [(text.strip(), orjson.loads(text)) for text in texts]
    except orjson.JSONDecodeError:
        return list(_decode_each(message.decode()))


def _decode_each(text: str) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The exact way: a decoder walks from record to record, whatever nesting and white space there is."""
    decoder = json.JSONDecoder()
    position = text.index("[") + 1
    while (start := text.find("{", position)) >= 0:
        record, position = decoder.raw_decode(text, start)
        yield text[start:position].encode(), record


def _parse_each(texts: Iterable[bytes]) -> Iterator[Message]:
    for number, text in enumerate(texts, 1):
        try:
            yield Message.parse(text)
        except ValueError as error:
            raise InputError(f"message {number}: {error}") from None


def _event(record: dict[str, Any]) -> str:
    """The event type; empty, which no topic selects, for a record without one."""
    event = record.get("ev")
    return event if isinstance(event, str) else ""


def _time_ns(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        return None
    return value if value >= _LEAST_TIME_IN_NS else value * 1_000_000
