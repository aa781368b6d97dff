"""Watchers of a market that the test feeds by hand."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trade_balancer.books.market import ClosedError, Market, UnknownSymbolError, Watcher
from trade_balancer.books.near import MOST, Near

SYMBOLS = ["BTC-USD", "BTC-USDT", "ETH-BTC", "ETH-USD"]
T = TypeVar("T")


@dataclass(frozen=True)
class Made:
    symbol: str
    sequence: int


class Upstream:
    """What the market asks of the venues."""

    def __init__(self, symbols: list[str] = SYMBOLS, grace_s: float = 0.0) -> None:
        self.said: list[tuple[str, str]] = []
        self.market = Market(
            symbols, lambda symbol: self._say("+", symbol), lambda symbol: self._say("-", symbol), grace_s=grace_s
        )
        self.changed = asyncio.Event()

    def _say(self, what: str, symbol: str) -> None:
        self.said.append((what, symbol))
        self.changed.set()

    async def until(self, *said: tuple[str, str]) -> None:
        async with asyncio.timeout(10):
            while self.said != list(said):
                self.changed.clear()
                await self.changed.wait()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


async def has_nothing(watcher: Watcher) -> bool:
    """next() waits, and being cancelled takes nothing."""
    waiting = asyncio.ensure_future(watcher.next())
    await asyncio.sleep(0)
    waiting.cancel()
    return bool((await asyncio.gather(waiting, return_exceptions=True))[0].__class__ is asyncio.CancelledError)


def test_the_newest_takes_the_place_of_what_was_not_taken_and_is_counted() -> None:
    async def scene() -> None:
        market = Upstream().market
        with market.watch() as watcher:
            watcher.add("BTC-USD")
            for sequence in range(1, 6):
                market.offer(Made("BTC-USD", sequence))
            assert await watcher.next() == (Made("BTC-USD", 5), 4)
            assert await has_nothing(watcher)
            market.offer(Made("BTC-USD", 6))
            assert await watcher.next() == (Made("BTC-USD", 6), 0)
            assert market.skipped_total == 4

    run(scene())


def test_symbols_take_their_turn_however_often_one_changes() -> None:
    async def scene() -> None:
        market = Upstream().market
        with market.watch() as watcher:
            for symbol in ("BTC-USD", "ETH-USD", "ETH-BTC"):
                watcher.add(symbol)
            market.offer(Made("ETH-USD", 1))
            seen = []
            for sequence in range(1, 7):
                market.offer(Made("BTC-USD", sequence))
                market.offer(Made("ETH-BTC", sequence))
                seen.append((await watcher.next())[0].symbol)
            assert seen == ["ETH-USD", "BTC-USD", "ETH-BTC", "BTC-USD", "ETH-BTC", "BTC-USD"]

    run(scene())


def test_who_joins_has_the_newest_at_once() -> None:
    async def scene() -> None:
        market = Upstream().market
        with market.watch() as first, market.watch() as second:
            first.add("BTC-USD")
            market.offer(Made("BTC-USD", 7))
            second.add("BTC-USD", depth=3)
            assert await second.next() == (Made("BTC-USD", 7), 0)
            assert second.depth("BTC-USD") == 3
            second.add("BTC-USD", depth=5)
            assert await second.next() == (Made("BTC-USD", 7), 0), "another depth: what there is once more"

    run(scene())


def test_an_older_summary_is_passed_over() -> None:
    async def scene() -> None:
        market = Upstream().market
        with market.watch() as watcher:
            watcher.add("BTC-USD")
            for sequence in (3, 3, 2):
                market.offer(Made("BTC-USD", sequence))
            assert await watcher.next() == (Made("BTC-USD", 3), 0)
            assert await has_nothing(watcher)

    run(scene())


def test_two_watchers_are_one_subscription_and_the_last_one_ends_it() -> None:
    async def scene() -> None:
        upstream = Upstream()
        first, second = upstream.market.watch(), upstream.market.watch()
        first.add("BTC-USD")
        second.add("BTC-USD")
        first.close()
        await asyncio.sleep(0.001)
        assert upstream.said == [("+", "BTC-USD")]
        second.remove("BTC-USD")
        await upstream.until(("+", "BTC-USD"), ("-", "BTC-USD"))
        assert upstream.market.watched() == []
        second.add("BTC-USD")
        assert await has_nothing(second), "what was known before is old"
        second.close()

    run(scene())


def test_who_comes_back_within_the_grace_time_finds_the_symbol_subscribed() -> None:
    async def scene() -> None:
        upstream = Upstream(grace_s=60.0)
        with upstream.market.watch() as watcher:
            watcher.add("BTC-USD")
        upstream.market.offer(Made("BTC-USD", 1))
        with upstream.market.watch() as watcher:
            watcher.add("BTC-USD")
            assert await watcher.next() == (Made("BTC-USD", 1), 0)
            assert upstream.said == [("+", "BTC-USD")]

    run(scene())


def test_a_grace_time_that_was_called_off_ends_nothing() -> None:
    async def scene() -> None:
        upstream = Upstream()
        with upstream.market.watch() as watcher:
            watcher.add("BTC-USD")
            watcher.remove("BTC-USD")
            watcher.add("BTC-USD")
            with upstream.market.watch() as other:
                other.add("ETH-USD")
            await upstream.until(("+", "BTC-USD"), ("+", "ETH-USD"), ("-", "ETH-USD"))
            assert upstream.market.watchers("BTC-USD") == 1

    run(scene())


def test_a_watcher_that_is_closed_says_so_to_who_waits() -> None:
    async def scene() -> None:
        watcher = Upstream().market.watch()
        waiting = asyncio.ensure_future(watcher.next())
        await asyncio.sleep(0)
        watcher.close()
        watcher.close()
        with pytest.raises(ClosedError):
            await waiting
        with pytest.raises(ClosedError):
            watcher.add("BTC-USD")

    run(scene())


def test_a_hundred_symbols_added_and_removed_leave_nothing() -> None:
    async def scene() -> None:
        symbols = [f"S{number}-USD" for number in range(100)]
        upstream = Upstream(symbols)
        with upstream.market.watch() as watcher:
            for _ in range(3):
                for symbol in symbols:
                    watcher.add(symbol)
                    upstream.market.offer(Made(symbol, 1))
                for symbol in symbols:
                    watcher.remove(symbol)
                    watcher.remove(symbol)
            assert await has_nothing(watcher)
        await upstream.until(*[("+", symbol) for symbol in symbols], *[("-", symbol) for symbol in symbols])
        assert upstream.market.watched() == []

    run(scene())


def test_unknown_symbols_are_refused_before_anything_goes_out_and_leave_nothing() -> None:
    async def scene() -> None:
        upstream = Upstream()
        with upstream.market.watch() as watcher:
            with pytest.raises(UnknownSymbolError) as caught:
                watcher.add("BTCUSD")
            assert caught.value.near[0] == "BTC-USD"
            assert caught.value.symbol == "BTCUSD"
            gc.collect()
            tracemalloc.start()
            try:
                for number in range(300):
                    with pytest.raises(UnknownSymbolError):
                        watcher.add(f"NO{number}-USD" * 100)
                del caught
                gc.collect()
                kept_bytes, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert kept_bytes < 60_000
            assert watcher.symbols() == upstream.market.watched() == upstream.said == []

    run(scene())


def test_what_the_venues_have_may_change_while_it_runs() -> None:
    async def scene() -> None:
        market = Upstream().market
        with market.watch() as watcher:
            watcher.add("BTC-USD")
            market.know(["SOL-USD"])
            market.offer(Made("BTC-USD", 1))
            assert (await watcher.next())[0].symbol == "BTC-USD"
            watcher.add("SOL-USD")
            with pytest.raises(UnknownSymbolError):
                watcher.add("ETH-USD")
            assert market.symbols() == ["SOL-USD"]

    run(scene())


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "offer", "next"]), st.integers(0, 2), st.sampled_from(SYMBOLS)),
    max_size=60,
)


def test_of_a_symbol_that_is_kept_the_newest_is_there_for_whoever_comes() -> None:
    async def scene() -> None:
        upstream = Upstream()
        upstream.market.keep("BTC-USD")
        upstream.market.offer(Made("BTC-USD", 1))
        for turns in (1, 2):
            with upstream.market.watch() as watcher:
                watcher.add("BTC-USD")
                watcher.add("ETH-USD")  # is not kept: when it is forgotten, the other one would be, too
                assert await watcher.next() == (Made("BTC-USD", 1), 0)
            await upstream.until(("+", "BTC-USD"), *turns * [("+", "ETH-USD"), ("-", "ETH-USD")])
        upstream.market.keep("BTC-USD")
        assert upstream.market.watched() == ["BTC-USD"]
        with pytest.raises(UnknownSymbolError):
            upstream.market.keep("NOPE-USD")

    run(scene())


@given(STEPS)
@settings(max_examples=150, deadline=None)
def test_each_watcher_sees_each_symbol_rising_and_the_last_and_counts_the_rest(
    steps: list[tuple[str, int, str]],
) -> None:
    async def scene() -> None:
        market = Upstream(grace_s=60.0).market
        watchers = [market.watch() for _ in range(3)]
        sequences: Counter[str] = Counter()
        last: dict[tuple[int, str], int] = {}
        """Of those added: the sequence that the watcher has taken last, or that it may not need to see."""

        async def take(number: int) -> None:
            summary, skipped = await watchers[number].next()
            before = last[number, summary.symbol]
            assert summary.sequence == sequences[summary.symbol] == before + skipped + 1
            last[number, summary.symbol] = summary.sequence

        for what, number, symbol in steps:
            watcher = watchers[number]
            if what == "add" and symbol not in watcher.symbols():
                watcher.add(symbol)
                last[number, symbol] = max(0, sequences[symbol] - 1)
            elif what == "remove":
                watcher.remove(symbol)
                last.pop((number, symbol), None)
            elif what == "offer" and symbol in market.watched():
                sequences[symbol] += 1
                market.offer(Made(symbol, sequences[symbol]))
            elif what == "next" and any(last[number, one] < sequences[one] for one in watcher.symbols()):
                await take(number)
        for number, watcher in enumerate(watchers):
            while any(last[number, symbol] < sequences[symbol] for symbol in watcher.symbols()):
                await take(number)
            assert await has_nothing(watcher)

    run(scene())


@pytest.mark.parametrize(
    ("asked", "first"),
    [
        ("BTCUSD", "BTC-USD"),
        ("btc/usd", "BTC-USD"),
        ("BTC-USB", "BTC-USD"),
        ("BCT-USD", "BTC-USD"),
        ("ETHBTCC", "ETH-BTC"),
        ("ETH-GBP", "ETH-BTC"),
    ],
)
def test_near_symbols(asked: str, first: str) -> None:
    assert Near(SYMBOLS)(asked)[0] == first


def test_nothing_is_near_to_what_is_far_and_never_many() -> None:
    assert Near(SYMBOLS)("") == Near(SYMBOLS)("XYZXYZ" * 1000) == []
    assert len(Near(f"BTC-{number}" for number in range(50))("BTC")) == MOST
