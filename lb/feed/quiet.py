"""Notices a session that lives and brings no records: pings are answered, and the market is open.

Law: no I/O; the clocks and the counter are the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lb.config import Config

_LOOKS = 4
"""So often within the time allowed, so that it is known to a quarter."""
_NEVER_NS = 1 << 62


class Quiet:
    """`due_ns`: when look() is next worth it."""

    def __init__(self, config: Config) -> None:
        self._after_ns = int(config.quiet_after_s * 1e9)
        self._hours = config.hours
        self._records = 0
        self._since_ns = 0
        self.due_ns = _NEVER_NS

    def begin(self, records: int, now_ns: int) -> None:
        """A session has begun; `records`: how many have come in all."""
        self._records = records
        self._since_ns = now_ns
        self._later(now_ns)

    def look(self, records: int, now_ns: int, now_s: float, *, is_ours: bool) -> float | None:
        """For how many seconds no record has come, once each time that this is too long; else None.

        `now_s`: the time of day, since 1970. `is_ours`: reading is stopped, so that the feed can't be blamed.
        """
        self._later(now_ns)
        is_open = self._hours is None or self._hours.contain(now_s)
        if records != self._records or is_ours or not is_open:
            self._records = records
            self._since_ns = now_ns
        quiet_ns = now_ns - self._since_ns
        if quiet_ns < self._after_ns:
            return None
        self._since_ns = now_ns
        return quiet_ns / 1e9

    def hand_over(self) -> dict[str, Any]:
        """For adopt() in another process."""
        return {"records": self._records, "since_ns": self._since_ns, "due_ns": self.due_ns}

    def adopt(self, handed_over: Mapping[str, Any]) -> None:
        self._records, self._since_ns, self.due_ns = (handed_over[name] for name in ("records", "since_ns", "due_ns"))

    def _later(self, now_ns: int) -> None:
        self.due_ns = now_ns + self._after_ns // _LOOKS if self._after_ns else _NEVER_NS
