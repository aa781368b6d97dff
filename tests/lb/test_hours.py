"""When a market is open."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from lb.errors import UsageError
from lb.hours import Hours

STOCKS = "Mon-Fri 09:30-16:00 America/New_York"
FUTURES = "Sun-Thu 18:00-17:00 America/New_York"


def at(text: str, zone: str = "America/New_York") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("hours", "when", "is_open"),
    [
        (STOCKS, "2026-11-27T09:30", True),  # a Friday
        (STOCKS, "2026-11-27T15:59:59", True),
        (STOCKS, "2026-11-27T16:00", False),
        (STOCKS, "2026-11-27T09:29:59", False),
        (STOCKS, "2026-11-28T12:00", False),
        (STOCKS, "2026-07-01T09:30", True),  # summer time
        (FUTURES, "2026-11-29T18:00", True),  # a Sunday
        (FUTURES, "2026-11-29T17:59", False),
        (FUTURES, "2026-11-30T03:00", True),
        (FUTURES, "2026-11-30T17:30", False),
        (FUTURES, "2026-11-27T16:59", True),  # of the Thursday before
        (FUTURES, "2026-11-27T18:30", False),
        ("00:00-23:59 UTC", "2026-11-28T12:00", True),
    ],
)
def test_open_or_closed(hours: str, when: str, is_open: bool) -> None:
    assert Hours.parse(hours).contain(at(when)) == is_open


def test_the_zone_is_the_markets_and_not_the_machines() -> None:
    assert Hours.parse(STOCKS).contain(at("2026-11-27T14:30", "UTC"))
    assert not Hours.parse(STOCKS).contain(at("2026-11-27T14:29", "UTC"))


@pytest.mark.parametrize("text", ["", "9:30-16:00 UTC", "Mon 09:30-16:00 UTC", "09:30-25:00 UTC", "09:30-16:00 Mars/X"])
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="hours"):
        Hours.parse(text)
