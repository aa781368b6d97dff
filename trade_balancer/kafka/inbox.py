"""Class Inbox: a member of a group that reads topics, in C (csrc/inbox.h): what it gets becomes frames, as in a pipe.

Law: what lb-kafka has packed comes out record by record, and what it has sent again comes out once. Of one thread; a
process that was forked has no part of it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from trade_balancer.errors import UnavailableError, UsageError
from trade_balancer.kafka._kafka import ffi, lib

Place = tuple[str, int]
"""A topic and one of its partitions."""

_BROKERS_TIME = 2  # RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME


class Question(IntEnum):
    """What the group wants to know."""

    NOTHING = lib.INBOX_NOTHING
    TAKE = lib.INBOX_TAKE
    GIVE = lib.INBOX_GIVE
    """Others wait for them."""
    LOST = lib.INBOX_LOST
    """Others have them already."""


class Sample(NamedTuple):
    """What one message tells: the first of its records, its header `producerTime`, and its time (ms since 1970)."""

    record: bytes
    told: bytes
    is_brokers_time: bool
    time_ms: int


class Inbox:
    """A consumer of this process; `close` it, it is not closed by itself.

    Args:
        library: librdkafka's file.
        settings: librdkafka's own.

    Raises:
        UsageError: a setting is none.
        UnavailableError: the library can't be used.
    """

    def __init__(self, library: str, settings: Mapping[str, Any], topics: Sequence[str]) -> None:
        self._text = ffi.new("char[]", lib.INBOX_TEXT_BYTES)
        self._inbox = lib.inbox_new(library.encode(), self._text)
        if self._inbox == ffi.NULL:
            raise UnavailableError(f"librdkafka: {_string(self._text)}")
        self._state = lib.inbox_state(self._inbox)
        try:
            for name, value in settings.items():
                self._check(lib.inbox_set(self._inbox, name.encode(), _word(value), self._text))
            self._check(lib.inbox_start(self._inbox, self._text))
            for topic in topics:
                lib.inbox_topic(self._inbox, topic.encode())
            self._check(lib.inbox_join(self._inbox, self._text))
        except UsageError:
            self.close()
            raise
        self._ends: dict[Place, int] = {}

    def read(self, timeout_s: float, size_bytes: int) -> Question:
        """Reads until there are so many bytes of frames, or nothing more has come, or the group asks something; what it
        asks has to be answered. Waits so long (s) for the first at most."""
        lib.inbox_read(self._inbox, round(timeout_s * 1000), size_bytes)
        return self.question

    @property
    def question(self) -> Question:
        """What the group asks, and was not answered yet."""
        return Question(self._state.question)

    def asked(self) -> set[Place]:
        """What the group asks about."""
        return {_place(self._state.asked[i]) for i in range(self._state.asked_count)}

    def answer(self) -> None:
        """They are taken; or they are given away, and nothing more comes from them. Nothing where nothing is asked."""
        for place in self.asked():
            self._ends.pop(place, None)
        lib.inbox_answer(self._inbox)

    def new_ends(self) -> dict[Place, int]:
        """Offsets behind what was read, where they have changed since the last look."""
        places = [self._state.places[i] for i in range(self._state.place_count)]
        ends = {_place(place): int(place.next) for place in places if place.next >= 0}
        changed = {place: end for place, end in ends.items() if self._ends.get(place) != end}
        self._ends = ends
        return changed

    def sample(self) -> Sample | None:
        """One message of the last read, any of them; None: nothing came."""
        sample = self._state.sample
        if not sample.messages:
            return None
        record, told = (
            bytes(ffi.buffer(text, size))
            for text, size in ((sample.record, sample.record_bytes), (sample.told, sample.told_bytes))
        )
        return Sample(record, told, sample.time_kind == _BROKERS_TIME, sample.time_ms)

    def move(self, fd: int) -> int:
        """Writes frames, as much as goes in; returns how many bytes that were.

        Raises:
            OSError: nobody reads it any more.
        """
        moved: int = lib.inbox_move(self._inbox, fd)
        if moved < 0:
            raise OSError(-moved, os.strerror(-moved))
        return moved

    def pause(self, is_paused: bool) -> None:
        """All that is held, and what comes to it, gives nothing more; or goes on."""
        lib.inbox_pause(self._inbox, is_paused)

    def finish(self, ends: Mapping[Place, int]) -> None:
        """Who gets these next begins there."""
        for (topic, partition), end in ends.items():
            lib.inbox_finish(self._inbox, topic.encode(), partition, end)

    def commit(self) -> str:
        """Tells the brokers at once. Returns why that could not be, or nothing."""
        code = lib.inbox_commit(self._inbox)
        return _string(lib.inbox_error_name(self._inbox, code)) if code else ""

    def lag(self, places: set[Place]) -> int:
        """How many messages these have that were not read, as far as was heard."""
        lib.inbox_look(self._inbox)
        found = [self._state.places[i] for i in range(self._state.place_count)]
        return sum(max(0, int(one.end - one.next)) for one in found if one.next >= 0 and _place(one) in places)

    @property
    def has_waiting(self) -> bool:
        """Whether frames have not been moved yet."""
        return bool(self._state.waiting_bytes)

    @property
    def records_total(self) -> int:
        return int(self._state.records_total)

    @property
    def again_total(self) -> int:
        """Records that had been there already, and were passed over."""
        return int(self._state.again_total)

    @property
    def errors_total(self) -> int:
        return int(self._state.errors_total)

    @property
    def error(self) -> str:
        """The newest, or the one that ends it all."""
        return _string(self._state.error_text)

    @property
    def has_failed(self) -> bool:
        """The topic, or the group, can't be read any more."""
        return bool(self._state.is_fatal)

    def close(self) -> None:
        """Leaves the group."""
        lib.inbox_free(self._inbox)

    def _check(self, code: int) -> None:
        if code != lib.INBOX_DONE:
            raise UsageError(f"-X: {_string(self._text)}")


def _place(place: Any) -> Place:
    return _string(place.topic), int(place.partition)


def _string(text: Any) -> str:
    return ffi.string(text).decode(errors="replace")


def _word(value: Any) -> bytes:
    return str(value).lower().encode() if isinstance(value, bool) else str(value).encode()
