"""The pace at which a venue wants to be talked to: what may not be said yet waits, in its order.

Law: no I/O; the clock is the caller's. What else is sent to the venue counts, but does not wait: a pong is due at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

_NEVER_NS = 1 << 62


class Pace:
    """`gap_s`: the least time between two messages; 0: none has to wait."""

    def __init__(self, gap_s: float) -> None:
        self._gap_ns = int(gap_s * 1e9)
        self._free_ns = 0
        self._waiting: deque[bytes] = deque()

    @property
    def deadline_ns(self) -> int:
        """When the next that waits may be said (CLOCK_MONOTONIC)."""
        return self._free_ns if self._waiting else _NEVER_NS

    @property
    def is_busy(self) -> bool:
        """Whether something waits."""
        return bool(self._waiting)

    def begin(self) -> None:
        """A new session: nothing was said in it."""
        self._waiting.clear()
        self._free_ns = 0

    def hand_over(self) -> dict[str, Any]:
        """For adopt() in another process."""
        return {"free_ns": self._free_ns, "waiting": [text.decode() for text in self._waiting]}

    def adopt(self, handed_over: Mapping[str, Any]) -> None:
        self._free_ns = handed_over["free_ns"]
        self._waiting = deque(text.encode() for text in handed_over["waiting"])

    def want(self, text: bytes) -> None:
        self._waiting.append(text)

    def sent(self, now_ns: int) -> None:
        """Something goes out."""
        self._free_ns = max(self._free_ns, now_ns) + self._gap_ns

    def take(self, now_ns: int) -> bytes | None:
        """What is to be said now; call sent() with it."""
        return self._waiting.popleft() if self._waiting and now_ns >= self._free_ns else None
