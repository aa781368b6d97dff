"""Time zones as lists of offsets, for those who have to look them up fast.

Law: zoneinfo tells an offset for a time, but not when it changes; so changes are looked for, to the second.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

_DAY_MS = 86_400_000


def offsets(zone: ZoneInfo) -> list[tuple[int, int]]:
    """From when on the zone has which offset to UTC, both in ms, from 1970 to 2100: what it has at first has 0."""
    found: list[tuple[int, int]] = []
    for begin in _days(1970, 2100):
        offset_ms = _offset_ms(zone, begin)
        if not found or found[-1][1] != offset_ms:
            found.append((_change_ms(zone, begin, offset_ms) if found else 0, offset_ms))
    return found


def _days(first_year: int, last_year: int) -> Iterator[int]:
    yield from range(
        round(datetime(first_year, 1, 1, tzinfo=UTC).timestamp() * 1000),
        round(datetime(last_year, 1, 1, tzinfo=UTC).timestamp() * 1000),
        _DAY_MS,
    )


def _offset_ms(zone: ZoneInfo, time_ms: int) -> int:
    offset = datetime.fromtimestamp(time_ms / 1000, zone).utcoffset()
    assert offset is not None
    return round(offset.total_seconds() * 1000)


def _change_ms(zone: ZoneInfo, by_ms: int, offset_ms: int) -> int:
    """When, in the day before `by_ms`, the zone changed to this offset."""
    before_ms = by_ms - _DAY_MS
    while by_ms - before_ms > 1000:
        middle_ms = (before_ms + by_ms) // 2000 * 1000
        if _offset_ms(zone, middle_ms) == offset_ms:
            by_ms = middle_ms
        else:
            before_ms = middle_ms
    return by_ms
