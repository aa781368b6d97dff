"""Those who have asked for the same topics in the same shape, and the frames that they share.

Law: no I/O: frames are handed to who sends them. A frame depends on the group and on the tick that its reader got last,
and on nothing else: whoever keeps up gets the bytes that all others get, and whoever was behind those of all who were
behind as long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from trade_balancer.emit.board import NEVER, Board, Values
from trade_balancer.emit.forms import ALL
from trade_balancer.emit.wire import text_frame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


NO_FD = -1


class Shape(Enum):
    """What frames hold."""

    VALUES = "values"
    """An object: tick, ms (when it was made), skipped, and by event and symbol the values."""
    RECORDS = "records"
    """The records as they came from the feed, in one array: what the vendor's own clients read."""


class Member(Protocol):
    """A client, as far as it is a group's."""

    group: Group | None
    got: int
    """The tick of its last frame; NEVER: it is to get all there is."""
    seen: int
    """Of all the group's changes, those up to then."""
    is_behind: bool
    """It has not taken its last frame yet."""
    fd: int
    """Of its socket, where what is written to that is what the client gets; else NO_FD, as with TLS."""

    def write(self, frame: bytes) -> None: ...


Send = Callable[[bytes, Sequence[Member]], None]
"""A frame to members, of which none is behind."""


class Frame(NamedTuple):
    frame: bytes
    """Empty where there is nothing to tell."""
    values: int
    skipped: int
    """Changes that its readers do not see: newer ones of the same topics are in it."""


class Turn(NamedTuple):
    """What a tick came to; each is a counter's name."""

    frames: int = 0
    frame_bytes: int = 0
    values: int = 0
    skipped: int = 0


class Group:
    def __init__(self, board: Board, topics: frozenset[str], shape: Shape) -> None:
        self._board = board
        self.topics = topics
        self.shape = shape
        self.members: dict[Member, None] = {}
        self.changes = 0
        """How often one of its topics has got a value, a tick counted once."""
        self._late: dict[Member, None] = {}
        """Who has not got all of the newest tick that changed anything."""
        self._parts: list[tuple[Values, NDArray[np.int64] | None]] = []
        self._unknown: list[str] = [*topics]
        """Topics whose symbol the board has not seen."""
        self._symbols_seen = -1

    def join(self, member: Member) -> None:
        """It gets all values at the next tick, whatever it had before."""
        member.group = self
        member.got = NEVER
        self.members[member] = None
        self._late[member] = None

    def leave(self, member: Member) -> None:
        member.group = None
        del self.members[member]
        self._late.pop(member, None)

    def turn(self, now_ms: int, send: Send) -> Turn:
        """One write to each who is not behind and has not got the newest."""
        self._look_up()
        tick = self._board.tick
        changed = [(values, values.since(tick - 1, codes)) for values, codes in self._parts]
        changes = sum(len(codes) for _, codes in changed)
        self.changes += changes
        late: dict[Member, None] = {}
        by_got: dict[int, list[Member]] = {}
        for member in self.members if changes else self._late:
            if member.is_behind:
                late[member] = None
            elif (readers := by_got.get(member.got)) is None:
                by_got[member.got] = [member]
            else:
                readers.append(member)
        self._late = late
        frames = frame_bytes = values_sent = skipped = 0
        for got, readers in by_got.items():
            made = self._make(got, readers[0].seen, now_ms)
            for member in readers:
                member.got = tick
                member.seen = self.changes
            if made.frame:
                send(made.frame, readers)
                frames += len(readers)
                frame_bytes += len(readers) * len(made.frame)
                values_sent += len(readers) * made.values
                skipped += len(readers) * made.skipped
        return Turn(frames, frame_bytes, values_sent, skipped)

    def _make(self, got: int, seen: int, now_ms: int) -> Frame:
        """What has changed since the tick `got`."""
        parts = [(values, codes) for values, all_ in self._parts if len(codes := values.since(got, all_))]
        count = sum(len(codes) for _, codes in parts)
        if not count:
            return Frame(b"", 0, 0)
        skipped = 0 if got == NEVER else self.changes - seen - count
        if self.shape is Shape.RECORDS:
            records = [record for values, codes in parts for record in values.records(codes)]
            return Frame(text_frame(b"[" + b",".join(records) + b"]"), count, skipped)
        members = [b'{"tick":%d,"ms":%d,"skipped":%d' % (self._board.tick, now_ms, skipped)]
        members += [b'"%s":{%s}' % (values.event.encode(), b",".join(values.texts(codes))) for values, codes in parts]
        return Frame(text_frame(b",".join(members) + b"}"), count, skipped)

    def _look_up(self) -> None:
        """The codes of topics whose symbols have been seen meanwhile."""
        symbols = self._board.symbols
        if not self._unknown or len(symbols) == self._symbols_seen:
            return
        self._symbols_seen = len(symbols)
        codes: dict[str, list[int] | None] = {}
        unknown = []
        for topic in sorted(self.topics):
            event, _, symbol = topic.partition(".")
            if symbol == ALL:
                codes[event] = None
            elif codes.get(event, ()) is not None:
                if (code := symbols.code(symbol)) is None:
                    unknown.append(topic)
                else:
                    found = codes.setdefault(event, [])
                    assert found is not None
                    found.append(code)
        self._unknown = unknown
        self._parts = [
            (values := self._board.values[event], None if some is None else values.chosen(some))
            for event, some in codes.items()
        ]
