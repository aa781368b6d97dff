"""The topics that are wanted, and what the feed has said to each: they outlive the sessions.

Law: no I/O, no clock. What the feed acknowledges it has acknowledged for one session only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lb import logs
from lb.feed.doubts import Doubts

MOST_REJECTED = 20
"""Different ones that are remembered of a session."""


class Subscriptions:
    """`wanted` keeps its order; each topic stands in it once, but for those for which the feed refuses whole requests.
    `want()` changes it."""

    def __init__(self, topics: Sequence[str]) -> None:
        self._doubts = Doubts()
        self.wanted = tuple(dict.fromkeys(topics))
        self._asked = set(self.wanted)
        """In this session, and not taken back."""
        self._leaving: set[str] = set()
        """Taken back, and the feed has not said yet that it sends them no more."""
        self._acknowledged: set[str] = set()
        self._rejected: dict[str, None] = {}

    def begin_session(self) -> None:
        """A new session, which is asked for what is `certain`, has acknowledged nothing yet."""
        self.take_session(self.certain, ())

    def take_session(self, asked: Iterable[str], acknowledged: Iterable[str]) -> None:
        """A new session, which was asked for these and has acknowledged those."""
        self._asked = set(asked)
        self._leaving.clear()
        self._acknowledged = set(acknowledged)
        self._rejected.clear()

    def hand_over(self) -> dict[str, Any]:
        """For adopt() in another process."""
        return {
            "wanted": list(self.wanted),
            "asked": sorted(self._asked),
            "leaving": sorted(self._leaving),
            "acknowledged": sorted(self._acknowledged),
            "rejected": list(self._rejected),
            "doubts": self._doubts.hand_over(),
        }

    def adopt(self, handed_over: Mapping[str, Any]) -> None:
        self._doubts.adopt(handed_over["doubts"])
        self.want(handed_over["wanted"])
        self._asked, self._leaving, self._acknowledged = (
            set(handed_over[name]) for name in ("asked", "leaving", "acknowledged")
        )
        self._rejected = dict.fromkeys(handed_over["rejected"])

    def want(self, topics: Sequence[str]) -> None:
        self.wanted = tuple(topic for topic in dict.fromkeys(topics) if topic not in self._doubts.barred)
        self._doubts.clear(self._doubts.topics.difference(self.wanted))

    @property
    def certain(self) -> tuple[str, ...]:
        """What is wanted, but for topics that the feed may refuse all the others with."""
        doubtful = self._doubts.topics
        return tuple(topic for topic in self.wanted if topic not in doubtful) if doubtful else self.wanted

    def refuse(self, topics: Sequence[str], text: str, topic: str | None) -> None:
        """The feed refuses to send any of these, because of `topic`, or where that is None of one of them."""
        self._asked.difference_update(topics)
        self._doubts.refused(topics if topic is None else (topic,), text)
        for barred in self._doubts.barred.keys() & set(topics):
            self.reject(text, barred)
        self.want(self.wanted)

    def changes(self) -> tuple[list[str], list[str]]:
        """What the session is to be asked for, and what is to be taken back, since it was the last time. What is in
        doubt is asked for when all else is there."""
        fresh = [topic for topic in self.certain if topic not in self._asked]
        if not fresh and self._asked <= self._acknowledged:
            fresh = [*self._doubts.next()]
        over = sorted(self._asked.difference(self.wanted))
        self._asked.difference_update(over)
        self._asked.update(fresh)
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
    def counts(self) -> tuple[int, int, int]:
        """Of topics that were asked for, are leaving, are acknowledged."""
        return len(self._asked), len(self._leaving), len(self._acknowledged)

    @property
    def acknowledged(self) -> set[str]:
        return set(self._acknowledged)

    def acknowledge(self, topic: str) -> None:
        """What was not asked for is not remembered: a feed may say anything, and for as long as it likes."""
        if topic in self._asked:
            self._acknowledged.add(topic)
            self._doubts.clear((topic,))

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

    def status(self) -> dict[str, object]:
        """What there is to tell about the topics."""
        return {
            "topics": list(self.wanted),
            "unacknowledged": self.unacknowledged,
            "rejected": [*map(logs.shown, self.rejected)],
            "barred": {topic: logs.shown(text) for topic, text in self._doubts.barred.items()},
        }
