"""Whether one session has brought what another has brought first: then nothing is missing between the two.

Law: no I/O, no clock. Of the first session samples of its records are known: where one stands at or behind the first
record that the second has brought of its stream, the first session has come as far as to where the second begins.
"""

from __future__ import annotations

from collections.abc import Callable

PLACE_BYTES = 240
"""Of a record: its place is told by as much as of a sample (Pump.newest())."""
MOST_STREAMS = 4096

Place = tuple[bytes, int]
"""A stream, and a number that grows from record to record."""


class Overlap:
    """`place_of`: told by a record's first PLACE_BYTES; None: it has none."""

    def __init__(self, place_of: Callable[[bytes], Place | None]) -> None:
        self._place_of = place_of
        self._begin: dict[bytes, int] = {}
        """Of the second session's streams: where they begin."""
        self._reached: dict[bytes, int] = {}
        """Of the first one's: how far they have come."""
        self._has_spoken = False
        self.is_proven = False

    @property
    def can_be_proven(self) -> bool:
        """Whether a proof is to be expected: the first session's records have places, and since begin() either has
        brought some."""
        return bool(self._reached) and self._has_spoken

    def begin(self, sample: bytes) -> None:
        """The second session is complete; the first has brought this."""
        self.see(sample)
        self._has_spoken = False

    def bring(self, record: bytes) -> None:
        """The second session has brought it."""
        place = self._place_of(record[:PLACE_BYTES])
        if place is not None and place[0] not in self._begin and len(self._begin) < MOST_STREAMS:
            self._begin[place[0]] = place[1]
            self._compare(place[0])

    def see(self, sample: bytes) -> None:
        """The first session has brought it; it may have been seen before."""
        place = self._place_of(sample)
        if place is not None and self._reached.get(place[0]) != place[1]:
            self._reached[place[0]] = place[1]
            self._compare(place[0])

    def _compare(self, stream: bytes) -> None:
        self._has_spoken = True
        if stream in self._begin and self._reached.get(stream, -1) >= self._begin[stream]:
            self.is_proven = True
