"""Which topic is it that a venue refuses a whole request for? Found by halves, and left out from then on.

Law: no I/O, no clock. Nothing of this ends with a session: some venues end it at such a request.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

MOST_BARRED = 1000
"""Topics that are remembered; the eldest may be asked for again."""


class Doubts:
    """`barred`: the topics that are never asked for again, with the venue's words."""

    def __init__(self) -> None:
        self.barred: dict[str, str] = {}
        self._groups: list[tuple[str, ...]] = []
        """Of topics, one of which at least is refused; the next to be asked for first."""

    def hand_over(self) -> dict[str, Any]:
        """For adopt() in another process."""
        return {"barred": self.barred, "groups": self._groups}

    def adopt(self, handed_over: Mapping[str, Any]) -> None:
        self.barred = dict(handed_over["barred"])
        self._groups = [tuple(group) for group in handed_over["groups"]]

    @property
    def topics(self) -> set[str]:
        """That are in doubt: to be asked for once all others are there, a group at a time."""
        return {topic for group in self._groups for topic in group}

    def refused(self, topics: Sequence[str], text: str) -> None:
        """The venue takes no request for these together."""
        self.clear(topics)
        if len(topics) == 1:
            self.barred[topics[0]] = text
            if len(self.barred) > MOST_BARRED:
                del self.barred[next(iter(self.barred))]
        elif topics:
            half = len(topics) // 2
            self._groups[:0] = [tuple(topics[:half]), tuple(topics[half:])]

    def clear(self, topics: Collection[str]) -> None:
        """There is no doubt about these any more: the venue sends them, or nobody wants them."""
        groups = (tuple(topic for topic in group if topic not in topics) for group in self._groups)
        self._groups = [group for group in groups if group]

    def next(self) -> Sequence[str]:
        """The group whose turn it is: until it is cleared, or refused."""
        return self._groups[0] if self._groups else ()
