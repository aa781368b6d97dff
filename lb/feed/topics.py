"""What the session is asked for, and what has come of that: the wishes of all together, and the feed's answers.

Law: no I/O but the log; the clock is the caller's. What changes between two sessions is asked of the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lb import logs
from lb.config import Config
from lb.feed.subscriptions import Subscriptions
from lb.feed.venue import Venue
from lb.feed.wishes import Wishes

ACKNOWLEDGE_S = 10.0
"""A topic that the feed has not acknowledged by then is told."""
_SHOWN = 20
_NEVER_NS = 1 << 62


class Topics:
    """`is_retuned`: what the feed may send has changed; whoever must know sets it back."""

    def __init__(self, config: Config, venue: Venue) -> None:
        self._venue = venue
        self.wishes = Wishes(config.subscribe, config.linger_s, venue.topic)
        self.subscriptions = Subscriptions(self.wishes.of_all())
        self.is_retuned = False
        self._acknowledge_due_ns = _NEVER_NS

    def hand_over(self) -> dict[str, Any]:
        """For adopt() in another process."""
        parts = {"wishes": self.wishes.hand_over(), "subscriptions": self.subscriptions.hand_over()}
        return {**parts, "acknowledge_due_ns": self._acknowledge_due_ns}

    def adopt(self, handed_over: Mapping[str, Any]) -> None:
        self.wishes.adopt(handed_over["wishes"])
        self.subscriptions.adopt(handed_over["subscriptions"])
        self._acknowledge_due_ns = handed_over["acknowledge_due_ns"]

    @property
    def deadline_ns(self) -> int:
        """When tend() has something to do next (CLOCK_MONOTONIC)."""
        return min(self._acknowledge_due_ns, self.wishes.deadline_ns)

    @property
    def is_served(self) -> bool:
        """Whether the feed has acknowledged all of them; ACKNOWLEDGE_S later, any."""
        said = self.subscriptions
        return not said.unacknowledged or (self._acknowledge_due_ns == _NEVER_NS and bool(said.acknowledged))

    def begin_session(self, now_ns: int) -> None:
        """A session begins, which is to be asked for all that is wanted."""
        self.wishes.tend(now_ns)
        self.subscriptions.want(self.wishes.of_all())
        self.subscriptions.begin_session()
        self.is_retuned = True

    def take_session(self, asked: Iterable[str], acknowledged: Iterable[str]) -> None:
        """A session goes on where another ended: it was asked for these, and has acknowledged those."""
        self.subscriptions.take_session(asked, acknowledged)
        self.is_retuned = True

    def asked(self, now_ns: int) -> None:
        """The feed is to acknowledge them from now on."""
        self._acknowledge_due_ns = now_ns + int(ACKNOWLEDGE_S * 1e9)

    def want(self) -> None:
        """The wishes have changed."""
        self.subscriptions.want(self.wishes.of_all(self.subscriptions.acknowledged))

    def changes(self, now_ns: int) -> tuple[list[str], list[str]]:
        """What the session is to be asked for now, and what is to be taken back."""
        fresh, over = self.subscriptions.changes()
        if fresh or over:
            logs.info("topics changed", subscribe=fresh[:_SHOWN], unsubscribe=over[:_SHOWN])
            self.asked(now_ns)
            self.is_retuned = True
        return fresh, over

    def acknowledge(self, topic: str) -> bool:
        """The feed sends it from now on. Returns whether what it brings may no longer be wanted by itself."""
        self.subscriptions.acknowledge(topic)
        return self._venue.topic(topic)[1] is None

    def left(self, topic: str) -> None:
        """The feed sends it no more."""
        self.subscriptions.left(topic)
        self.is_retuned = True

    def needed(self, now_ns: int) -> set[str]:
        """What the session brings, or may yet."""
        said, due_ns = self.subscriptions, self._acknowledge_due_ns
        is_late = due_ns == _NEVER_NS or now_ns >= due_ns
        return said.acknowledged.union(() if is_late else said.brought.intersection(said.unacknowledged))

    def tend(self, now_ns: int) -> bool:
        """While a session is open. Returns whether the wishes have changed."""
        if now_ns >= self._acknowledge_due_ns:
            self._acknowledge_due_ns = _NEVER_NS
            self._tell_unacknowledged()
        is_over = now_ns >= self.wishes.deadline_ns
        if is_over:
            self.wishes.tend(now_ns)
        return is_over

    def _tell_unacknowledged(self) -> None:
        if missing := self.subscriptions.unacknowledged:
            logs.error(
                "topics that the feed has not acknowledged",
                topics=missing[:_SHOWN], more=max(len(missing) - _SHOWN, 0), after_s=ACKNOWLEDGE_S,
                feed_says=self.subscriptions.rejected,
            )  # fmt: skip
