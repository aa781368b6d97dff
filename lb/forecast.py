"""When a pipe will be full, from how it has filled lately: the warning before the feed takes us for a slow consumer.

Law: pure; the clock and the counts are the caller's.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

WARN_BELOW_S = 10.0
ALL_CLEAR_ABOVE_S = 30.0
"""Farther apart than a rate wavers: a pipe on the brink is told once, not every second."""
FARTHEST_S = 3600.0
"""A pipe that is full no sooner does not fill."""
WARN_FROM_FILL = 0.1
"""Of a pipe nearly empty, a burst says little."""
_WEIGHT = 0.5
"""Of the newest second in the rate."""


class Change(enum.Enum):
    """What is new about a pipe."""

    FILLS = enum.auto()
    EASED = enum.auto()


@dataclass(slots=True)
class _Pipe:
    held_bytes: int = 0
    rate_bytes_per_s: float = 0.0
    is_told: bool = False


class Forecast:
    """`capacity_bytes`: of each pipe, what it and lb together can hold before reading stops."""

    def __init__(self, capacity_bytes: Sequence[int]) -> None:
        self._capacity_bytes = capacity_bytes
        self._pipes = [_Pipe() for _ in capacity_bytes]
        self._taken_ns: int | None = None
        self.full_in_s: list[float | None] = [None] * len(capacity_bytes)
        """Of each pipe; None where it does not fill."""

    def look(self, held_bytes: Sequence[int], now_ns: int) -> list[tuple[int, Change]]:
        """Take what each pipe and its outbox hold now. Returns the pipes of which something is to be told."""
        elapsed_s = 0.0 if self._taken_ns is None else (now_ns - self._taken_ns) / 1e9
        self._taken_ns = now_ns
        changes = []
        for number, (pipe, held) in enumerate(zip(self._pipes, held_bytes, strict=True)):
            if elapsed_s > 0:
                rate = (held - pipe.held_bytes) / elapsed_s
                pipe.rate_bytes_per_s += _WEIGHT * (rate - pipe.rate_bytes_per_s)
            pipe.held_bytes = held
            self.full_in_s[number] = left_s = self._left_s(number)
            is_filling = left_s is not None and left_s < WARN_BELOW_S
            is_easy = left_s is None or left_s > ALL_CLEAR_ABOVE_S
            is_worth_it = held >= WARN_FROM_FILL * self._capacity_bytes[number]
            if not pipe.is_told and is_filling and is_worth_it:
                pipe.is_told = True
                changes.append((number, Change.FILLS))
            elif pipe.is_told and is_easy and not is_worth_it:
                pipe.is_told = False
                changes.append((number, Change.EASED))
        return changes

    def _left_s(self, number: int) -> float | None:
        pipe = self._pipes[number]
        room_bytes = max(self._capacity_bytes[number] - pipe.held_bytes, 0)
        if room_bytes == 0:
            return 0.0
        if pipe.rate_bytes_per_s * FARTHEST_S <= room_bytes:
            return None
        return room_bytes / pipe.rate_bytes_per_s
