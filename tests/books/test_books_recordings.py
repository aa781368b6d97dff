"""Recordings of venues, level by level against dictionaries, and against what the venues say of their books themselves.

The recordings are of real markets and no part of the project: without them nothing is tested here.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from recorded import Book, Texts, apply, book_of, in_order, lines, received, scaled
from wire import frames

from trade_balancer.books.books import Books, Form, Rule, Side
from trade_balancer.books.summary import Decimals

DECIMALS = Decimals(8, 8)
ALL = 10_000


class OneVenue:
    def __init__(self, form: Form) -> None:
        self.books = Books(levels_max=ALL)
        self.venue = self.books.add_venue(form.name.lower(), form)

    def open(self, name: str, rule: Rule, decimals: Decimals = DECIMALS, depth: int = 0) -> int:
        symbol = self.books.add_symbol(name, DECIMALS)
        self.books.open_book(self.venue, symbol, name.encode(), rule, decimals, depth)
        return symbol

    def take(self, text: str) -> None:
        assert self.books.take(self.venue, frames([text.encode()]), 1).faults == []

    def snapshot(self, symbol: int, text: str) -> None:
        assert self.books.snapshot(self.venue, symbol, text.encode(), 1).faults == []

    def assert_is(self, symbol: int, book: Book) -> None:
        assert self.books.book(self.venue, symbol).is_synced
        for side in Side:
            assert self.books.levels(self.venue, symbol, side, ALL) == in_order(book, side)


def test_binance_level_by_level_and_by_its_own_best_prices(data: Path) -> None:
    """Behind every difference, the best are what bookTicker said last with an id up to the difference's."""
    binance = OneVenue(Form.BINANCE)
    symbol = binance.open("btcusdt", Rule.IDS)
    recorded = [line.partition(" ")[2] for line in lines(data / "venues" / "binance_spot_btcusdt_20240808.txt.zst")]
    messages = [json.loads(text) for text in recorded]
    (snapshot,) = (message for message in messages if "lastUpdateId" in message)
    book = book_of(snapshot["bids"], snapshot["asks"])
    tickers: list[dict[str, Any]] = []
    compared = 0
    for text, message in zip(recorded, messages, strict=True):
        if message is snapshot:
            binance.snapshot(symbol, text)
        elif message["stream"] == "btcusdt@bookTicker":
            tickers.append(message["data"])  # what is compared with is not taken
        elif message["stream"] == "btcusdt@depth@100ms":
            binance.take(text)
            told = message["data"]
            if told["u"] <= snapshot["lastUpdateId"]:
                continue
            apply(book, told["b"], told["a"])
            if not binance.books.book(binance.venue, symbol).is_synced:
                continue  # before the snapshot came
            best = [binance.books.levels(binance.venue, symbol, side, 1)[0] for side in Side]
            bid, ask = max(book[Side.BID]), min(book[Side.ASK])
            assert best == [(bid, book[Side.BID][bid]), (ask, book[Side.ASK][ask])]
            known = [ticker for ticker in tickers if ticker["u"] <= told["u"]]
            if known:
                said = known[-1]
                assert best == [(scaled(said["b"]), scaled(said["B"])), (scaled(said["a"]), scaled(said["A"]))]
                compared += 1
                tickers = tickers[tickers.index(said) :]
            if compared % 200 == 0:
                binance.assert_is(symbol, book)
    binance.assert_is(symbol, book)
    assert compared >= 890


def test_four_quiet_symbols_of_binance_on_one_stream(data: Path) -> None:
    binance = OneVenue(Form.BINANCE)
    snapshots = {}
    for line in lines(data / "venues" / "binance_20211012.http.zst"):
        match = re.match(r"https://\S*symbol=(\w+)\S* -> [\d.]+: (.*)", line)
        if match:
            snapshots[match[1].lower()] = match[2]
    symbols = {name: binance.open(name, Rule.IDS) for name in snapshots}
    texts = [text for text in received(data / "venues" / "binance_20211012.ws.zst") if "@depth" in text]
    for text in texts:
        binance.take(text)
    for name, body in snapshots.items():
        binance.snapshot(symbols[name], body)
        snapshot = json.loads(body)
        book = book_of(snapshot["bids"], snapshot["asks"])
        for message in map(json.loads, texts):
            if message["stream"].startswith(f"{name}@") and message["data"]["u"] > snapshot["lastUpdateId"]:
                apply(book, message["data"]["b"], message["data"]["a"])
        binance.assert_is(symbols[name], book)
    assert len(symbols) == 4


def test_bitstamp_s_differences_of_many_pairs(data: Path) -> None:
    bitstamp = OneVenue(Form.BITSTAMP)
    snapshots = {}
    for line in lines(data / "venues" / "bitstamp_diff_20220105.http.zst"):
        match = re.match(r"https://\S*/order_book/(\w+)\S* -> [\d.]+: (.*)", line)
        if match:
            snapshots[match[1]] = match[2]
    symbols = {name: bitstamp.open(name, Rule.TIMES) for name in snapshots}
    texts = [text for text in received(data / "venues" / "bitstamp_diff_20220105.ws.zst") if '"event":"data"' in text]
    newest = {}
    for name, body in snapshots.items():
        snapshot = json.loads(body)
        bitstamp.books.snapshot(bitstamp.venue, symbols[name], body.encode(), 1)
        newest[name] = int(snapshot["microtimestamp"]), book_of(snapshot["bids"], snapshot["asks"])
    applied = 0
    for text in texts:
        bitstamp.take(text)
        message = json.loads(text)
        name = message["channel"].rpartition("_")[2]
        time_us, book = newest[name]
        if int(message["data"]["microtimestamp"]) > time_us:
            apply(book, message["data"]["bids"], message["data"]["asks"])
            applied += 1
    for name, symbol in symbols.items():
        book = newest[name][1]
        book[Side.BID].pop(0, None)
        bitstamp.assert_is(symbol, book)
    assert applied >= 600


def test_kraken_s_own_checksums(data: Path) -> None:
    """Recorded in version 1 of its messages, and told in version 2: texts, book and checksum are the same."""
    kraken = OneVenue(Form.KRAKEN)
    symbol = kraken.open("SC/EUR", Rule.CHECKSUM, Decimals(6, 8), depth=1000)
    book: Book = {}
    checked = 0

    def side(levels: Texts) -> str:
        return ",".join(f'{{"price":{price},"qty":{size}}}' for price, size, *_ in levels)

    for text in received(data / "venues" / "kraken_v1_book_20210417.ws.zst"):
        message = json.loads(text)
        if not isinstance(message, list):
            continue
        parts = {key: value for part in message[1:-2] for key, value in part.items()}
        is_snapshot = "as" in parts
        bids, asks = (parts[key + "s"] if is_snapshot else parts.get(key, []) for key in "ba")
        checksum = f',"checksum":{parts["c"]}' if "c" in parts else ""
        kraken.take(
            f'{{"channel":"book","type":"{"snapshot" if is_snapshot else "update"}","data":[{{"symbol":"SC/EUR",'
            f'"bids":[{side(bids)}],"asks":[{side(asks)}]{checksum}}}]}}'
        )
        if is_snapshot:
            book = book_of(bids, asks)
        else:
            apply(book, bids, asks)
            checked += 1
    assert checked == 399
    for which in Side:
        known = kraken.books.levels(kraken.venue, symbol, which, 500)
        assert known == in_order(book, which)[:500]


def test_polygon_s_exchanges_each_by_the_last_quote_of_its_own(data: Path) -> None:
    path = data / "polygon_xq_20230726.jsonl.zst"
    texts = [text for line in lines(path) for text in re.findall(r"\{[^{}]*\}", line)]
    quotes = [(text, json.loads(text, parse_float=str, parse_int=str)) for text in texts if '"XQ"' in text]
    books = Books()
    stream = books.add_venue("polygon", Form.POLYGON)
    exchanges = {x: books.add_venue(f"exchange {x}", Form.POLYGON, stream) for x in {quote["x"] for _, quote in quotes}}
    symbols = {pair: books.add_symbol(pair, DECIMALS) for pair in {quote["pair"] for _, quote in quotes}}
    for pair, symbol in symbols.items():
        for x, venue in exchanges.items():
            books.open_book(venue, symbol, pair.encode(), Rule.WHOLE_EACH_TIME, DECIMALS, 10, int(x))
    for text, quote in quotes:
        assert books.take(stream, frames([text.encode()]), 1).faults == []
        venue, symbol = exchanges[quote["x"]], symbols[quote["pair"]]
        best = [(scaled(quote[p]), scaled(quote[s])) for p, s in (("bp", "bs"), ("ap", "as"))]
        assert [books.levels(venue, symbol, side, 1) for side in Side] == [[level] for level in best]
    assert len(exchanges) == 4
