"""Time zones: on which day, by the clocks of some place, a time is.

Law: one notion of a day for all ready-made workers, by `--zone`. zoneinfo tells the offset at a time, but not when it
changes; so changes are looked for, to the second, once.
"""

from __future__ import annotations

import argparse
import re
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

NEW_YORK_IN_WINTER = "UTC-5"
"""All year: the sessions of the US exchanges (04:00 to 20:00 in New York, summer and winter) lie within such a day, ids
of trades begin anew between two, and no database of time zones is needed."""

DAY_MS = 86_400_000
EVER_MS = -(1 << 63)
_EPOCH = date(1970, 1, 1)
FIRST_DAY, LAST_DAY = (date.min - _EPOCH).days, (date.max - _EPOCH).days
"""Days since 1970-01-01 for which there are dates."""


class Zone:
    """A time zone by its name: UTC, UTC-5 or UTC+5:30, the same all year; or of the system's database of time zones, as
    America/New_York, whose rules are applied up to the year 2100, and that year's offset after it.

    `changes` tells from when on it has which offset to UTC, both in ms; nothing for UTC.

    Raises:
        ValueError: there is none of that name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.changes = _changes(name)
        self._from_ms = [from_ms for from_ms, _ in self.changes]

    def day(self, time_ms: int) -> int:
        """How many days it is after 1970-01-01; from FIRST_DAY to LAST_DAY there are dates."""
        at = bisect_right(self._from_ms, time_ms)
        return (time_ms + (self.changes[at - 1][1] if at else 0)) // DAY_MS

    def date(self, time_ms: int | None) -> date | None:
        """None without a time, or for one that no calendar has (before the year 1, after 9999)."""
        if time_ms is None:
            return None
        days = self.day(time_ms)
        return _EPOCH + timedelta(days) if FIRST_DAY <= days <= LAST_DAY else None

    def __repr__(self) -> str:
        return f"Zone({self.name!r})"


def add_zone_option(parser: argparse.ArgumentParser, what: str, default: str) -> None:
    """Adds --zone, which `options.zone` has as a Zone."""
    why = ", where the sessions of the US exchanges lie within a day, summer and winter" if default != "UTC" else ""
    parser.add_argument(
        "--zone",
        metavar="NAME",
        type=_zone,
        default=default,
        help=f"{what} in this time zone: UTC, UTC-5, America/New_York (default: {default}{why})",
    )


def _zone(name: str) -> Zone:
    try:
        return Zone(name)
    except ValueError as fault:
        raise argparse.ArgumentTypeError(str(fault)) from fault


def _changes(name: str) -> list[tuple[int, int]]:
    if match := re.fullmatch(r"UTC(?:([+-])(\d{1,2})(?::([0-5]\d))?)?", name):
        sign, hours, minutes = match.groups()
        offset_min = 60 * int(hours or 0) + int(minutes or 0)
        if offset_min > 14 * 60:
            raise ValueError(f"{name}: no clock is as far from UTC")
        return [(EVER_MS, (-1 if sign == "-" else 1) * offset_min * 60_000)] if offset_min else []
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as fault:
        raise ValueError(f"no time zone {name!r} here (Debian, Ubuntu: apt install tzdata)") from fault
    found: list[tuple[int, int]] = []
    for begin_ms in _days(1970, 2100):
        offset_ms = _offset_ms(zone, begin_ms)
        if not found or found[-1][1] != offset_ms:
            found.append((_change_ms(zone, begin_ms, offset_ms) if found else EVER_MS, offset_ms))
    return found


def _days(first_year: int, last_year: int) -> Iterator[int]:
    yield from range(
        round(datetime(first_year, 1, 1, tzinfo=UTC).timestamp() * 1000),
        round(datetime(last_year, 1, 1, tzinfo=UTC).timestamp() * 1000),
        DAY_MS,
    )


def _offset_ms(zone: ZoneInfo, time_ms: int) -> int:
    offset = datetime.fromtimestamp(time_ms / 1000, zone).utcoffset()
    assert offset is not None
    return round(offset.total_seconds() * 1000)


def _change_ms(zone: ZoneInfo, by_ms: int, offset_ms: int) -> int:
    """When, in the day before `by_ms`, the zone changed to this offset."""
    before_ms = by_ms - DAY_MS
    while by_ms - before_ms > 1000:
        middle_ms = (before_ms + by_ms) // 2000 * 1000
        if _offset_ms(zone, middle_ms) == offset_ms:
            by_ms = middle_ms
        else:
            before_ms = middle_ms
    return by_ms
