"""Bitstamp, websocket v2. Law: no I/O.

The channel order_book has all that there is (100 levels of a side) in every message: the differences that there are
besides have no sequence and cannot show a loss. The first message comes when the book changes, which in a quiet market
takes its time: REST has the book until then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trade_balancer.books.books import Form, Rule
from trade_balancer.books.summary import Decimals
from trade_balancer.books.venue import BookVenue, Request, VenueSymbol


def _table(answer: Any) -> Mapping[str, VenueSymbol]:
    return {
        pair["name"].replace("/", "-"): VenueSymbol(
            pair["url_symbol"],
            Decimals(int(pair["counter_decimals"]), int(pair["base_decimals"])),
            pair["trading"] == "Enabled",
        )
        for pair in answer
    }


VENUE = BookVenue(
    name="bitstamp",
    form=Form.BITSTAMP,
    url="wss://ws.bitstamp.net",
    rest_url="https://www.bitstamp.net",
    topics=lambda name, _is_whole: [f"order_book_{name}"],
    rule=lambda _is_whole: Rule.WHOLE_EACH_TIME,
    symbols=Request("/api/v2/trading-pairs-info/", 1),
    table=_table,
    snapshot=lambda name, _is_whole: Request(f"/api/v2/order_book/{name}/", 1),
    stale_after_s=90.0,  # a book of a quiet pair was silent for 49 s
)
