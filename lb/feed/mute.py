"""Notices topics that have gone mute: they brought records, and bring none any more, while others do.

Law: no I/O; the clocks are the caller's. What is known is samples of the records, so a topic counts as mute only where
so many others came that a good number of its own should have been among them. One that has always been rare never does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lb.config import Config
from lb.pump import Arrival

LEAST_EXPECTED = 20.0
"""Samples of the topic. At an even pace, that none of them comes has a chance of e^-20."""


@dataclass(slots=True)
class _Topic:
    samples: int = 0
    last_ns: int = 0
    """When the last of them came; `samples_then`: of all topics, it included."""
    samples_then: int = 0
    is_told: bool = False


class Mute:
    """`topics_of`: the topics that a record, told by its first 240 bytes, belongs to."""

    def __init__(self, config: Config, topics_of: Callable[[bytes], Sequence[str]]) -> None:
        self._after_ns = int(config.quiet_after_s * 1e9)
        self._hours = config.hours
        self._wanted = config.subscribe
        self._topics_of = topics_of
        self.begin()

    def begin(self) -> None:
        """A session has begun, or the market is closed: what came before says nothing of what is to come."""
        self._samples = 0
        self._topics = {topic: _Topic() for topic in self._wanted}

    def want(self, topics: Sequence[str]) -> None:
        """These are the workers' from now on."""
        self._wanted = tuple(topics)
        self._topics = {topic: self._topics.get(topic, _Topic()) for topic in topics}

    def hand_over(self) -> dict[str, Any]:
        """For adopt() in another process."""
        topics = {name: dataclasses.asdict(topic) for name, topic in self._topics.items()}
        return {"samples": self._samples, "topics": topics}

    def adopt(self, handed_over: Mapping[str, Any]) -> None:
        self._samples = handed_over["samples"]
        self._topics = {name: _Topic(**topic) for name, topic in handed_over["topics"].items()}
        self._wanted = tuple(self._topics)

    def look(self, arrivals: Sequence[Arrival], now_s: float) -> list[tuple[str, float]]:
        """Take the newest samples. Returns the topics that have gone mute, once each time, and for how many seconds.

        `now_s`: the time of day, since 1970.
        """
        if not self._after_ns or not (self._hours is None or self._hours.contain(now_s)):
            self.begin()
            return []
        for arrival in arrivals:
            self._take(arrival)
        newest_ns = arrivals[-1].received_ns if arrivals else 0
        mute = [(name, topic) for name, topic in self._topics.items() if self._is_mute(topic, newest_ns)]
        for _, topic in mute:
            topic.is_told = True
        return [(name, (newest_ns - topic.last_ns) / 1e9) for name, topic in mute]

    def _take(self, arrival: Arrival) -> None:
        self._samples += 1
        for name in self._topics_of(arrival.record):
            if (topic := self._topics.get(name)) is not None:
                topic.samples += 1
                topic.samples_then = self._samples
                topic.last_ns = arrival.received_ns
                topic.is_told = False

    def _is_mute(self, topic: _Topic, newest_ns: int) -> bool:
        if topic.is_told or not topic.samples or newest_ns - topic.last_ns < self._after_ns:
            return False
        share = topic.samples / topic.samples_then
        return share * (self._samples - topic.samples_then) >= LEAST_EXPECTED
