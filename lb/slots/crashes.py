"""Whether the workers of a slot end too often. Law: pure; the clock is the caller's."""

from __future__ import annotations

from collections import deque

WINDOW_S = 60.0
"""Long enough for a few rounds of the back-off, which grows to 30 s; short enough that a death a day is none."""


class Crashes:
    """`most`: how many ends within WINDOW_S are too many; 0: none are."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._ends_ns: deque[int] = deque()

    def add(self, now_ns: int) -> bool:
        """One more end. Returns whether it is one too many; then counting begins anew."""
        if not self._most:
            return False
        self._ends_ns.append(now_ns)
        while now_ns - self._ends_ns[0] > int(WINDOW_S * 1e9):
            self._ends_ns.popleft()
        if len(self._ends_ns) < self._most:
            return False
        self._ends_ns.clear()
        return True
