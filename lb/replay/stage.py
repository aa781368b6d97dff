"""What all connections of one server share: the tape, the reels cut from it, the count, and who is connected.

Everything here may be called from any thread.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from lb.replay.faults import Faults
from lb.replay.player import Playback, Player, Playhead
from lb.replay.reel import Reel
from lb.replay.tally import Tally
from lb.replay.tape import Tape
from lb.replay.topics import Topics

# Each is as large as what it selects of the tape; clients that come back ask for the same topics.
_REELS_KEPT = 4


class Evictable(Protocol):
    """A subscribed connection, as its younger siblings see it."""

    def evict(self) -> None:
        """Tells it to say `max_connections` and to close. Called from another thread."""


@dataclass(frozen=True)
class Patience:
    """How far a client may be behind what is due: in bytes that wait for it, or in seconds of the oldest of them. What
    the kernel's socket buffers hold, here and there, does not wait any more."""

    size_bytes: int | None = None
    time_s: float | None = None


@dataclass(frozen=True)
class House:
    """The rules for every connection."""

    key: str
    path: str
    connections_per_key: int
    auth_timeout_s: float
    ping_interval_s: float
    """0: no pings."""
    patience: Patience | None
    """None: no bound."""


class Stage:
    """`on_input_end` is called, from a connection's thread, when a connection that got the whole input is over."""

    def __init__(self, tape: Tape, playback: Playback, house: House, on_input_end: Callable[[], None]) -> None:
        self.tape = tape
        self.playback = playback
        self.house = house
        self.tally = Tally()
        self.faults = Faults(playback.faults)
        self.on_input_end = on_input_end
        self._lock = threading.Lock()
        self._reels: dict[Topics, Reel] = {}
        self._reel_lock = threading.Lock()
        self._subscribed: list[Evictable] = []
        self._left_head: Playhead | None = None

    def enter(self, connection: Evictable) -> Player:
        """A connection has subscribed: it gets a player, and the eldest ones above the limit have to go.

        The player starts at the beginning of the tape, or, after a forced disconnect, with the very next record.
        """
        with self._lock:
            self._subscribed.append(connection)
            surplus = self._subscribed[: -self.house.connections_per_key]
            del self._subscribed[: len(surplus)]
            head, self._left_head = self._left_head or Playhead(), None
        for elder in surplus:
            elder.evict()
        return Player(self.tape, self.playback, self._reel_of, head, self.faults)

    def leave(self, connection: Evictable, head: Playhead | None = None) -> None:
        """A connection plays no more; `head` is where its successor goes on after a forced disconnect."""
        with self._lock:
            if connection in self._subscribed:
                self._subscribed.remove(connection)
            self._left_head = head or self._left_head

    def _reel_of(self, topics: Topics) -> Reel:
        with self._reel_lock:
            if topics not in self._reels:
                while len(self._reels) >= _REELS_KEPT:
                    del self._reels[next(iter(self._reels))]
                playback = self.playback
                self._reels[topics] = Reel.of_tape(self.tape, topics, playback.fragment_bytes, playback.stamp)
            return self._reels[topics]
