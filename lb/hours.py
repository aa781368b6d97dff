"""When a market is open: days of the week and times of day in its own time zone. Law: pure; the clock is the caller's.

Holidays are not known: a feed that is silent on one is told to be, which costs a line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from lb.errors import UsageError

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY = "|".join(_DAYS)
_FORM = re.compile(rf"(?:({_DAY})-({_DAY}) )?([0-9:]{{5}})-([0-9:]{{5}}) (\S+)")


@dataclass(frozen=True, slots=True)
class Hours:
    """`begin` <= time < `end` of the days `first` to `last` (0 is Monday); an `end` before `begin` is of the next
    day."""

    first: int
    last: int
    begin: time
    end: time
    zone: ZoneInfo

    @classmethod
    def parse(cls, text: str) -> Hours:
        """Such as "Mon-Fri 09:30-16:00 America/New_York"; without days, every day. Raises UsageError."""
        form = _FORM.fullmatch(text)
        if form is None:
            raise UsageError(f'hours {text!r} are not of the form "Mon-Fri 09:30-16:00 America/New_York"')
        first, last, begin, end, zone = form.groups()
        try:
            times = time.fromisoformat(begin), time.fromisoformat(end)
        except ValueError:
            raise UsageError(f"hours {text!r} name a time that there is not") from None
        try:
            place = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise UsageError(f"hours {text!r} name a time zone that is not known here: {zone!r}") from None
        return cls(_DAYS.index(first or "Mon"), _DAYS.index(last or "Sun"), *times, place)

    def contain(self, now_s: float) -> bool:
        """Whether the market is open at this moment, in seconds since 1970 (UTC)."""
        now = datetime.fromtimestamp(now_s, self.zone)
        clock = now.time()
        if self.begin <= self.end:
            return self._is_day(now.weekday()) and self.begin <= clock < self.end
        after_midnight = clock < self.end
        day = (now.weekday() - after_midnight) % 7
        return self._is_day(day) and (after_midnight or clock >= self.begin)

    def _is_day(self, day: int) -> bool:
        return (day - self.first) % 7 <= (self.last - self.first) % 7
