"""The day that a record belongs to, by its time and a fixed offset to UTC.

Law: no time zone's rules. At UTC-5, all year, the sessions of the US exchanges (04:00 to 20:00 in New York, summer and
winter) lie within a day, and ids of trades begin anew between two.
"""

from __future__ import annotations

import argparse
from datetime import date, timedelta

NEW_YORK_H = -5
"""New York's offset in winter."""

_MS_PER_H = 3_600_000
_DAY_MS = 24 * _MS_PER_H
_EPOCH = date(1970, 1, 1)
FIRST_DAY, LAST_DAY = (date.min - _EPOCH).days, (date.max - _EPOCH).days


class TradingDay:
    """Days at an offset of so many hours to UTC."""

    def __init__(self, offset_h: int = NEW_YORK_H) -> None:
        self._offset_ms = offset_h * _MS_PER_H

    def number(self, time_ms: int) -> int:
        """How many days it is after 1970-01-01; from FIRST_DAY to LAST_DAY there are dates."""
        return (time_ms + self._offset_ms) // _DAY_MS

    def of(self, time_ms: int | None) -> date | None:
        """None without a time, or for one that no calendar has (before the year 1, after 9999)."""
        if time_ms is None:
            return None
        days = self.number(time_ms)
        return _EPOCH + timedelta(days) if FIRST_DAY <= days <= LAST_DAY else None


def add_day_option(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds --utc-offset, which `options.utc_offset` has as a TradingDay."""
    parser.add_argument(
        "--utc-offset",
        metavar="HOURS",
        type=_trading_day,
        default=TradingDay(),
        help=f"{what} is the date of the record's t at this offset to UTC, all year (default: {NEW_YORK_H}, where the "
        "sessions of the US exchanges end before midnight, summer and winter)",
    )


def _trading_day(text: str) -> TradingDay:
    hours = int(text)
    if not -12 <= hours <= 14:
        raise argparse.ArgumentTypeError(f"{hours} is not within -12 and 14")
    return TradingDay(hours)
