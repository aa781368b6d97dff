"""Recordings of real venues through lb-replay, lb and lb-books to a gRPC client: each summary, level by level, is the
book that a dictionary has at the venue's time in it.

The recordings are of real markets and no part of the project: without them nothing is tested here. They are played
PACE times as fast as they were recorded.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from heapq import nlargest, nsmallest
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from harness import replay
from harness.replay import Replay
from recorded import Book, apply, book_of, lines, scaled
from steered import lb_books, levels, states

from trade_balancer.books.books import Side

pytestmark = pytest.mark.slow

PACE = 20
MESSAGES = 4_000
"""Of Binance: the first 40 s; test_books_recordings has all of them."""
DEPTH = 100
"""Of what is compared: all that lb-books merges, and all that Bitstamp sends."""


class Moment(NamedTuple):
    """The venue's time, and the best levels of bids and asks then."""

    time_ns: int
    best: list[list[tuple[int, int]]]

    @classmethod
    def of(cls, time_ns: int, book: Book) -> Moment:
        bids, asks = (book[side].items() for side in Side)
        return cls(time_ns, [nlargest(DEPTH, bids), nsmallest(DEPTH, asks)])


def write_tape(path: Path, messages: list[tuple[int, str]]) -> Path:
    """Times are ns since 1970."""
    begin_ns = messages[0][0]
    path.write_text("".join(f"{begin_ns + (at_ns - begin_ns) // PACE} {text}\n" for at_ns, text in messages))
    return path


class Binance:
    """Differences, behind the snapshot that was recorded with them; and what bookTicker said, to be compared with."""

    def __init__(self, file: Path) -> None:
        pairs = [line.rstrip("\n").partition(" ") for line in lines(file)[:MESSAGES]]
        self._recorded = [(int(at_ns), text, json.loads(text)) for at_ns, _, text in pairs]
        (self._snapshot,) = (message for _, _, message in self._recorded if "lastUpdateId" in message)

    def tape(self, path: Path) -> Path:
        return write_tape(path, [(at_ns, text) for at_ns, text, _ in self._recorded])

    def moments(self) -> Iterator[Moment]:
        book = book_of(self._snapshot["bids"], self._snapshot["asks"])
        for told in self._told("btcusdt@depth@100ms"):
            if told["u"] > self._snapshot["lastUpdateId"]:
                apply(book, told["b"], told["a"])
                yield Moment.of(told["E"] * 1_000_000, book)

    def best(self) -> dict[int, list[tuple[int, int]]]:
        """By the time of a difference: best bid and ask as the venue itself has told them up to then."""
        tickers, found, said = self._told("btcusdt@bookTicker"), {}, 0
        for told in self._told("btcusdt@depth@100ms"):
            while said + 1 < len(tickers) and tickers[said + 1]["u"] <= told["u"]:
                said += 1
            if tickers[said]["u"] <= told["u"]:
                one = tickers[said]
                found[told["E"] * 1_000_000] = [(scaled(one[key]), scaled(one[key.upper()])) for key in "ba"]
        return found

    def _told(self, stream: str) -> list[dict[str, Any]]:
        return [message["data"] for _, _, message in self._recorded if message.get("stream") == stream]


class Bitstamp:
    """Whole books of 100 levels a side, made of snapshots and differences; the venue sends such,
    and no series of them was recorded."""

    def __init__(self, folder: Path) -> None:
        self.table = folder / "bitstamp_trading_pairs_20220105.http.zst"
        self._snapshots = {}
        for line in lines(folder / "bitstamp_diff_20220105.http.zst"):
            if match := re.match(r"https://\S*/order_book/(\w+)\S* -> [\d.]+: (.*)", line):
                self._snapshots[match[1]] = json.loads(match[2])
        self._differences: dict[str, list[tuple[int, dict[str, Any]]]] = {name: [] for name in self._snapshots}
        for line in lines(folder / "bitstamp_diff_20220105.ws.zst"):
            if match := re.match(r"([\d.]+): (.*\"channel\":\"diff_order_book_(\w+)\".*\"event\":\"data\".*)", line):
                at_ns, told = int(Decimal(match[1]) * 10**9), json.loads(match[2])["data"]
                if int(told["microtimestamp"]) > int(self._snapshots[match[3]]["microtimestamp"]):
                    self._differences[match[3]].append((at_ns, told))
        self.pairs = {f"{name[:-3]}-{name[-3:]}".upper(): name for name, told in self._differences.items() if told}
        """By symbol; all of them have a quote of three letters."""
        self.moments = {name: [*self._moments(name)] for name in self.pairs.values()}

    def tape(self, path: Path) -> Path:
        messages = []
        for name in self.pairs.values():
            for (at_ns, told), moment in zip(self._differences[name], self.moments[name], strict=True):
                data = {key: told[key] for key in ("timestamp", "microtimestamp")}
                for word, best in zip(("bids", "asks"), moment.best, strict=True):
                    data[word] = [[f"{Decimal(number).scaleb(-8):f}" for number in level] for level in best]
                said = {"data": data, "channel": f"order_book_{name}", "event": "data"}
                messages.append((at_ns, json.dumps(said, separators=(",", ":"))))
        return write_tape(path, sorted(messages, key=lambda message: message[0]))

    def _moments(self, name: str) -> Iterator[Moment]:
        book = book_of(self._snapshots[name]["bids"], self._snapshots[name]["asks"])
        book[Side.BID].pop(0, None)  # a price of 0 is none
        for _, told in self._differences[name]:
            apply(book, told["bids"], told["asks"])
            yield Moment.of(int(told["microtimestamp"]) * 1000, book)


def side_of(summary: Any, side: Side) -> list[tuple[int, int]]:
    """With 8 decimals."""
    price_scale, size_scale = 10 ** (8 - summary.price_decimals), 10 ** (8 - summary.size_decimals)
    of_side = levels(summary, "bids" if side is Side.BID else "asks")
    return [(price * price_scale, size * size_scale) for _, price, size in of_side]


def played_by(venue: str, replayed: Replay) -> list[str]:
    return ["--venue", f"{venue}={replayed.url}", "--rest", f"{venue}={replayed.rest_url}"]


class Follower:
    """Compares the summaries of one symbol, as they come, with a venue's moments."""

    def __init__(self, venue: str, moments: list[Moment]) -> None:
        self._venue = venue
        self._moments = iter(moments)
        self._moment = Moment(0, [])
        self._last_change_ns = next(
            after.time_ns for before, after in reversed([*pairwise(moments)]) if before.best != after.best
        )
        self.is_at_end = False
        self.compared: list[Moment] = []

    def take(self, summary: Any) -> None:
        (venue,) = (venue for venue in summary.venues if venue.name == self._venue)
        if states(summary)[self._venue] != "live" or not venue.time_ns:
            return  # not in step yet, or just a snapshot, which has no time
        while self._moment.time_ns != venue.time_ns:
            self._moment = next(self._moments)
        assert [side_of(summary, side) for side in Side] == self._moment.best, (summary.symbol, venue.time_ns)
        self.compared.append(self._moment)
        self.is_at_end = venue.time_ns >= self._last_change_ns


def test_each_summary_is_the_book_of_its_moment(data: Path, tmp_path: Path) -> None:
    binance = Binance(data / "venues" / "binance_spot_btcusdt_20240808.txt.zst")
    bitstamp = Bitstamp(data / "venues")
    followers = {name: Follower("bitstamp", bitstamp.moments[pair]) for name, pair in bitstamp.pairs.items()}
    followers["BTC-USDT"] = Follower("binance", [*binance.moments()])

    async def scene(*options: str) -> None:
        async with (
            lb_books(*options, "--full", "--depth", str(DEPTH)) as program,
            program.watching(*followers, depth=DEPTH) as client,
        ):
            while not all(follower.is_at_end for follower in followers.values()):
                summary = await client.next()
                followers[summary.symbol].take(summary)

    tape = bitstamp.tape(tmp_path / "bitstamp.txt")
    with (
        replay("--feed", "binance", str(binance.tape(tmp_path / "binance.txt"))) as one,
        replay("--feed", "bitstamp", str(tape), str(bitstamp.table)) as other,
    ):
        asyncio.run(scene(*played_by("binance", one), *played_by("bitstamp", other)))
    best = binance.best()
    for moment in followers["BTC-USDT"].compared:
        assert [side[0] for side in moment.best] == best[moment.time_ns]
