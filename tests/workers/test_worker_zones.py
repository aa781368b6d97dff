"""One notion of a day: what `--zone` says, to all workers that have days."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from feeding import framed, run_worker
from hypothesis import given
from hypothesis import strategies as st
from sql_model import trade

from trade_balancer.zones import FIRST_DAY, LAST_DAY, Zone

NAMES = ["America/New_York", "Europe/London", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo"]
ZONES = {name: Zone(name) for name in NAMES}


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@given(st.sampled_from(NAMES), st.integers(0, 4_102_444_799_999))
def test_a_day_is_that_of_the_places_clocks(name: str, time_ms: int) -> None:
    there = datetime.fromtimestamp(time_ms // 1000, ZoneInfo(name)).date()
    assert ZONES[name].date(time_ms) == there
    assert ZONES[name].day(time_ms) == (there - date(1970, 1, 1)).days


@pytest.mark.parametrize(
    ("name", "offset_min"), [("UTC", 0), ("UTC-0", 0), ("UTC-5", -300), ("UTC+05:30", 330), ("UTC+14", 840)]
)
def test_an_offset_to_utc_needs_no_rules(name: str, offset_min: int) -> None:
    zone = Zone(name)
    for time_ms in (-(1 << 63), -1, 0, 1_781_622_000_000, (1 << 63) - 1):
        assert zone.day(time_ms) == (time_ms + offset_min * 60_000) // 86_400_000
    for day in (FIRST_DAY - 1, LAST_DAY + 1):
        assert zone.date(day * 86_400_000 - offset_min * 60_000) is None


@pytest.mark.parametrize("name", ["", "UTC+15", "UTC-5:99", "New/Amsterdam", "../UTC"])
def test_what_is_no_zone_is_told(name: str) -> None:
    with pytest.raises(ValueError, match=r"no time zone|no clock"):
        Zone(name)


def test_all_workers_have_the_same_days(tmp_path: Path) -> None:
    """The last minute and the first of a day in New York, in summer, which at UTC-5 are of one day."""
    stream = framed([trade(0, t=ms("2026-06-17T03:59")), trade(50, t=ms("2026-06-17T04:00"))])
    zone = ["--zone", "America/New_York"]
    bars = run_worker(["-m", "trade_balancer.bars", "--interval", "1d", *zone], [stream])
    assert [json.loads(line)["t"] for line in bars.out.splitlines()] == [
        ms("2026-06-16T04:00"),
        ms("2026-06-17T04:00"),
    ]
    run_worker(["-m", "trade_balancer.sql", "--database", tmp_path / "db", *zone], [stream])
    with closing(sqlite3.connect(tmp_path / "db")) as connection:
        assert connection.execute("SELECT day FROM trades").fetchall() == [("2026-06-16",), ("2026-06-17",)]
    run_worker(["-m", "trade_balancer.parquet", "--directory", tmp_path, *zone], [stream])
    assert {path.parent.name for path in tmp_path.glob("T/*/*")} == {"date=2026-06-16", "date=2026-06-17"}
