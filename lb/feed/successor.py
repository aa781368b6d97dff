"""A session beside the one that is open, to go on where that one ends.

    step          event                                       next step
    opening       the attempt has a session                   talking: the dialogue begins
    talking       all that the other session brings is        overlapping
                  acknowledged here, too
    overlapping   the other session has come to where this    due: to be taken
                  one begins, or where nothing tells,
                  OVERLAP_S passed; or hurry() was called
    any           an end, an error, TIMEOUT_S passed          failed

Law: what the feed sends is kept here, whole messages in front, and the pump begins with it when the session is taken:
from the last acknowledgement on. The other session is read until it has brought the first of that, or where nothing
tells, for OVERLAP_S, and then to its end: so nothing is missing, and what both bring meanwhile comes twice. No more
than `most_bytes` are kept, and one read: beyond, the oldest are given up before all is acknowledged, which the other
session brings; behind that, the rest waits in the socket.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Protocol

from lb import logs
from lb.errors import FeedSilent, LbError, SessionError, SessionLost
from lb.feed import dialogue as said
from lb.feed.dialogue import Action
from lb.feed.overlap import Overlap
from lb.feed.pace import Pace
from lb.feed.session import Attempt, Opener, Session, frames
from lb.feed.venue import Venue

TIMEOUT_S = 60.0
"""For all that opens it, the acknowledgements included."""
OVERLAP_S = 1.0
"""How much later than here the other session may bring what the feed sends to both."""
PATIENCE_S = 15.0
"""The same, where the records will tell."""
SKEW_S = 0.25
"""How much later than one stream another may be in the same session."""
LOOK_S = 0.02
"""Between two looks at how far the other session has come."""
RESEND_S = 0.01
"""Between two tries to send what the connection had no room for."""
_READ_BYTES = 1 << 16
_READS = 64
"""In one turn: the other session is to be read, too."""


class Watching(Protocol):
    """What tells of readable descriptors, and wakes from any thread."""

    def watch(self, fd: int, callback: Callable[[], None]) -> None: ...

    def unwatch(self, fd: int) -> None: ...

    def wake(self) -> None: ...


class _Step(enum.Enum):
    OPENING = enum.auto()
    TALKING = enum.auto()
    OVERLAPPING = enum.auto()
    DUE = enum.auto()
    FAILED = enum.auto()


class Successor:
    """Starts at once; to be taken, or to be abandoned.

    `key`: the venue's; `topics`: what it is to be asked for; `needed`: what of these the other session brings, or may
    yet; `newest`: one of the newest records of that one, b"" where there is none.
    """

    def __init__(
        self, opener: Opener, watching: Watching, venue: Venue, key: str, topics: Callable[[], Sequence[str]],
        needed: Callable[[], Collection[str]], newest: Callable[[], bytes], most_bytes: int,
    ) -> None:  # fmt: skip
        self.pace = Pace(venue.send_gap_s)
        self.topics: set[str] = set()
        """What it was asked for."""
        self.acknowledged: set[str] = set()
        self.error: LbError | None = None
        """Why it has come to nothing."""
        self._new_dialogue = partial(venue.dialogue, key)
        self._wanted = topics
        self._needed = needed
        self._newest = newest
        self._overlap = Overlap(venue.place)
        self._complete_ns = 0
        self._proven_ns: int | None = None
        self._watching = watching
        self._most_bytes = most_bytes
        self._session: Session | None = None
        self._kept = bytearray()
        self._read_to = 0
        """In `kept`: what was understood so far ends there, at a frame's end; `_whole_to`: at a message's end."""
        self._whole_to = 0
        self._text: bytearray | None = None
        """Of the message that has begun."""
        self._has_more = False
        self._is_hurried = False
        self._step = _Step.OPENING
        self._until_ns = time.monotonic_ns() + int(TIMEOUT_S * 1e9)
        self._attempt = Attempt(opener, watching.wake)

    @property
    def is_complete(self) -> bool:
        """Whether it brings all that the other session does."""
        return self._step in (_Step.OVERLAPPING, _Step.DUE)

    @property
    def is_due(self) -> bool:
        """Whether it is to be taken, once the other session has been read to its end."""
        return self._step is _Step.DUE

    @property
    def deadline_ns(self) -> int:
        """When tend() has something to do next (CLOCK_MONOTONIC)."""
        if self._has_more or self.error is not None or (self._step is _Step.OPENING and self._attempt.has_ended):
            return 0
        if self._session is not None and self._session.unsent_bytes:
            return time.monotonic_ns() + int(RESEND_S * 1e9)
        if self._step is _Step.OVERLAPPING:
            return time.monotonic_ns() + int(LOOK_S * 1e9)
        return min(self._until_ns, self.pace.deadline_ns)

    def tend(self, now_ns: int) -> None:
        if self._step is _Step.OPENING and self._attempt.has_ended:
            self._begin()
        if (session := self._session) is not None:
            self._guarded(session.flush)
            self._say(now_ns)
        if self._has_more:
            self._receive()
        self._understand()
        if self._step is _Step.OVERLAPPING:
            self._look_whether_it_is_due(now_ns)
        elif now_ns >= self._until_ns and not self.is_due:
            self._fail(FeedSilent(f"no session with all topics within {TIMEOUT_S:g} s"))

    def _look_whether_it_is_due(self, now_ns: int) -> None:
        overlap = self._overlap
        overlap.see(self._newest())
        if overlap.is_proven and self._proven_ns is None:
            self._proven_ns = now_ns
        if self._proven_ns is None:
            until_ns = self._complete_ns + int((PATIENCE_S if overlap.can_be_proven else OVERLAP_S) * 1e9)
        else:
            until_ns = self._proven_ns + int(SKEW_S * 1e9)
        if now_ns >= until_ns:
            self._step = _Step.DUE

    def change(self, fresh: Sequence[str], over: Sequence[str]) -> None:
        """The other session is asked for these, too, and for the others no more. Not once this one is complete."""
        if self._step is not _Step.TALKING:
            return  # it is asked for all of it when it begins
        fresh, over = [one for one in fresh if one not in self.topics], [one for one in over if one in self.topics]
        self.topics = self.topics.difference(over).union(fresh)
        self.acknowledged.difference_update(over)
        self._obey(self.dialogue.change(fresh, over))

    def hurry(self) -> None:
        """The other session has ended: to be taken as soon as it is complete."""
        self._is_hurried = True
        if self._step is _Step.OVERLAPPING:
            self._step = _Step.DUE

    def take(self) -> tuple[Session, bytes]:
        """Once it is due: the session, the caller's from now on, and what the feed has sent in it already, in front of
        what is still to be read."""
        assert self._session is not None
        session, self._session = self._session, None
        self._watching.unwatch(session.fileno())
        return session, bytes(self._kept)

    def abandon(self) -> None:
        """Nobody will take it."""
        self._fail(SessionLost("given up"))

    def _begin(self) -> None:
        if self._attempt.session is None:
            assert self._attempt.error is not None
            self._step, self.error = _Step.FAILED, self._attempt.error
            return
        session = self._session = self._attempt.session
        self._step = _Step.TALKING
        self._kept += session.early
        try:
            self._watching.watch(session.fileno(), self._receive)
        except OSError as error:
            self._fail(SessionLost(f"it can't be watched: {error.strerror}"))
            return
        topics = self._wanted()
        self.topics = set(topics)
        self.dialogue = self._new_dialogue(topics)
        self._obey(self.dialogue.begin())
        self._understand()
        self._receive()  # the upgrade may have received more than it read

    def _receive(self) -> None:
        """What there is. Once that is more than may be kept, the rest is left to the pump."""
        self._has_more = False
        for _ in range(_READS):
            if (session := self._session) is None:
                return
            if self.is_complete and len(self._kept) >= self._most_bytes:
                self._watching.unwatch(session.fileno())
                return
            try:
                more = session.read(_READ_BYTES)
            except EOFError:
                self._fail(SessionLost("connection closed without a close frame"))
                return
            except SessionLost as error:
                self._fail(error)
                return
            if not more:
                return
            self._kept += more
            self._understand()
        self._has_more = True

    def _understand(self) -> None:
        """Take what is whole, up to the last acknowledgement that is needed. All behind is the pump's to read, and only
        looked at."""
        try:
            while self._step is _Step.TALKING:
                self._look_whether_all_is_there()
                if self.is_complete or (frame := frames.server_frame(self._kept, self._read_to)) is None:
                    break
                self._read_to = frame.end
                self._take_frame(frame)
                if self._text is None:
                    self._whole_to = self._read_to
            while self._step is _Step.OVERLAPPING and not self._overlap.is_proven:
                if (frame := frames.server_frame(self._kept, self._read_to)) is None:
                    break
                self._read_to = frame.end
                self._overlap.bring(frame.payload if frame.opcode == frames.TEXT else b"")
        except SessionError as error:
            self._fail(error)
        if self._step is _Step.TALKING and len(self._kept) > self._most_bytes:
            self._give_up(self._whole_to)
            if len(self._kept) > self._most_bytes:
                self._fail(SessionLost(f"a message of more than {self._most_bytes} bytes"))

    def _take_frame(self, frame: frames.ServerFrame) -> None:
        if frame.opcode == frames.PING:
            self._send(frames.PONG, frame.payload)
        elif frame.opcode == frames.CLOSE:
            raise frames.close_error(frame.payload)
        elif frame.opcode != frames.PONG:
            self._text = (self._text or bytearray()) + frame.payload
            if frame.is_final:
                text, self._text = bytes(self._text), None
                self._obey(self.dialogue.receive(text))

    def _look_whether_all_is_there(self) -> None:
        if self._text is None and not self.pace.is_busy and self.acknowledged.issuperset(self._needed()):
            if not self._is_hurried:
                self._give_up(self._whole_to)
            self._step = _Step.DUE if self._is_hurried else _Step.OVERLAPPING
            logs.info("a second session brings all that this one does")
            self._complete_ns = time.monotonic_ns()
            self._overlap.begin(self._newest())

    def _give_up(self, front_bytes: int) -> None:
        del self._kept[:front_bytes]
        self._read_to -= front_bytes
        self._whole_to -= front_bytes

    def _obey(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case said.Send(text):
                    self.pace.want(text)
                case said.Acknowledged(topic) if topic in self.topics:
                    self.acknowledged.add(topic)
                case said.Refused(topics, text, topic):
                    self.topics.difference_update(topics)
                    logs.warning("the feed reports an error", text=text, topic=topic)
                case said.Rejected(text, topic):
                    logs.warning("the feed reports an error", text=text, topic=topic)
                case said.Ended(error) | said.Renew(error):
                    self._fail(error)
        self._say(time.monotonic_ns())

    def _say(self, now_ns: int) -> None:
        while self._session is not None and (text := self.pace.take(now_ns)) is not None:
            self._send(frames.TEXT, text)

    def _send(self, opcode: int, payload: bytes) -> None:
        if (session := self._session) is not None:
            self.pace.sent(time.monotonic_ns())
            self._guarded(lambda: session.send(opcode, payload))

    def _guarded(self, sending: Callable[[], None]) -> None:
        try:
            sending()
        except SessionLost as error:
            self._fail(error)

    def _fail(self, error: SessionError) -> None:
        if self._step is _Step.OPENING:
            self._attempt.abandon()
        if self._step is not _Step.FAILED:
            self._step, self.error = _Step.FAILED, error
        self._has_more = False
        if (session := self._session) is not None:
            self._session = None
            self._watching.unwatch(session.fileno())
            session.close(frames.NORMAL_CLOSURE)
