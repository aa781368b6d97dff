"""Binance spot (binance-spot-api-docs: web-socket-streams.md, rest-api.md). Law: no I/O.

The best levels come ten times a second, the best of both sides with each change: both are ordered by the same ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trade_balancer.books.books import Form, Rule
from trade_balancer.books.summary import Decimals
from trade_balancer.books.venue import BookVenue, Request, VenueSymbol, decimals_of

_DECIMALS = 8
"""That its messages have, whatever a symbol's tick is; those behind the tick are zeros."""


def _table(answer: Any) -> Mapping[str, VenueSymbol]:
    found = {}
    for symbol in answer["symbols"]:
        filters = {each["filterType"]: each for each in symbol.get("filters", ())}
        tick = filters.get("PRICE_FILTER", {}).get("tickSize", "0.00000001")
        step = filters.get("LOT_SIZE", {}).get("stepSize", "0.00000001")
        decimals = Decimals(min(decimals_of(tick), _DECIMALS), min(decimals_of(step), _DECIMALS))
        canonical = f"{symbol['baseAsset']}-{symbol['quoteAsset']}"
        found[canonical] = VenueSymbol(symbol["symbol"].lower(), decimals, symbol["status"] == "TRADING")
    return found


def _topics(name: str, is_whole: bool) -> list[str]:
    return [f"{name}@depth@100ms"] if is_whole else [f"{name}@depth20@100ms", f"{name}@bookTicker"]


def _snapshot(name: str, is_whole: bool) -> Request | None:
    return Request(f"/api/v3/depth?symbol={name.upper()}&limit=5000", 250) if is_whole else None


VENUE = BookVenue(
    name="binance",
    form=Form.BINANCE,
    url="wss://data-stream.binance.vision/stream",
    rest_url="https://data-api.binance.vision",
    topics=_topics,
    rule=lambda is_whole: Rule.IDS if is_whole else Rule.WHOLE_EACH_TIME,
    symbols=Request("/api/v3/exchangeInfo", 20),
    table=_table,
    snapshot=_snapshot,
    has_best=True,
    weight_per_minute=3000,  # half of what an address may take
)
