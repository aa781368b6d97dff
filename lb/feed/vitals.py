"""Whether the feed is alive: any byte of its is a sign. While a full pipe stops the reading, silence is ours.

Law: reads the pump's counters, and changes nothing of it; the clock is the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lb.errors import FeedSilent
from lb.feed.session import limits
from lb.feed.venue import Health
from lb.pump import Pump


class Vitals:
    """`due_ns`: when the next check is worth it (CLOCK_MONOTONIC)."""

    def __init__(self, health: Health, pump: Pump) -> None:
        self._health = health
        self._pump = pump
        self._pinged_ns = 0
        self.due_ns = 0

    def hand_over(self) -> dict[str, Any]:
        """For adopt() in another process."""
        return {"due_ns": self.due_ns, "pinged_ns": self._pinged_ns}

    def adopt(self, handed_over: Mapping[str, Any]) -> None:
        self.due_ns, self._pinged_ns = handed_over["due_ns"], handed_over["pinged_ns"]

    def begin_talk(self, now_ns: int) -> None:
        """A session begins: each step of its dialogue is answered within STEP_TIMEOUT_S."""
        self.due_ns = now_ns + int(limits.STEP_TIMEOUT_S * 1e9)

    def begin(self, now_ns: int) -> None:
        """A session is open."""
        self.due_ns = now_ns + int(self._health.ping_after_s * 1e9)

    def quiet_s(self, now_ns: int) -> float:
        """Since when no byte has come."""
        counters = self._pump.counters()
        return 0.0 if counters.stopped else (now_ns - counters.last_input_ns) / 1e9

    def check_talk(self, now_ns: int) -> None:
        """While a session begins. Raises FeedSilent."""
        if now_ns < self.due_ns:
            return
        left_s = limits.STEP_TIMEOUT_S - self.quiet_s(now_ns)
        if left_s <= 0:
            raise FeedSilent(f"no answer within {limits.STEP_TIMEOUT_S:g} s")
        self.due_ns = now_ns + int(left_s * 1e9)

    def check(self, now_ns: int) -> bool:
        """While a session is open: whether the feed is to be asked for a sign of life now. Raises FeedSilent."""
        if now_ns < self.due_ns:
            return False
        quiet_s = self.quiet_s(now_ns)
        if quiet_s >= self._health.lost_after_s:
            raise FeedSilent(f"no byte from the feed for {quiet_s:.1f} s")
        was_answered = self._pinged_ns < self._pump.counters().last_input_ns
        asks = quiet_s >= self._health.ping_after_s and was_answered
        if asks:
            self._pinged_ns = now_ns
        limit_s = self._health.ping_after_s if was_answered and not asks else self._health.lost_after_s
        self.due_ns = now_ns + int((limit_s - quiet_s) * 1e9)
        return asks
