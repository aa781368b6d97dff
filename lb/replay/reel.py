"""A reel: what a tape is for one subscription, framed and laid end to end in one buffer, ready to be sent in large
spans.

Law: all that is done per record is done here, once, before sending. Where each message ends, when it is due and where
the digits of its times are is noted in arrays, so that a span of any length is found by bisection.
"""

import operator
import re
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from lb.replay.dialogue import array as message_of
from lb.replay.frames import fragmented, text_frame
from lb.replay.tape import Tape, records_of
from lb.replay.topics import Topics

# The first 13 digits of a record's time: all of it in milliseconds, and the milliseconds of it in nanoseconds.
_TIME = re.compile(rb'"t":(\d{13})(?=\d{6}[,}]|[,}])')
TIME_DIGITS = 13


@dataclass(frozen=True)
class Reel:
    """Framed messages. All sequences but `time_offsets` have one entry per message."""

    frames: bytes
    """The frames of all messages."""
    ends: Sequence[int]
    """Where in `frames` each message ends, in bytes."""
    records_total: Sequence[int]
    """Records up to and with each message."""
    due_ns: Sequence[int]
    """When each is due, in nanoseconds after the tape's first message."""
    sources: Sequence[int]
    """The number of each message on the tape."""
    time_offsets: Sequence[int]
    """Where in `frames` the 13 digits of each time begin; empty if the reel was made without."""
    times_total: Sequence[int]
    """Times up to and with each message."""

    @classmethod
    def of_tape(cls, tape: Tape, topics: Topics, fragment_bytes: int | None = None, with_times: bool = False) -> "Reel":
        """The messages of a tape that hold records of these topics, reduced to those records.

        A message that is wanted whole is kept as it is, byte for byte. `fragment_bytes` cuts messages into frames of
        that many bytes of payload, which leaves no times to note.
        """
        if topics.cover(tape.events):
            return cls._of_whole_tape(tape, fragment_bytes, with_times)
        builder = _Builder(fragment_bytes, with_times)
        for source, message in enumerate(tape.messages):
            records = records_of(message)
            wanted = [text for text, record in records if topics.select(record)]
            if wanted:
                text = message if len(wanted) == len(records) else message_of(*wanted)
                builder.add(text, len(wanted), tape.due_ns[source], source)
        return builder.reel()

    @classmethod
    def _of_whole_tape(cls, tape: Tape, fragment_bytes: int | None, with_times: bool) -> "Reel":
        builder = _Builder(fragment_bytes, with_times)
        records = map(operator.sub, tape.records_total, [0, *tape.records_total])
        for source, (text, count, due_ns) in enumerate(zip(tape.messages, records, tape.due_ns, strict=True)):
            builder.add(text, count, due_ns, source)
        return builder.reel()

    @classmethod
    def of_records(cls, records: Sequence[bytes], fragment_bytes: int | None, with_times: bool) -> "Reel":
        """A reel of one message of these records."""
        builder = _Builder(fragment_bytes, with_times)
        builder.add(message_of(*records), len(records), 0, 0)
        return builder.reel()

    def __len__(self) -> int:
        return len(self.ends)

    def start_of(self, message: int) -> int:
        """Where in `frames` a message begins, in bytes; the end of all for the number after the last."""
        return self.ends[message - 1] if message else 0

    def records_before(self, message: int) -> int:
        """How many records the messages before this one have."""
        return self.records_total[message - 1] if message else 0

    def times_of(self, first: int, last: int) -> Sequence[int]:
        """The offsets of the times of messages `first` to `last - 1`."""
        return self.time_offsets[self.times_total[first - 1] if first else 0 : self.times_total[last - 1]]

    def messages_within(self, size_bytes: int) -> int:
        """How many messages from the start fit whole into so many bytes."""
        return bisect_right(self.ends, size_bytes)


class _Builder:
    """Grows a reel message by message."""

    def __init__(self, fragment_bytes: int | None, with_times: bool) -> None:
        self._fragment_bytes = fragment_bytes
        self._with_times = with_times
        self._frames: list[bytes] = []
        self._size_bytes = 0
        self._records = 0
        self._ends = array("Q")
        self._records_total = array("Q")
        self._due_ns = array("Q")
        self._sources = array("Q")
        self._time_offsets = array("Q")
        self._times_total = array("Q")

    def add(self, text: bytes, records: int, due_ns: int, source: int) -> None:
        frame = text_frame(text) if self._fragment_bytes is None else fragmented(text, self._fragment_bytes)
        if self._with_times:
            self._time_offsets.extend(self._size_bytes + time.start(1) for time in _TIME.finditer(frame))
        self._frames.append(frame)
        self._size_bytes += len(frame)
        self._records += records
        self._ends.append(self._size_bytes)
        self._records_total.append(self._records)
        self._due_ns.append(due_ns)
        self._sources.append(source)
        self._times_total.append(len(self._time_offsets))

    def reel(self) -> Reel:
        return Reel(
            b"".join(self._frames),
            self._ends,
            self._records_total,
            self._due_ns,
            self._sources,
            self._time_offsets,
            self._times_total,
        )
