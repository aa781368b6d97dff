"""The topics that are wanted, and what the feed has said to each: they outlive the sessions.

Law: no I/O, no clock. What the feed acknowledges it has acknowledged for one session only.
"""

from __future__ import annotations

from collections.abc import Sequence

MOST_REJECTED = 20
"""Different ones that are remembered of a session."""


class Subscriptions:
    """`wanted` keeps its order; each topic stands in it once. `want()` changes it."""

    def __init__(self, topics: Sequence[str]) -> None:
        self.wanted = tuple(dict.fromkeys(topics))
        self._asked = set(self.wanted)
        """In this session, and not taken back."""
        self._leaving: set[str] = set()
        """Taken back, and the feed has not said yet that it sends them no more."""
        self._acknowledged: set[str] = set()
        self._rejected: dict[str, None] = {}

    def begin_session(self) -> None:
        """A new session, which is asked for what is wanted now, has acknowledged nothing yet."""
        self._asked = set(self.wanted)
        self._leaving.clear()
        self._acknowledged.clear()
        self._rejected.clear()

    def want(self, topics: Sequence[str]) -> None:
        self.wanted = tuple(dict.fromkeys(topics))

    def changes(self) -> tuple[list[str], list[str]]:
        """What the session is to be asked for, and what is to be taken back, since it was the last time."""
        fresh = [topic for topic in self.wanted if topic not in self._asked]
        over = sorted(self._asked.difference(self.wanted))
        self._asked = set(self.wanted)
        self._leaving.update(over)
        self._leaving.difference_update(fresh)
        self._acknowledged.difference_update(over)
        return fresh, over

    def left(self, topic: str) -> None:
        """The feed says that it sends the topic no more."""
        self._leaving.discard(topic)

    @property
    def brought(self) -> set[str]:
        """What the feed may send in this session."""
        return self._asked | self._leaving

    @property
    def acknowledged(self) -> set[str]:
        return set(self._acknowledged)

    def acknowledge(self, topic: str) -> None:
        """What was not asked for is not remembered: a feed may say anything, and for as long as it likes."""
        if topic in self._asked:
            self._acknowledged.add(topic)

    def reject(self, text: str, topic: str | None) -> None:
        """`text`: the feed's words; `topic`: where they name one."""
        if len(self._rejected) < MOST_REJECTED:
            self._rejected[text if topic is None else f"{topic}: {text}"] = None

    @property
    def unacknowledged(self) -> list[str]:
        """Wanted, and neither acknowledged nor known to be rejected."""
        return [topic for topic in self.wanted if topic not in self._acknowledged]

    @property
    def rejected(self) -> list[str]:
        """The feed's words, each once, with the topic where they named one. Some feeds name none, and some say nothing
        at all."""
        return list(self._rejected)
