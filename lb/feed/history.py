"""The sessions: when they were open, and why they ended, for the log and for who asks later.

Law: no I/O but the log; the clock is the caller's. However often sessions end, no more is kept than MOST_KEPT, and
counts.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from lb import logs
from lb.errors import LbError

MOST_KEPT = 32


class History:
    """Times in seconds since 1970. `takeovers_total`: of the sessions, begun where the one before left no gap."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.sessions_total = 0
        self.takeovers_total = 0
        self._tls = "none"
        self._open: dict[str, object] | None = None
        self._over: deque[dict[str, object]] = deque(maxlen=MOST_KEPT)
        self._ends_total: Counter[str] = Counter()
        self._failures_total: Counter[str] = Counter()
        self._last_reason = ""

    def begin(self, now_s: float, tls: str) -> None:
        """A session is open."""
        self._tls = tls
        self.sessions_total += 1
        self._open = {"began": _time(now_s), "tls": tls}

    def tell_begin(self, *, after: LbError | None = None) -> None:
        """`after`: why the session has ended in whose place this one goes on, without a gap."""
        if after is None:
            logs.info("session open", url=self._url, tls=self._tls)
        else:
            self.takeovers_total += 1
            logs.info("session taken over", url=self._url, tls=self._tls, reason=str(after))

    def end(self, now_s: float, error: LbError) -> None:
        """It has ended, or there came to be none."""
        self._last_reason = logs.shown(str(error))  # a feed's words may be in it, and in those anything
        if self._open is None:
            self._failures_total[error.kind] += 1
            return
        self._ends_total[error.kind] += 1
        self._over.append({**self._open, "ended": _time(now_s), "kind": error.kind, "reason": self._last_reason})
        self._open = None

    def hand_over(self) -> dict[str, Any]:
        """For adopt() in another process."""
        totals = {"ends_total": self._ends_total, "failures_total": self._failures_total}
        begun = {"sessions_total": self.sessions_total, "takeovers_total": self.takeovers_total, "tls": self._tls}
        return {"open": self._open, "over": list(self._over), **totals, **begun, "last_reason": self._last_reason}

    def adopt(self, handed_over: Mapping[str, Any]) -> None:
        self._open, self._last_reason = handed_over["open"], handed_over["last_reason"]
        self._over.extend(handed_over["over"])
        self.sessions_total, self.takeovers_total = handed_over["sessions_total"], handed_over["takeovers_total"]
        self._tls = handed_over["tls"]
        self._ends_total.update(handed_over["ends_total"])
        self._failures_total.update(handed_over["failures_total"])

    def status(self) -> dict[str, object]:
        """What there is to tell: sessions, the oldest first, the one that is open without an end; by their errors' kind
        those that were open, and the attempts that came to none."""
        return {
            "sessions_total": self.sessions_total,
            "takeovers_total": self.takeovers_total,
            "sessions": [*self._over, *([self._open] if self._open is not None else [])],
            "ends_total": self._ends_total,
            "failures_total": self._failures_total,
            "last_reason": self._last_reason,
        }


def tell_end(error: LbError, age_s: float | None, cut_off_bytes: int, *, is_what_was_asked: bool) -> None:
    """`age_s`: since when the session was open; None: it never was."""
    if age_s is None:
        logs.error("no session", reason=str(error))
        return
    log, what = (logs.info, "session over") if is_what_was_asked else (logs.warning, "session lost")
    log(what, reason=str(error), age_s=age_s, cut_off_bytes=cut_off_bytes)


def _time(since_1970_s: float) -> str:
    return logs.utc(datetime.fromtimestamp(since_1970_s, UTC))
