"""When a second session is opened beside the one that is open: the venue ends that one at an age, or asks for another.

Law: one at a time, and not sooner than LEAST_GAP_S after the one before. One that comes to nothing costs nothing: the
session that is open goes on, and the next is tried later and later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lb import logs
from lb.backoff import Backoff
from lb.errors import SessionError
from lb.feed.successor import Successor

LEAST_GAP_S = 10.0
"""From one to the next, however often the venue asks. Venues bound the connections of an address, too."""
MOST_GAP_S = 300.0
"""Between two tries, where they fail."""

_NEVER_NS = 1 << 62


class Renewal:
    """`after_s`: at this age of a session the next is opened; None: at none. `start`: begins one."""

    def __init__(self, after_s: float | None, start: Callable[[], Successor]) -> None:
        self._after_s = after_s
        self._start = start
        self._backoff = Backoff(LEAST_GAP_S, MOST_GAP_S)
        self._due_ns = _NEVER_NS
        self._free_ns = 0
        """Not before then."""
        self.successor: Successor | None = None

    @property
    def deadline_ns(self) -> int:
        """When tend() has something to do next (CLOCK_MONOTONIC)."""
        return self._due_ns if self.successor is None else self.successor.deadline_ns

    def begin(self, now_ns: int) -> None:
        """A session is open."""
        self._backoff.reset()
        self._due_ns = _NEVER_NS if self._after_s is None else now_ns + int(self._after_s * 1e9)

    def hasten(self, now_ns: int) -> None:
        """The venue asks for another session."""
        self._due_ns = max(now_ns, self._free_ns)

    def tend(self, now_ns: int) -> None:
        """While a session is open."""
        if self.successor is None and now_ns >= self._due_ns:
            logs.info("opening a second session, to go on where this one ends")
            self._free_ns = now_ns + int(LEAST_GAP_S * 1e9)
            self.successor = self._start()
        if self.successor is None:
            return
        self.successor.tend(now_ns)
        if (error := self.successor.error) is not None:
            self.successor = None
            delay_s = self._backoff.next_delay_s(error.least_delay_s if isinstance(error, SessionError) else 0.0)
            self._due_ns = now_ns + int(delay_s * 1e9)
            logs.warning("no second session; this one goes on", reason=str(error), next_try_s=delay_s)

    def postpone(self, now_ns: int) -> None:
        """No second session now: one that has begun is given up, the next follows later."""
        if self.successor is not None:
            self.abandon()
            self._due_ns = now_ns + int(LEAST_GAP_S * 1e9)

    def hand_over(self) -> dict[str, Any]:
        """For adopt() in another process."""
        return {"due_ns": self._due_ns, "free_ns": self._free_ns}

    def adopt(self, handed_over: Mapping[str, Any]) -> None:
        self._due_ns, self._free_ns = handed_over["due_ns"], handed_over["free_ns"]

    def taken(self) -> None:
        """The successor is the session now, or is not waited for any more."""
        self.successor = None
        self._due_ns = _NEVER_NS

    def abandon(self) -> None:
        """There is no session to go on from."""
        if self.successor is not None:
            self.successor.abandon()
        self.taken()
