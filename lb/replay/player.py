"""Decides which bytes go to a client next, and when. No I/O: it is told the time and hands out spans.

Law: a span holds whole messages, so that whoever sends it may put control frames before and after it; and what a
playhead has passed is never handed out again, over however many connections the playhead travels.
"""

import enum
import math
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lb.replay.faults import Fault, Faults
from lb.replay.reel import TIME_DIGITS, Reel
from lb.replay.tape import Tape, records_of
from lb.replay.topics import Topics

# Large enough that Python's part of a send is small beside the copying; small enough that a pong does not wait for
# long.
SPAN_BYTES = 1 << 20


class End(enum.Enum):
    """What to do with a connection at the end of the input."""

    CLOSE = "close"
    """Close frame 1000."""
    ABORT = "abort"
    """End of the TCP stream without a close frame."""
    STAY = "stay"
    """Leave it open, silent but for pings."""


@dataclass(frozen=True)
class Playback:
    """How a tape is played. None is: no bound, no drops, no fragments; a `speed` of None is full speed."""

    speed: float | None = None
    """Seconds of the tape per second of the clock."""
    loop: bool = False
    """Begin again at the tape's end."""
    record_limit: int | None = None
    """End after exactly so many records."""
    duration_s: float | None = None
    """End so many seconds after the start."""
    drop_every_records: int | None = None
    """Drop the connection after the message that completes so many records since the last drop."""
    drops: int | None = None
    """Drop so many times at most."""
    fragment_bytes: int | None = None
    """Send messages as fragments of so many bytes of payload, with pings between."""
    stamp: bool = False
    """Replace each record's `t` by the wall clock at sending. Not with fragments, which may cut a time in two."""
    end: End = End.CLOSE
    faults: Sequence[Fault] = ()


@dataclass
class Playhead:
    """How far a tape has been played; survives a forced disconnect."""

    origin_ns: int | None = None
    """Monotonic time at which the tape's first message was due; None before the start."""
    passes: int = 0
    """How many times the tape has been played to its end."""
    source: int = 0
    """The number on the tape of the next message."""
    records_sent: int = 0
    records_since_drop: int = 0
    drops: int = 0


@dataclass(frozen=True)
class Span:
    """Whole messages to be sent at once: messages `first` to `last - 1` of a reel."""

    view: memoryview
    reel: Reel
    first: int
    last: int
    due_ns: float
    """Monotonic time at which the first of them was due."""

    def whole_within(self, size_bytes: int) -> tuple[int, int]:
        """How many messages, and how many records, the span's first `size_bytes` hold whole."""
        reached = min(self.reel.messages_within(self.reel.start_of(self.first) + size_bytes), self.last)
        return reached - self.first, self.reel.records_before(reached) - self.reel.records_before(self.first)

    def cut_behind(self, size_bytes: int) -> "Span":
        """What of it ends with the message in which byte number `size_bytes` lies."""
        start = self.reel.start_of(self.first)
        last = min(bisect_left(self.reel.ends, start + size_bytes) + 1, self.last)
        return replace(self, view=self.view[: self.reel.start_of(last) - start], last=last)


@dataclass(frozen=True)
class Pause:
    """Nothing is due before this monotonic time; None: nothing at all with this subscription."""

    until_ns: int | None


class Halt(enum.Enum):
    """No further span on this connection."""

    DROP = enum.auto()
    END = enum.auto()


class Player:
    """Plays one tape for one connection.

    `reel_of` gives the reel of a subscription; `head` is where to go on; `faults` are those that have not happened yet.
    Before the first `tune` nothing is selected.
    """

    def __init__(
        self,
        tape: Tape,
        playback: Playback,
        reel_of: Callable[[Topics], Reel],
        head: Playhead,
        faults: Faults | None = None,
    ) -> None:
        self._tape = tape
        self._playback = playback
        self._reel_of = reel_of
        self._head = head
        self._faults = faults or Faults()
        self._silent_since_ns: int | None = None
        self._topics = Topics()
        self._load(Reel(b"", (), (), (), (), (), ()))

    @property
    def head(self) -> Playhead:
        """Where the next player is to go on."""
        return self._head

    def tune(self, topics: Topics, now_ns: int) -> None:
        """Goes on with another subscription, from where the tape is. It stands still while nothing is selected."""
        if self._silent_since_ns is not None and self._head.origin_ns is not None:
            self._head.origin_ns += now_ns - self._silent_since_ns
        self._topics = topics
        self._load(self._reel_of(topics))
        self._silent_since_ns = None if len(self._reel) else now_ns

    def advance(self, now_ns: int) -> Span | Pause | Halt | Fault:
        """What to send at this monotonic time, or to suffer. The caller must do so, for the playhead has then passed
        it."""
        head, playback = self._head, self._playback
        if not len(self._reel):
            return Pause(None)
        if head.origin_ns is None:
            head.origin_ns = now_ns
        if self._next == len(self._reel) and playback.loop:
            self._rewind()
        if (fault := self._faults.take(head.records_sent, (now_ns - head.origin_ns) / 1e9)) is not None:
            return fault
        if self._is_over(now_ns):
            return Halt.END
        if self._records_to_forced_drop() <= 0:
            head.drops += 1
            head.records_since_drop = 0
            return Halt.DROP
        due = self._messages_due(now_ns)
        if due <= self._next:
            return Pause(self._next_due_ns())
        return self._take(self._last_of_span(due))

    def due_ns(self, size_bytes: int) -> float:
        """Monotonic time at which more than so many bytes, from the playhead on, are due; infinite if they never are.

        At full speed all bytes are due at once, so there is no such time.
        """
        head, reel, playback = self._head, self._reel, self._playback
        if head.origin_ns is None or playback.speed is None or not reel.frames:
            return math.inf
        passes, offset = divmod(reel.start_of(self._next) + size_bytes, len(reel.frames))
        if passes and not playback.loop:
            return math.inf
        message = bisect_right(reel.ends, offset)
        records = passes * reel.records_total[-1] + reel.records_total[message] - reel.records_before(self._next)
        if playback.record_limit is not None and head.records_sent + records > playback.record_limit:
            return math.inf
        return head.origin_ns + self._clock_ns(head.passes + passes, message)

    def _clock_ns(self, passes: int, message: int) -> float:
        """When a message of the reel is due, in nanoseconds of the clock after the playhead's origin; 0 at full
        speed."""
        if self._playback.speed is None:
            return 0
        return (passes * self._tape.duration_ns + self._reel.due_ns[message]) / self._playback.speed

    def _load(self, reel: Reel) -> None:
        self._reel = reel
        # Stamping writes into the frames, so it needs a copy of its own; otherwise all players share one.
        self._stamped = bytearray(reel.frames) if self._playback.stamp else None
        self._view = memoryview(reel.frames if self._stamped is None else self._stamped)
        self._next = bisect_left(reel.sources, self._head.source)

    def _rewind(self) -> None:
        self._head.passes += 1
        self._head.source = 0
        self._next = 0

    def _is_over(self, now_ns: int) -> bool:
        limit, duration_s = self._playback.record_limit, self._playback.duration_s
        assert self._head.origin_ns is not None
        return (
            self._next == len(self._reel)
            or (limit is not None and self._head.records_sent >= limit)
            or (duration_s is not None and now_ns - self._head.origin_ns >= duration_s * 1e9)
        )

    def _records_to_break(self) -> float:
        """How many records may be sent before the next forced disconnect or fault."""
        return min(self._records_to_forced_drop(), self._faults.records_left(self._head.records_sent))

    def _records_to_forced_drop(self) -> float:
        every, drops = self._playback.drop_every_records, self._playback.drops
        if every is None or (drops is not None and self._head.drops >= drops):
            return math.inf
        return every - self._head.records_since_drop

    def _messages_due(self, now_ns: int) -> int:
        """The number of the first message of the reel that is not due yet."""
        if self._playback.speed is None:
            return len(self._reel)
        assert self._head.origin_ns is not None
        played_ns = (now_ns - self._head.origin_ns) * self._playback.speed
        return bisect_right(self._reel.due_ns, played_ns - self._head.passes * self._tape.duration_ns)

    def _next_due_ns(self) -> int:
        """When to ask again: at the time of the next message, of the end, or of a fault, whichever is the earliest."""
        assert self._head.origin_ns is not None
        # One more than the quotient, or rounding could name a time at which the message is not due yet.
        wait_ns = int(self._clock_ns(self._head.passes, self._next)) + 1
        if self._playback.duration_s is not None:
            wait_ns = min(wait_ns, math.ceil(self._playback.duration_s * 1e9))
        if (fault_s := self._faults.next_s()) < math.inf:
            wait_ns = min(wait_ns, math.ceil(fault_s * 1e9))
        return self._head.origin_ns + wait_ns

    def _last_of_span(self, due: int) -> int:
        """Where a span that begins at the next message ends: bounded by size, dueness, drops and the limit."""
        reel, first = self._reel, self._next
        last = min(due, max(first + 1, bisect_right(reel.ends, reel.start_of(first) + SPAN_BYTES)))
        before = reel.records_before(first)
        to_break = self._records_to_break()
        if to_break < math.inf:
            last = min(last, bisect_left(reel.records_total, before + to_break) + 1)
        if self._playback.record_limit is not None:
            allowed = self._playback.record_limit - self._head.records_sent
            last = min(last, bisect_right(reel.records_total, before + allowed))
        return last

    def _take(self, last: int) -> Span:
        first, reel, head = self._next, self._reel, self._head
        assert head.origin_ns is not None
        due_ns = head.origin_ns + self._clock_ns(head.passes, first)
        if last == first:
            return self._take_part(due_ns)
        self._next = last
        head.source = reel.sources[last] if last < len(reel) else len(self._tape.messages)
        self._count(reel.records_before(last) - reel.records_before(first))
        if self._stamped is not None:
            _stamp(self._stamped, reel.times_of(first, last))
        return Span(self._view[reel.start_of(first) : reel.start_of(last)], reel, first, last, due_ns)

    def _take_part(self, due_ns: float) -> Span:
        """The last message of all, where the limit falls within it: only as many of its records as are allowed."""
        assert self._playback.record_limit is not None
        allowed = self._playback.record_limit - self._head.records_sent
        message = self._tape.messages[self._reel.sources[self._next]]
        wanted = [text for text, record in records_of(message) if self._topics.select(record)]
        part = Reel.of_records(wanted[:allowed], self._playback.fragment_bytes, self._playback.stamp)
        frames = bytearray(part.frames)
        if self._playback.stamp:
            _stamp(frames, part.times_of(0, 1))
        self._count(allowed)
        return Span(memoryview(frames), part, 0, 1, due_ns)

    def _count(self, records: int) -> None:
        self._head.records_sent += records
        self._head.records_since_drop += records


def _stamp(frames: bytearray, offsets: Sequence[int]) -> None:
    """Writes the wall clock, in milliseconds, over the times at these offsets."""
    digits = b"%0*d" % (TIME_DIGITS, time.time_ns() // 1_000_000)
    for offset in offsets:
        frames[offset : offset + TIME_DIGITS] = digits
