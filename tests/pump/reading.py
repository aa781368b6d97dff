"""Readers that join a Rig, and what each must have got.

Law: the judge walks through what was offered with what came: a record must be the next offered one, a marker passes
over as many as it says. So nothing is doubled, reordered or lost without being told.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

import model
from pumping import Rig, set_pipe_size

from lb.pump import Policy, ReaderCounters, Topic

_MARKER = re.compile(rb'\{"ev":"lb","dropped":(\d+)\}')


def matches(record: bytes, topics: Sequence[Topic]) -> bool:
    """Whether one of the topics is the record's."""
    kind, key = model.string_member(record, b"ev"), model.key_of(record)
    return any(
        topic_kind is None or (topic_kind == kind and (topic_key is None or topic_key == key))
        for topic_kind, topic_key in topics
    )


def market_total(rig: Rig) -> int:
    """How many of the market's records were dealt, to pipes or past them."""
    counters = rig.pump.counters()
    return counters.records_total + counters.unwanted_total


class Reader:
    """Joins at once; `leave()` it. Its topics must be told to the pump behind that: see Readers."""

    def __init__(
        self,
        rig: Rig,
        topics: Sequence[Topic],
        policy: Policy = Policy.DROP_OLDEST,
        *,
        has_markers: bool = False,
        pipe_size_bytes: int = 1 << 16,
        backlog_bytes: int = 1 << 16,
    ) -> None:
        self._rig = rig
        self.topics = topics
        self.has_markers = has_markers
        self.read_fd, self.write_fd = rig._pipe()
        set_pipe_size(self.write_fd, pipe_size_bytes)
        self.number = rig.pump.add_reader(self.write_fd, policy, has_markers=has_markers, backlog_bytes=backlog_bytes)
        self.joined_at = market_total(rig)
        self.left_at: int | None = None
        self.received = b""
        self._last = ReaderCounters(0, 0, 0, 0, 0, 0)

    @property
    def counters(self) -> ReaderCounters:
        """Also of one that has left."""
        return self._rig.pump.reader_counters(self.number) if self.left_at is None else self._last

    def read(self, most_bytes: int = 1 << 20) -> bytes:
        try:
            got = os.read(self.read_fd, most_bytes)
        except BlockingIOError:
            return b""
        self.received += got
        return got

    def read_all(self) -> None:
        while self.read():
            pass

    def leave(self) -> None:
        """It is removed; what its pipe holds is still read."""
        self._last = self.counters
        self.left_at = market_total(self._rig)
        self._rig.pump.remove_reader(self.number)

    def offered(self, market: Sequence[bytes]) -> list[bytes]:
        """What it was to get."""
        end = market_total(self._rig) if self.left_at is None else self.left_at
        return [record for record in market[self.joined_at : end] if matches(record, self.topics)]

    def check(self, market: Sequence[bytes]) -> None:
        """What came is what its topics and its policy say, and the counters are exact."""
        offered, counters = self.offered(market), self.counters
        assert counters.offered_total == len(offered)
        assert counters.offered_total == counters.delivered_total + counters.dropped_total + counters.waiting_records
        assert (counters.waiting_records == 0) or counters.waiting_bytes > 0
        at, passed_over = 0, 0
        for frame in self.frames():
            if (marker := _MARKER.fullmatch(frame)) and self.has_markers:
                at += int(marker[1])
                passed_over += int(marker[1])
                continue
            if not self.has_markers:
                while offered[at] != frame:  # fails with an IndexError where it was never offered
                    at += 1
            assert offered[at] == frame
            at += 1
        if self.has_markers:
            assert passed_over <= counters.dropped_total

    def frames(self) -> Iterator[bytes]:
        """Whole ones."""
        at = 0
        while (end := at + 4 + int.from_bytes(self.received[at : at + 4], "little")) <= len(self.received):
            if at + 4 > len(self.received):
                return
            yield self.received[at + 4 : end]
            at = end


class Readers(list[Reader]):
    """Those who are attached, and what pipes want (None: all)."""

    def __init__(self, rig: Rig, of_pipes: Sequence[Topic] | None = None) -> None:
        super().__init__()
        self._rig = rig
        self._of_pipes = of_pipes
        self.tell()

    def tell(self) -> None:
        """The pump is told who wants what."""
        self._rig.pump.set_topics({reader.number: reader.topics for reader in self}, self._of_pipes)

    def join(self, reader: Reader) -> Reader:
        self.append(reader)
        self.tell()
        return reader

    def part(self, reader: Reader) -> None:
        self.remove(reader)
        reader.leave()
        self.tell()
