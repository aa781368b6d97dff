"""A summary in plain values, as --json has it: exact decimals as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

STATES = ("unknown", "live", "stale", "syncing", "down")
CROSSINGS = ("", "locked", "crossed")


def scaled(number: int, decimals: int) -> str:
    """12345 with 2 decimals is 123.45."""
    if not decimals:
        return str(number)
    digits = str(abs(number)).rjust(decimals + 1, "0")
    return f"{'-' if number < 0 else ''}{digits[:-decimals]}.{digits[-decimals:]}"


def told(summary: Any) -> dict[str, Any]:
    """Of a `protos.Summary`: all that is in it. `spread` is None where a side is empty."""
    names = [venue.name for venue in summary.venues]
    price_decimals, size_decimals = summary.price_decimals, summary.size_decimals

    def levels(side: Sequence[Any]) -> list[dict[str, str]]:
        return [
            {
                "venue": _of(names, level.venue),
                "price": scaled(level.price, price_decimals),
                "size": scaled(level.size, size_decimals),
            }
            for level in side
        ]

    return {
        "symbol": summary.symbol,
        "sequence": summary.sequence,
        "received_ns": summary.received_ns,
        "spread": scaled(summary.spread, price_decimals) if summary.HasField("spread") else None,
        "crossing": _of(CROSSINGS, summary.crossing),
        "bids": levels(summary.bids),
        "asks": levels(summary.asks),
        "venues": [
            {
                "name": venue.name,
                "state": _of(STATES, venue.state),
                "time_ns": venue.time_ns,
                "received_ns": venue.received_ns,
            }
            for venue in summary.venues
        ],
        "skipped": summary.skipped,
    }


def _of(words: Sequence[str], number: int) -> str:
    """A later lb-books may have more."""
    return words[number] if number < len(words) else str(number)
