"""Merging, and what a merged book is sent as: against a few obvious lines, and Google's decoder."""

from __future__ import annotations

import random
from itertools import count
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st
from wire import Levels, binance_difference, binance_snapshot, binance_whole, frames

from trade_balancer.books.books import Books, Form, Rule
from trade_balancer.books.summary import Decimals, Level, State, Summary

DECIMALS = Decimals(2, 8)


class Venues:
    """Venues that each send whole books of one symbol."""

    def __init__(self, *names: str, depth: int = 10, symbol: str = "BTC-USDT", decimals: Decimals = DECIMALS) -> None:
        self.books = Books(depth=depth)
        self.symbol = self.books.add_symbol(symbol, decimals)
        self.ids = count(1)
        self.numbers = {}
        for name in names:
            self.numbers[name] = number = self.books.add_venue(name, Form.BINANCE)
            self.books.open_book(number, self.symbol, b"btcusdt", Rule.WHOLE_EACH_TIME, DECIMALS)

    def send(self, name: str, bids: Levels, asks: Levels) -> list[int]:
        message = binance_whole(next(self.ids), bids, asks)
        return self.books.take(self.numbers[name], frames([message]), 1_000 + next(self.ids)).changed

    def merge(self) -> Summary | None:
        return self.books.merge(self.symbol, next(self.ids))

    def now(self) -> Summary:
        summary = self.merge()
        assert summary
        return summary


def obvious(books: dict[str, Levels], *, are_bids: bool, depth: int) -> list[Level]:
    levels = [Level(venue, price, size) for venue, levels in books.items() for price, size in levels]
    return sorted(levels, key=lambda level: (-level.price if are_bids else level.price, -level.size, level.venue))[
        :depth
    ]


def side(of: random.Random, *, are_bids: bool, most: int) -> list[tuple[int, int]]:
    """Prices and sizes of few values, so that they are equal often."""
    prices = of.sample(range(1, 40) if are_bids else range(41, 80), of.randint(0, most))
    return [(price, of.randint(1, 3)) for price in sorted(prices, reverse=are_bids)]


@given(st.integers(0, 2**32), st.integers(1, 16), st.integers(1, 20))
def test_a_merge_is_that_of_a_few_obvious_lines(seed: int, venues: int, depth: int) -> None:
    of = random.Random(seed)
    names = [f"{of.choice('abc')}{number}" for number in range(venues)]
    market = Venues(*names, depth=depth)
    shown: dict[str, tuple[Levels, Levels]] = {}
    for _ in range(10):
        name = of.choice(names)
        shown[name] = side(of, are_bids=True, most=15), side(of, are_bids=False, most=15)
        changed = market.send(name, *shown[name])
        summary = market.merge()
        assert summary is None or changed == [market.symbol]
        if summary:
            assert summary.bids == obvious({n: book[0] for n, book in shown.items()}, are_bids=True, depth=depth)
            assert summary.asks == obvious({n: book[1] for n, book in shown.items()}, are_bids=False, depth=depth)
        assert market.merge() is None


def test_spread_and_crossing_between_venues_are_told_as_they_are() -> None:
    market = Venues("binance", "bitstamp")
    market.send("binance", [(99, 1)], [(101, 1)])
    summary = market.now()
    assert (summary.spread, summary.crossing) == (2, "")
    market.send("bitstamp", [(101, 1)], [(103, 1)])
    summary = market.now()
    assert (summary.spread, summary.crossing) == (0, "locked")
    market.send("bitstamp", [(102, 1)], [(103, 1)])
    summary = market.now()
    assert (summary.spread, summary.crossing) == (-1, "crossed")
    assert summary.bids[0] == Level("bitstamp", 102, 1)
    market.send("binance", [(99, 1)], [])
    market.send("bitstamp", [(102, 1)], [])
    summary = market.now()
    assert (summary.spread, summary.crossing, summary.asks) == (None, "", [])


def test_another_venue_at_the_same_price_and_size_is_a_change() -> None:
    market = Venues("binance", "bitstamp")
    market.send("binance", [(99, 1)], [])
    market.send("bitstamp", [], [])
    assert market.now().bids == [Level("binance", 99, 1)]
    market.send("binance", [], [])
    market.send("bitstamp", [(99, 1)], [])
    assert market.now().bids == [Level("bitstamp", 99, 1)]


def test_a_change_behind_what_is_merged_is_none() -> None:
    market = Venues("binance", depth=2)
    market.send("binance", [(99, 1), (98, 1), (97, 1)], [])
    market.now()
    assert market.send("binance", [(99, 1), (98, 1), (97, 2), (96, 1)], []) == []
    assert market.merge() is None
    assert market.send("binance", [(99, 1), (98, 3)], []) == [market.symbol]
    assert market.now().bids[1].size == 3


def test_a_difference_is_a_change_down_to_the_last_level_that_is_merged_and_no_further() -> None:
    market = Venues(depth=2)
    books = market.books
    venue = books.add_venue("binance", Form.BINANCE)
    books.open_book(venue, market.symbol, b"btcusdt", Rule.IDS, DECIMALS)
    books.snapshot(venue, market.symbol, binance_snapshot(10, [(99, 1), (98, 1), (97, 1)], []), 1)

    def changed(last_id: int, bids: Levels) -> list[int]:
        return books.take(venue, frames([binance_difference(last_id, last_id, bids, [])]), 1).changed

    assert changed(11, [(97, 2), (96, 1)]) == []
    assert changed(12, [(98, 2)]) == [market.symbol]
    assert changed(13, [(98, 2), (97, 0)]) == []
    assert changed(14, [(98, 0)]) == [market.symbol]
    assert [level.price for level in market.now().bids] == [99, 96]


def test_each_message_finds_its_book_however_many_others_were_closed() -> None:
    books = Books()
    venue = books.add_venue("binance", Form.BINANCE)
    names = [f"s{number}usdt" for number in range(300)]
    symbols = {name: books.add_symbol(name, DECIMALS) for name in names}
    for name, symbol in symbols.items():
        books.open_book(venue, symbol, name.encode(), Rule.WHOLE_EACH_TIME, DECIMALS)
    random.Random(1).shuffle(names)
    for number, name in enumerate(names):
        books.close_book(venue, symbols[name])
        left = names[number + 1 :: 7]
        told = frames(binance_whole(2 * number + 1, [(1 + number % 2, 1)], [], name) for name in left)
        assert books.take(venue, told, 1).changed == [symbols[name] for name in left]


def test_a_venue_leaves_the_merge_at_once_and_comes_back() -> None:
    market = Venues("binance", "bitstamp")
    market.send("binance", [(99, 1)], [(101, 1)])
    market.send("bitstamp", [(98, 1)], [(102, 1)])
    market.now()
    books, bitstamp = market.books, market.numbers["bitstamp"]
    assert books.set_state(bitstamp, market.symbol, State.STALE)
    summary = market.now()
    assert summary.bids == [Level("binance", 99, 1)]
    assert [(venue.name, venue.state) for venue in summary.venues] == [("binance", "live"), ("bitstamp", "stale")]
    books.set_state(market.numbers["binance"], market.symbol, State.DOWN)
    summary = market.now()
    assert (summary.bids, summary.asks, summary.spread) == ([], [], None)
    books.set_state(bitstamp, market.symbol, State.LIVE)
    assert market.now().bids == [Level("bitstamp", 98, 1)]
    books.reset(bitstamp, market.symbol)
    summary = market.now()
    assert (summary.bids, [venue.state for venue in summary.venues]) == ([], ["down", "syncing"])


def test_a_symbol_without_books_is_empty_and_said_once() -> None:
    market = Venues()
    summary = market.now()
    assert (summary.symbol, summary.bids, summary.asks, summary.venues) == ("BTC-USDT", [], [], [])
    assert market.merge() is None


def test_books_that_are_closed_leave_the_merge_and_symbols_that_are_removed_leave_nothing() -> None:
    market = Venues("binance")
    market.send("binance", [(99, 1)], [])
    market.now()
    market.books.close_book(market.numbers["binance"], market.symbol)
    assert market.now().venues == []
    assert market.send("binance", [(99, 1)], []) == []
    before = market.books.memory_bytes
    for _ in range(3):
        symbols = [market.books.add_symbol(f"S{number}-USD", DECIMALS) for number in range(100)]
        for symbol in symbols:
            market.books.open_book(0, symbol, b"s%d" % symbol, Rule.IDS, DECIMALS)
        for symbol in symbols:
            market.books.remove_symbol(symbol)
    assert max(symbols) == 100, "numbers are used again"
    assert market.books.memory_bytes - before < 100_000


FIELDS = {"double": 1, "int64": 3, "uint64": 4, "string": 9, "message": 11, "uint32": 13, "enum": 14, "sint64": 18}


def message_class(package: str, fields: dict[str, list[tuple[str, str, bool]]]) -> Any:
    """Google's class of `package.Summary`; fields are of a name, a type, and one or several; from 1 on."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for name, described in fields.items():
        message = file.message_type.add(name=name)
        for number, (field, type_, is_repeated) in enumerate(described, 1):
            added = message.field.add(name=field, number=number, type=FIELDS.get(type_, 11))
            added.label = 3 if is_repeated else 1
            if type_ not in FIELDS:
                added.type_name = f".{package}.{type_}"
            if field == "spread" and type_ == "sint64":
                added.proto3_optional = True
                added.oneof_index = 0
                message.oneof_decl.add(name="_spread")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.Summary"))


V1: Any = message_class(
    "tradebalancer.books.v1",
    {
        "Level": [("venue", "uint32", False), ("price", "sint64", False), ("size", "sint64", False)],
        "Venue": [
            ("name", "string", False),
            ("state", "uint32", False),
            ("time_ns", "int64", False),
            ("received_ns", "int64", False),
        ],
        "Summary": [
            ("symbol", "string", False),
            ("sequence", "uint64", False),
            ("received_ns", "int64", False),
            ("price_decimals", "uint32", False),
            ("size_decimals", "uint32", False),
            ("bids", "Level", True),
            ("asks", "Level", True),
            ("spread", "sint64", False),
            ("crossing", "uint32", False),
            ("venues", "Venue", True),
        ],
    },
)
ORDERBOOK: Any = message_class(
    "orderbook",
    {
        "Level": [("exchange", "string", False), ("price", "double", False), ("amount", "double", False)],
        "Summary": [("spread", "double", False), ("bids", "Level", True), ("asks", "Level", True)],
    },
)
LARGEST = 2**63 - 1
ONE_SIDE = st.lists(
    st.tuples(st.integers(1, LARGEST), st.integers(1, LARGEST)), max_size=12, unique_by=lambda level: level[0]
)


@given(ONE_SIDE, ONE_SIDE, st.integers(0, 2), st.integers(1, 12))
def test_the_bytes_are_what_google_s_decoder_reads_as_the_same(
    bids: list[tuple[int, int]], asks: list[tuple[int, int]], more_decimals: int, depth: int
) -> None:
    """With asks at one venue and bids at the other any of them may be crossed."""
    decimals = Decimals(2 + more_decimals, 8 + more_decimals)
    largest = LARGEST // 10**more_decimals
    bids, asks = ([level for level in levels if max(level) <= largest] for levels in (bids, asks))
    market = Venues("one", "another", symbol="币-USDT", decimals=decimals)
    market.send("one", sorted(bids, reverse=True), [])
    market.send("another", [], sorted(asks))
    summary = market.now()
    read = V1.FromString(summary.v1(depth))
    names = [venue.name for venue in read.venues]
    assert [Level(names[level.venue], level.price, level.size) for level in read.bids] == summary.bids[:depth]
    assert [Level(names[level.venue], level.price, level.size) for level in read.asks] == summary.asks[:depth]
    assert (read.symbol, read.sequence, read.received_ns) == ("币-USDT", summary.sequence, summary.received_ns)
    assert Decimals(read.price_decimals, read.size_decimals) == decimals
    assert (read.spread if read.HasField("spread") else None) == summary.spread
    assert ["", "locked", "crossed"][read.crossing] == summary.crossing
    states = [(v.name, State(v.state).name.lower(), v.time_ns, v.received_ns) for v in read.venues]
    assert states == summary.venues
    assert read.SerializeToString(deterministic=True) == summary.v1(depth), "nothing that a decoder would leave out"
    old = ORDERBOOK.FromString(summary.orderbook(depth))
    for levels, ours in ((old.bids, summary.bids), (old.asks, summary.asks)):
        assert [(level.exchange, level.price, level.amount) for level in levels] == [
            (level.venue, level.price / 10**decimals.price, level.size / 10**decimals.size) for level in ours[:depth]
        ]
    assert old.spread == (summary.spread or 0) / 10**decimals.price


def test_an_encoding_is_made_once() -> None:
    market = Venues("binance")
    market.send("binance", [(99, 1), (98, 1)], [(101, 1)])
    summary = market.now()
    assert summary.v1(5) is summary.v1(5)
    assert summary.v1(10) is summary.v1(100), "there are not more"
    assert summary.orderbook() is summary.orderbook()
    assert len(V1.FromString(summary.v1(1)).bids) == 1
    assert len(V1.FromString(summary.v1(0)).bids) == 0


def test_a_summary_is_what_it_was_when_the_books_go_on() -> None:
    market = Venues("binance")
    market.send("binance", [(99, 1)], [])
    before = market.now()
    market.send("binance", [(98, 2)], [])
    after = market.now()
    del market
    assert (before.bids, after.bids) == ([Level("binance", 99, 1)], [Level("binance", 98, 2)])
    assert len(ORDERBOOK.FromString(before.orderbook()).bids) == 1


@pytest.mark.parametrize("name", ["", "x" * 64, "a\0b"])
def test_names_that_do_not_fit_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a symbol"):
        Books().add_symbol(name, DECIMALS)
