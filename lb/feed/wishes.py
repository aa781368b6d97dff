"""Who wants which topics, and what is to be asked of the feed for all of them together.

Law: pure; the clock is the caller's. A topic that a wider one brings is not asked for; one that nobody wants any more
stays for a while, for whoever comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from lb.pump import Topic

_NEVER_NS = 1 << 62
_KEPT_MEANINGS = 1 << 15
"""Each is asked for at every change, and nothing is dealt meanwhile."""


class Wishes:
    """`base`: what the workers get. `linger_s`: how long a topic stays that nobody wants any more. `parse`: what a
    topic means, which a venue knows."""

    def __init__(self, base: Iterable[str], linger_s: float, parse: Callable[[str], Topic]) -> None:
        self.base = tuple(dict.fromkeys(base))
        self._linger_ns = int(linger_s * 1e9)
        self._parse = lru_cache(_KEPT_MEANINGS)(parse)
        self._of: dict[object, tuple[str, ...]] = {}
        self._lingering: dict[str, int] = {}

    def hand_over(self) -> dict[str, Any]:
        """For adopt() in another process: but for what readers want, who say so again."""
        return {"base": list(self.base), "lingering": self._lingering}

    def adopt(self, handed_over: Mapping[str, Any]) -> None:
        self.base, self._lingering = tuple(handed_over["base"]), dict(handed_over["lingering"])

    def want(self, who: object, topics: Sequence[str]) -> None:
        """Somebody wants these, until release()."""
        self._of[who] = tuple(topics)

    def release(self, who: object, now_ns: int) -> None:
        """Does nothing where they want nothing."""
        for topic in self._of.pop(who, ()):
            self._lingering[topic] = now_ns + self._linger_ns

    @property
    def deadline_ns(self) -> int:
        """When tend() has something to do next (CLOCK_MONOTONIC)."""
        return min(self._lingering.values(), default=_NEVER_NS)

    def tend(self, now_ns: int) -> None:
        """Forget what has lingered for long enough."""
        self._lingering = {topic: until_ns for topic, until_ns in self._lingering.items() if now_ns < until_ns}

    def of_all(self, acknowledged: Collection[str] = ()) -> tuple[str, ...]:
        """What the feed is to be asked for. What the wider topic of another covers is, too, until the feed has
        `acknowledged` that one: it may refuse it, and then somebody's wish would cost others what they have."""
        wanted = dict.fromkeys(topic for topics in (self.base, *self._of.values()) for topic in self._widest(topics))
        whole_kinds = self._whole_kinds(wanted)
        wanted |= dict.fromkeys(topic for topic in self._lingering if self._parse(topic)[0] not in whole_kinds)
        sent_kinds = self._whole_kinds(topic for topic in wanted if topic in acknowledged)
        return tuple(self._without(sent_kinds, wanted))

    def _widest(self, topics: Iterable[str]) -> Iterator[str]:
        """Those that no other of them covers."""
        topics = [*topics]
        return self._without(self._whole_kinds(topics), topics)

    def _whole_kinds(self, topics: Iterable[str]) -> set[bytes | None]:
        return {kind for kind, key in map(self._parse, topics) if key is None}

    def _without(self, kinds: Collection[bytes | None], topics: Iterable[str]) -> Iterator[str]:
        """Those that are no part of these kinds; "*", which no feed knows, is none."""
        for topic in topics:
            kind, key = self._parse(topic)
            if kind is not None and (key is None or kind not in kinds):
                yield topic

    def is_covered(self, topic: str, topics: Iterable[str]) -> bool:
        """Whether it is one of them, or part of one."""
        kind, key = self._parse(topic)
        return not {(kind, key), (kind, None)}.isdisjoint(map(self._parse, topics))

    def exceed(self, topics: Iterable[str]) -> bool:
        """Whether one of the topics, which the feed may send, is more than the workers are to get."""
        base = set(map(self._parse, self.base))
        return any({(kind, key), (kind, None)}.isdisjoint(base) for kind, key in map(self._parse, topics))
