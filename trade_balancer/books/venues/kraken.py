"""Kraken, websocket v2. Law: no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trade_balancer.books.books import Form, Rule
from trade_balancer.books.summary import Decimals
from trade_balancer.books.venue import BookVenue, Request, VenueSymbol

_NAMES = {"XBT": "BTC", "XDG": "DOGE"}
"""What REST calls otherwise than the websocket."""
_DEPTH = 100


def _table(answer: Any) -> Mapping[str, VenueSymbol]:
    found = {}
    for pair in answer["result"].values():
        base, _, quote = pair["wsname"].partition("/")
        base, quote = _NAMES.get(base, base), _NAMES.get(quote, quote)
        decimals = Decimals(int(pair["pair_decimals"]), int(pair["lot_decimals"]))
        found[f"{base}-{quote}"] = VenueSymbol(f"{base}/{quote}", decimals, pair.get("status", "online") == "online")
    return found


VENUE = BookVenue(
    name="kraken",
    form=Form.KRAKEN,
    url="wss://ws.kraken.com/v2",
    rest_url="https://api.kraken.com",
    topics=lambda name, _is_whole: [f"book-{_DEPTH}:{name}"],
    rule=lambda _is_whole: Rule.CHECKSUM,
    symbols=Request("/0/public/AssetPairs", 1),
    table=_table,
    begins_anew=True,
    depth=_DEPTH,
)
