"""Polygon/Massive, crypto: one session brings the books of several exchanges. Law: no I/O.

XL2 is an exchange's whole book, XQ its best bid and ask. Numbers are JSON numbers, and nothing says how many decimals
they have: in recordings up to 6 of prices and 8 of sizes. The vendor's guide: massive.com/docs, crypto websocket and
reference tickers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from trade_balancer.books.books import Form, Rule
from trade_balancer.books.summary import Decimals
from trade_balancer.books.venue import BookVenue, Request, VenueSymbol

_DECIMALS = Decimals(10, 8)
"""What is beyond is a fault of the book: prices of up to 922 million fit, and sizes of up to 92 billion."""


def _table(answer: Any) -> Mapping[str, VenueSymbol]:
    found = {}
    for ticker in answer["results"]:
        pair = f"{ticker['base_currency_symbol']}-{ticker['currency_symbol']}"
        found[pair] = VenueSymbol(pair, _DECIMALS, bool(ticker["active"]))
    return found


def _more(answer: Any) -> Request | None:
    """Its own address is not followed: the key goes to nobody else."""
    url = urlsplit(answer.get("next_url") or "")
    return Request(f"{url.path}?{url.query}", 1) if url.path else None


VENUE = BookVenue(
    name="polygon",
    form=Form.POLYGON,
    url="wss://socket.massive.com/crypto",
    rest_url="https://api.massive.com",
    topics=lambda name, _is_whole: [f"XL2.{name}", f"XQ.{name}"],
    rule=lambda _is_whole: Rule.WHOLE_EACH_TIME,
    symbols=Request("/v3/reference/tickers?market=crypto&active=true&limit=1000", 1),
    table=_table,
    more=_more,
    assumed=lambda canonical: VenueSymbol(canonical, _DECIMALS, True),
    exchanges={"coinbase": 1, "bitfinex": 2, "bitstamp": 6, "binance": 10, "kraken": 23},
    has_best=True,
    needs_key=True,
)
