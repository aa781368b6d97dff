"""Class Unpacker: from messages of a topic to frames, as a pipe has them.

Law: what lb-kafka has packed comes out record by record; what it has sent again, under the same number, comes out once.
A message of anybody else's is a record as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from trade_balancer.kafka._kafka import ffi, lib

_LENGTH_BYTES = 4
_MOST_KEPT = 200_000
"""Symbols of a partition whose numbers are kept. Beyond, all are forgotten: what comes again then, comes twice."""


class Unpacker:
    """Of one consumer. `records_total` counts what came out, `again_total` what had been there already."""

    def __init__(self) -> None:
        self.records_total = 0
        self.again_total = 0
        self._newest: dict[tuple[str, int], dict[tuple[bytes, bytes | None], int]] = {}
        self._count = ffi.new("uint32_t *")

    def forget(self, topic: str, partition: int) -> None:
        """It is read anew, from where others have got to or we had: what was seen of it says nothing any more."""
        self._newest.pop((topic, partition), None)

    def frames(self, messages: Sequence[Any]) -> bytes:
        """Of the messages' records, in order."""
        return b"".join(part for message in messages for part in self._parts(message))

    def _parts(self, message: Any) -> Iterator[bytes | bytearray]:
        value = message.value()
        if value is None:  # a tombstone
            return
        told = next((text for name, text in message.headers() or () if name == "lb"), None)
        if told is None:
            yield from self._one(value)
            return
        source, _, numbers = told.rpartition(b"/")
        newest = self._newest.setdefault((message.topic(), message.partition()), {})
        of_symbol = (source, message.key())
        before = newest.get(of_symbol, -1)
        try:
            steps = [int(step) for step in numbers.split(b"+")]
        except ValueError:  # it is not lb-kafka's
            yield from self._one(value)
            return
        if len(newest) >= _MOST_KEPT:
            newest.clear()
        newest[of_symbol] = max(before, sum(steps))
        if len(steps) == 1:
            yield from self._one(value) if steps[0] > before else self._again(1)
        elif steps[0] > before:
            yield self._many(value)
        else:
            yield from self._those_after(before, accumulate(steps), value.split(b"\n"))

    def _one(self, record: bytes) -> tuple[bytes, bytes]:
        self.records_total += 1
        return len(record).to_bytes(_LENGTH_BYTES, "little"), record

    def _again(self, records: int) -> tuple[()]:
        self.again_total += records
        return ()

    def _many(self, lines: bytes) -> bytearray:
        # A line's break leaves, and its length comes: three bytes more each, four the last one.
        frames = bytearray(len(lines) + (_LENGTH_BYTES - 1) * lines.count(b"\n") + _LENGTH_BYTES)
        lib.frames_of_lines(lines, len(lines), ffi.from_buffer("uint8_t[]", frames), self._count)
        self.records_total += self._count[0]
        return frames

    def _those_after(self, before: int, numbers: Iterator[int], records: Sequence[bytes]) -> Iterator[bytes]:
        for number, record in zip(numbers, records, strict=False):
            yield from self._one(record) if number > before else self._again(1)
