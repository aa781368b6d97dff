"""Coinbase Advanced Trade, market data. Law: no I/O.

The venue counts all messages of a session together, so that a reader takes all: a missing one puts all books out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trade_balancer.books.books import Form, Rule
from trade_balancer.books.summary import Decimals
from trade_balancer.books.venue import BookVenue, Request, VenueSymbol, decimals_of


def _table(answer: Any) -> Mapping[str, VenueSymbol]:
    return {
        f"{product['base_currency_id']}-{product['quote_currency_id']}": VenueSymbol(
            product["product_id"],
            Decimals(decimals_of(product["quote_increment"]), decimals_of(product["base_increment"])),
            product["status"] == "online",
        )
        for product in answer["products"]
    }


VENUE = BookVenue(
    name="coinbase",
    form=Form.COINBASE,
    url="wss://advanced-trade-ws.coinbase.com",
    rest_url="https://api.coinbase.com",
    topics=lambda name, _is_whole: [f"level2:{name}"],
    rule=lambda _is_whole: Rule.SEQUENCE,
    symbols=Request("/api/v3/brokerage/market/products?product_type=SPOT", 1),
    table=_table,
    begins_anew=True,
    is_counted=True,  # with a heartbeat each second
    always=("*",),
    backlog_bytes=64 << 20,
)
