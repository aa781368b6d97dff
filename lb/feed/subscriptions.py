"""The topics that are wanted, and what the feed has said to each: they outlive the sessions.

Law: no I/O, no clock. What the feed acknowledges it has acknowledged for one session only.
"""

from __future__ import annotations

from collections.abc import Sequence

MOST_REJECTED = 20
"""Different ones that are remembered of a session."""


class Subscriptions:
    """`wanted` keeps its order; each topic stands in it once."""

    def __init__(self, topics: Sequence[str]) -> None:
        self.wanted = tuple(dict.fromkeys(topics))
        self._asked = frozenset(self.wanted)
        self._acknowledged: set[str] = set()
        self._rejected: dict[str, None] = {}

    def begin_session(self) -> None:
        """A new session has acknowledged nothing yet."""
        self._acknowledged.clear()
        self._rejected.clear()

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
