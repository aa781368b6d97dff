"""Depth messages in, merged summaries out, one core: ours, orjson with sorted lists, and cryptofeed's books.

Behind each message all of them know the best ten of both venues, and have encoded them for a client. CPU time of this
process. At the end all must have the same ten.
"""

import itertools
import struct
import time
from bisect import bisect_left, insort
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from typing import Any

import orjson

from harness.books import row
from harness.books.market import PRICE_DECIMALS, SIZE_DECIMALS, SNAPSHOT_ID, Market, market
from harness.errors import TrialError
from harness.rows import Absent, Terms

TO_PYTHON = "depth messages in, merged summaries out, to orjson and sorted lists in Python"
TO_CRYPTOFEED = "... to cryptofeed's books"
RATE = "... per second and core"
MEMORY = "memory of 500 symbols x 4 venues x 5,000 levels a side"

_TOP = 10
_MESSAGES, _QUICK_MESSAGES = 20_000, 200
_SYMBOLS, _VENUES, _LEVELS = 500, 4, 5_000
_LENGTH = struct.Struct("<I")
_MIB = 1 << 20

Top = list[tuple[str, int, int]]
"""The best bids and asks: venue, price, size, scaled."""


def _books() -> Any:
    from trade_balancer.books import books

    return books


def ours(of: Market) -> tuple[float, Top]:
    """Messages per second, and the top at the end."""
    books = _books()
    decimals = books.Decimals(PRICE_DECIMALS, SIZE_DECIMALS)
    kept = books.Books(depth=_TOP)
    symbol = kept.add_symbol("BTC-USDT", decimals)
    venues = [kept.add_venue("binance", books.Form.BINANCE), kept.add_venue("bitstamp", books.Form.BITSTAMP)]
    kept.open_book(venues[0], symbol, b"btcusdt", books.Rule.IDS, decimals)
    kept.open_book(venues[1], symbol, b"btcusdt", books.Rule.WHOLE_EACH_TIME, decimals, depth=_TOP)
    kept.snapshot(venues[0], symbol, of.snapshot, 1)
    framed = [_LENGTH.pack(len(text)) + text for text in of.messages]
    summary = None
    begin_s = time.process_time()
    for at, frame in enumerate(framed):
        taken = kept.take(venues[at & 1], frame, at + 1)
        if taken.faults:
            raise TrialError(f"message {at}: {taken.faults}")
        merged = kept.merge(symbol, at + 1)
        if merged is not None:
            summary = merged
            merged.v1(_TOP)
    spent_s = time.process_time() - begin_s
    if summary is None:
        raise TrialError("nothing was merged")
    return len(framed) / spent_s, [*map(tuple, (*summary.bids, *summary.asks))]


class _Lists:
    """A venue's side: prices in order (bids by their negative), and the size of each."""

    def __init__(self, way: int) -> None:
        self._way = way
        self._prices: list[float] = []
        self._sizes: dict[float, float] = {}

    def set(self, levels: list[list[str]]) -> None:
        for price_text, size_text in levels:
            price, size = self._way * float(price_text), float(size_text)
            if size == 0:
                if self._sizes.pop(price, None) is not None:
                    del self._prices[bisect_left(self._prices, price)]
            else:
                if price not in self._sizes:
                    insort(self._prices, price)
                self._sizes[price] = size

    def top(self, venue: str) -> list[tuple[float, float, str]]:
        return [(price, -self._sizes[price], venue) for price in self._prices[:_TOP]]


def in_python(of: Market) -> tuple[float, Top]:
    """The same by orjson, floats, and lists that are kept sorted."""
    encode = _encoder()
    first = [_Lists(way) for way in (-1, 1)]
    for side, levels in zip(first, itemgetter("bids", "asks")(orjson.loads(of.snapshot)), strict=True):
        side.set(levels)
    second: list[list[tuple[float, float, str]]] = [[], []]
    tops: list[list[tuple[float, float, str]]] = [[], []]
    begin_s = time.process_time()
    for at, text in enumerate(of.messages):
        data = orjson.loads(text)["data"]
        if at % 2 == 0:
            first[0].set(data["b"])
            first[1].set(data["a"])
        else:
            second = [
                [(way * float(price), -float(size), "bitstamp") for price, size in data[name][:_TOP]]
                for way, name in ((-1, "bids"), (1, "asks"))
            ]
        tops = [sorted(first[side].top("binance") + second[side])[:_TOP] for side in (0, 1)]
        encode(tops)
    return len(of.messages) / (time.process_time() - begin_s), _scaled(tops)


def in_cryptofeed(of: Market) -> tuple[float, Top]:
    """The same by cryptofeed's books, filled as its feeds of these venues do (exchanges/binance.py, bitstamp.py), and
    its decoder of JSON."""
    try:
        from order_book import OrderBook
        from yapic import json
    except ImportError:
        raise Absent("cryptofeed is not installed: pip install cryptofeed") from None
    encode = _encoder()
    first, second = OrderBook(), OrderBook()
    snapshot = json.loads(of.snapshot, parse_float=Decimal)
    first.bids = {Decimal(price): Decimal(size) for price, size in snapshot["bids"]}
    first.asks = {Decimal(price): Decimal(size) for price, size in snapshot["asks"]}
    tops: list[list[Any]] = [[], []]
    begin_s = time.process_time()
    for at, text in enumerate(of.messages):
        data = json.loads(text, parse_float=Decimal)["data"]
        if at % 2 == 0:
            for side, name in ((first.bids, "b"), (first.asks, "a")):
                for price_text, size_text in data[name]:
                    price, size = Decimal(price_text), Decimal(size_text)
                    if size == 0:
                        if price in side:
                            del side[price]
                    else:
                        side[price] = size
        else:
            second.bids = {Decimal(price): Decimal(size) for price, size in data["bids"]}
            second.asks = {Decimal(price): Decimal(size) for price, size in data["asks"]}
        tops = [
            sorted(_best(first, side, "binance", way) + _best(second, side, "bitstamp", way))[:_TOP]
            for side, way in (("bids", -1), ("asks", 1))
        ]
        encode(tops)
    return len(of.messages) / (time.process_time() - begin_s), _scaled(tops)


def _best(book: Any, side: str, venue: str, way: int) -> list[Any]:
    levels = getattr(book, side)
    found = (levels.index(at) for at in range(min(_TOP, len(levels))))
    return [(way * price, -size, venue) for price, size in found]


def _encoder() -> Callable[[list[list[Any]]], bytes]:
    """Of the message that programs of this kind send."""
    from trade_balancer.books.service import protos

    def encode(tops: list[list[Any]]) -> bytes:
        summary = protos.OrderbookSummary(spread=float(tops[1][0][0] + tops[0][0][0]) if all(tops) else 0.0)
        for levels, side in zip((summary.bids, summary.asks), tops, strict=True):
            for price, size, venue in side:
                levels.add(exchange=venue, price=abs(float(price)), amount=-float(size))
        encoded: bytes = summary.SerializeToString()
        return encoded

    return encode


def _scaled(tops: list[list[Any]]) -> Top:
    return [
        (venue, round(abs(price) * 10**PRICE_DECIMALS), round(-size * 10**SIZE_DECIMALS))
        for price, size, venue in itertools.chain(*tops)
    ]


@lru_cache
def _rates(way: Callable[[Market], tuple[float, Top]], terms: Terms) -> list[tuple[float, float]]:
    """Ours and the other's, round by round."""
    of = market(_QUICK_MESSAGES if terms.quick else _MESSAGES)
    found = []
    for _ in range(terms.rounds):
        (rate, top), (other_rate, other_top) = ours(of), way(of)
        if top != other_top:
            raise TrialError(f"different books: {top[:3]}, {other_top[:3]}")
        found.append((rate, other_rate))
    return found


@row(TO_PYTHON)
def to_python(terms: Terms) -> list[float]:
    return [rate / other for rate, other in _rates(in_python, terms)]


@row(TO_CRYPTOFEED)
def to_cryptofeed(terms: Terms) -> list[float]:
    return [rate / other for rate, other in _rates(in_cryptofeed, terms)]


@row(RATE)
def rate_of_ours(terms: Terms) -> list[float]:
    """Thousand messages per second and core."""
    return [rate / 1e3 for rate, _ in _rates(in_python, terms)]


@row(MEMORY)
def memory(terms: Terms) -> list[float]:
    """MiB, as the books count them, with every level there."""
    books = _books()
    symbols = 5 if terms.quick else _SYMBOLS
    kept = books.Books(depth=_TOP, levels_max=_LEVELS)
    decimals = books.Decimals(PRICE_DECIMALS, SIZE_DECIMALS)
    venues = [kept.add_venue(f"venue{number}", books.Form.BINANCE) for number in range(_VENUES)]
    body = orjson.dumps(
        {
            "lastUpdateId": SNAPSHOT_ID,
            "bids": [[f"{(10**7 - at) / 100:.2f}", "1.00000000"] for at in range(_LEVELS)],
            "asks": [[f"{(10**7 + 1 + at) / 100:.2f}", "1.00000000"] for at in range(_LEVELS)],
        }
    )
    for number in range(symbols):
        symbol = kept.add_symbol(f"S{number}-USD", decimals)
        for venue in venues:
            kept.open_book(venue, symbol, b"s%dusd" % number, books.Rule.IDS, decimals)
            kept.snapshot(venue, symbol, body, 1)
            state = kept.book(venue, symbol)
            if (state.bid_levels, state.ask_levels) != (_LEVELS, _LEVELS):
                raise TrialError(f"a book of {state.bid_levels} + {state.ask_levels} levels")
    return [kept.memory_bytes / _MIB * _SYMBOLS / symbols]
