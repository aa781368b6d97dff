"""Whether something happens too often. Law: pure; the clock is the caller's."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable


class Recurrence:
    """`most`: how many times within `within_s` are too many; 0: none are."""

    def __init__(self, most: int, within_s: float) -> None:
        self._most = most
        self._within_ns = int(within_s * 1e9)
        self._times_ns: deque[int] = deque()

    def hand_over(self) -> list[int]:
        """When it has happened, as far as that counts, for adopt() in another process."""
        return list(self._times_ns)

    def adopt(self, times_ns: Iterable[int]) -> None:
        self._times_ns.extend(times_ns)

    def add(self, now_ns: int) -> bool:
        """It has happened once more. Returns whether that is one too many; then counting begins anew."""
        if not self._most:
            return False
        self._times_ns.append(now_ns)
        while now_ns - self._times_ns[0] > self._within_ns:
            self._times_ns.popleft()
        if len(self._times_ns) < self._most:
            return False
        self._times_ns.clear()
        return True
