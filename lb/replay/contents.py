"""What is in some files: from when to when, of what, how fast at its fastest, and where nothing is.

Law: columns, where there may be millions of records; no Python object for each.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import orjson

from lb.replay.files import lines_of, opened
from lb.replay.tape import records_of
from trade_balancer.columnar._columns import ffi, lib
from trade_balancer.columnar.batch import Batch, Why
from trade_balancer.columnar.decoder import Decoder
from trade_balancer.columnar.events import Kind

NS_PER_S = 10**9
TICK_NS = 10**7
_TICKS_KEPT = 1 << 18
_SYMBOLS = ("sym", "pair", "T", "p")  # the columns that hold symbols, whatever the event


class Rates:
    """Records by time: of every second, and the most in 10 ms."""

    def __init__(self) -> None:
        self.seconds: Counter[int] = Counter()
        self.ticks: Counter[int] = Counter()
        """Of the latest 10 ms, as far as they are kept: of all while `has_all_ticks`."""
        self.has_all_ticks = True
        self._peak_of_old = (0, 0)
        self.first_ns: int | None = None
        self.last_ns: int | None = None

    def add(self, time_ns: int, records: int) -> None:
        self.seconds[time_ns // NS_PER_S] += records
        self.ticks[time_ns // TICK_NS] += records
        self.first_ns = time_ns if self.first_ns is None else min(self.first_ns, time_ns)
        self.last_ns = time_ns if self.last_ns is None else max(self.last_ns, time_ns)
        if len(self.ticks) > 2 * _TICKS_KEPT:
            self._forget()

    def _forget(self) -> None:
        """Days of 10 ms would be gigabytes: what is long past gets no more records, but for stragglers."""
        old = sorted(self.ticks)[:_TICKS_KEPT]
        self._peak_of_old = max(self._peak_of_old, *((self.ticks[tick], tick) for tick in old))
        for tick in old:
            del self.ticks[tick]
        self.has_all_ticks = False

    def peak_of_second(self) -> tuple[int, int]:
        """Records, and the second's begin, ns."""
        second, records = max(self.seconds.items(), key=lambda item: item[1], default=(0, 0))
        return records, second * NS_PER_S

    def peak_of_tick(self) -> tuple[int, int]:
        """Records in 10 ms, and their begin, ns."""
        tick, records = max(self.ticks.items(), key=lambda item: item[1], default=(0, 0))
        records, tick = max((records, tick), self._peak_of_old)
        return records, tick * TICK_NS

    def gaps(self, least_s: float) -> list[tuple[int, int]]:
        """Where no record is for longer: the last second before and the first one behind, longest first."""
        seconds = sorted(self.seconds)
        gaps = [pair for pair in pairwise(seconds) if pair[1] - pair[0] > least_s]
        return sorted(gaps, key=lambda pair: pair[0] - pair[1])


@dataclass
class Contents:
    """`by` is the time that the rates are by: "received" or "t"."""

    by: str
    records: int = 0
    record_bytes: int = 0
    unusable: int = 0
    dropped: int = 0
    """What the recorder did not get, by the markers in their places."""
    events: Counter[str] = field(default_factory=Counter)
    symbols: Counter[str] = field(default_factory=Counter)
    rates: Rates = field(default_factory=Rates)
    feeds: list[str] = field(default_factory=list)
    """The URLs that recordings were made from, where they tell."""
    notes: list[str] = field(default_factory=list)
    """What is wrong with the files, in words."""


def contents_of(paths: Iterable[Path], by: str | None) -> Contents:
    """`by`: "received", "t", or None: "received" where the first file is a recording.

    Raises InputError, UsageError: as `read_tape`.
    """
    paths = list(paths)
    if by is None:
        with_times = opened(paths[0])
        by = "t" if with_times is None else "received"
        if with_times is not None:
            with_times.close()
    survey = _Survey(Contents(by))
    for path in paths:
        survey.read(path)
    return survey.finish()


class _Survey:
    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._decoder = Decoder([*_SYMBOLS, "t"])
        self._codes: Counter[int] = Counter()
        self._room = bytearray(1 << 21)

    def read(self, path: Path) -> None:
        recording = opened(path)
        if recording is None:
            for text in _texts(lines_of(path)):
                self._take(text)
            return
        with recording:
            feed = str(recording.about.get("feed", ""))
            if feed and feed not in self._contents.feeds:
                self._contents.feeds.append(feed)
            for block in recording.blocks():
                self._contents.dropped += block.dropped
                if self._contents.by == "received":
                    for time_ns, count in zip(block.times_ns, block.counts, strict=True):
                        self._contents.rates.add(time_ns, count)
                self._take(block.text)
            if recording.damage:
                self._contents.notes.append(recording.damage)
            elif not recording.is_complete:
                self._contents.notes.append(f"{path}: not completed; all that is in it is read")

    def finish(self) -> Contents:
        symbols = self._decoder.symbols
        for code, records in self._codes.items():
            if code:
                self._contents.symbols[symbols[code]] += records
        return self._contents

    def _take(self, text: bytes | bytearray | memoryview) -> None:
        """Lines, a record each."""
        count = bytes(text).count(b"\n")
        framed_bytes = len(text) + 3 * count
        if framed_bytes > len(self._room):
            self._room = bytearray(framed_bytes)
        frames = ffi.from_buffer("uint8_t[]", self._room)
        assert lib.recording_frames(ffi.from_buffer("uint8_t[]", text), len(text), frames, framed_bytes) == count
        self._contents.records += count
        self._contents.record_bytes += len(text) - count
        for batch in self._decoder.decode([memoryview(self._room)[:framed_bytes]]):
            self._count(batch)

    def _count(self, batch: Batch) -> None:
        contents = self._contents
        for table in batch:
            contents.events[table.event] += len(table)
            for name in table.names:
                if table.kind(name) is Kind.SYMBOL:
                    self._codes.update(table.view(name))
            if contents.by == "t" and "t" in table.names:
                unit_ns = 1 if table.unit("t") == "ns" else 10**6
                for time, records in Counter(table.view("t")).items():
                    if time > 0:
                        contents.rates.add(time * unit_ns, records)
        for number, record in enumerate(batch.others):
            if batch.others.why(number) is Why.BAD:
                contents.unusable += 1
            else:
                self._count_other(record)

    def _count_other(self, record: bytes) -> None:
        members = orjson.loads(record)
        event, time = members.get("ev"), members.get("t")
        if event == "lb":
            self._contents.records -= 1
            self._contents.record_bytes -= len(record)
            return
        self._contents.events[event if isinstance(event, str) else ""] += 1
        if self._contents.by == "t" and isinstance(time, int) and time > 0:
            self._contents.rates.add(time if time >= 10**16 else time * 10**6, 1)


def _texts(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Messages, or records, as lines of a record each, some at a time."""
    part: list[bytes] = []
    size_bytes = 0
    for line in lines:
        part += _cut(line)
        size_bytes += len(line)
        if size_bytes > 1 << 20:
            yield b"\n".join(part) + b"\n"
            part, size_bytes = [], 0
    if part:
        yield b"\n".join(part) + b"\n"


def _cut(message: bytes) -> list[bytes]:
    """The records of a message: guessed where the guess is certain to be right, or else found exactly. What is no
    message is handed on as it is, for the decoder to say so."""
    if message[:1] != b"[":
        return [message]
    first, *others = message[2:-2].split(b'},{"ev":')
    braces = 1 + len(others)
    if message[:7] == b'[{"ev":' and message[-2:] == b"}]" and message.count(b"{") == message.count(b"}") == braces:
        return [b"{" + first + b"}", *(b'{"ev":' + other + b"}" for other in others)]
    try:
        return [text.replace(b"\n", b" ") for text, _ in records_of(message)]
    except ValueError:
        return [message]
