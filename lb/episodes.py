"""What goes on for a while and is told twice: when it begins, and when it is over. Law: pure; clock and counts are the
caller's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CALM_S = 5.0
"""So long nothing must have been counted until it is over: what comes and goes every second is one episode."""


@dataclass(frozen=True, slots=True)
class Begun:
    """Of this number, something was counted again."""

    number: int


@dataclass(frozen=True, slots=True)
class Over:
    """Nothing is counted any more: how much was, and for how long."""

    number: int
    amount: int
    lasted_s: float


@dataclass(slots=True)
class _Episode:
    amount_before: int
    began_ns: int
    last_ns: int


class Episodes:
    """`totals`: what was counted before, by number. Totals grow while an episode goes on, and stand still outside."""

    def __init__(self, totals: Sequence[int]) -> None:
        self._totals = list(totals)
        self._going_on: dict[int, _Episode] = {}

    def hand_over(self) -> dict[str, Any]:
        """For adopt() in another process."""
        going_on = {number: dataclasses.asdict(episode) for number, episode in self._going_on.items()}
        return {"totals": self._totals, "going_on": going_on}

    def adopt(self, handed_over: Mapping[str, Any]) -> None:
        self._totals = list(handed_over["totals"])
        self._going_on = {int(number): _Episode(**episode) for number, episode in handed_over["going_on"].items()}

    def look(self, totals: Sequence[int], now_ns: int, going_on: Collection[int] = frozenset()) -> list[Begun | Over]:
        """Take the totals of this moment (CLOCK_MONOTONIC). Returns what is to be told.

        `going_on`: numbers of which nothing is over yet, though their totals may stand still.
        """
        told: list[Begun | Over] = []
        for number, (before, total) in enumerate(zip(self._totals, totals, strict=True)):
            episode = self._going_on.get(number)
            if total > before:
                if episode is None:
                    episode = self._going_on[number] = _Episode(before, now_ns, now_ns)
                    told.append(Begun(number))
                episode.last_ns = now_ns
            elif episode is not None and number in going_on:
                episode.last_ns = now_ns
            elif episode is not None and now_ns >= episode.last_ns + int(CALM_S * 1e9):
                told.append(self._end(number))
            self._totals[number] = total
        return told

    def finish(self) -> list[Over]:
        """End what goes on."""
        return [self._end(number) for number in sorted(self._going_on)]

    def _end(self, number: int) -> Over:
        episode = self._going_on.pop(number)
        lasted_s = (episode.last_ns - episode.began_ns) / 1e9
        return Over(number, self._totals[number] - episode.amount_before, lasted_s)
