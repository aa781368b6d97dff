"""lb-books beside venues that a test steers: from their messages to a client's summaries."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
from steered import HERE, Venue, Watching, lb_books, levels, states
from wire import binance_best, binance_difference, binance_snapshot, binance_whole, bitstamp, bitstamp_snapshot

pytestmark = pytest.mark.slow

T = TypeVar("T")
BINANCE = ("btcusdt@depth20@100ms", "btcusdt@bookTicker")
ORDER_BOOK = "order_book_btcusdt"
UNIT = 10**8


@asynccontextmanager
async def binance_watched(*options: str) -> AsyncIterator[tuple[Venue, Watching]]:
    async with (
        Venue("binance") as venue,
        lb_books(*venue.options, *options) as program,
        program.watching("BTC-USDT") as client,
    ):
        await venue.has(*BINANCE)
        yield venue, client


@asynccontextmanager
async def both_watched() -> AsyncIterator[tuple[Venue, Venue, Watching]]:
    """Binance and Bitstamp."""
    async with (
        Venue("binance") as one,
        Venue("bitstamp") as other,
        lb_books(*one.options, *other.options) as program,
        program.watching("BTC-USDT") as client,
    ):
        await one.has(*BINANCE)
        await other.has(ORDER_BOOK)
        yield one, other, client


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


def test_a_venue_that_dies_leaves_at_once_and_comes_back() -> None:
    async def scene() -> None:
        async with both_watched() as (one, other, client):
            await one.say(binance_whole(1, [(100_00, UNIT)], [(101_00, UNIT)]))
            await other.say(bitstamp(ORDER_BOOK, 1_000_000, [(100_00, 2 * UNIT)], [(102_00, UNIT)]))
            summary = await client.until(lambda summary: len(summary.bids) == 2)
            assert levels(summary, "bids") == [("bitstamp", 100_00, 2 * UNIT), ("binance", 100_00, UNIT)]
            assert levels(summary, "asks") == [("binance", 101_00, UNIT), ("bitstamp", 102_00, UNIT)]
            assert summary.spread == 1_00
            assert states(summary) == {"binance": "live", "bitstamp": "live"}
            await other.die()
            summary = await client.until(lambda summary: states(summary)["bitstamp"] == "down")
            assert levels(summary, "bids") == [("binance", 100_00, UNIT)]
            assert states(summary) == {"binance": "live", "bitstamp": "down"}
            await one.die()
            summary = await client.until(lambda summary: states(summary)["binance"] == "down")
            assert list(summary.bids) == list(summary.asks) == []
            assert not summary.HasField("spread")
            assert states(summary) == {"binance": "down", "bitstamp": "down"}
            await other.open()
            await other.has(ORDER_BOOK)
            await other.say(bitstamp(ORDER_BOOK, 2_000_000, [], [(103_00, UNIT)]))
            summary = await client.until(lambda summary: bool(summary.asks))
            assert levels(summary, "asks") == [("bitstamp", 103_00, UNIT)]
            assert not summary.HasField("spread"), "one side is missing"
            assert client.sequences == list(range(client.sequences[0], client.sequences[-1] + 1))

    run(scene())


def test_the_first_client_subscribes_and_the_last_one_unsubscribes() -> None:
    async def scene() -> None:
        async with Venue("binance") as venue, lb_books(*venue.options, "--linger", "0.2") as program:
            assert venue.topics == set()
            async with program.watching("BTC-USDT"), program.watching("BTC-USDT", "NOPE-BTC", "OLD-BTC") as second:
                await venue.has(*BINANCE)
                refused = [await second.next() for _ in range(3)]
                assert {each.symbol for each in refused} == {"BTC-USDT", "NOPE-BTC", "OLD-BTC"}
                assert venue.topics == set(BINANCE)
            await venue.has()

    run(scene())


def test_of_a_symbol_that_is_named_the_book_is_there_for_whoever_comes() -> None:
    async def scene() -> None:
        words = ("--symbols", "BTC-USDT", "--metrics", f"{HERE}:0")
        async with Venue("binance") as venue, lb_books(*venue.options, *words) as program:
            await venue.has(*BINANCE)
            await venue.say(binance_whole(1, [(100_00, UNIT)], [(101_00, UNIT)]))
            await asyncio.to_thread(program.metrics.await_metric, "lb_books_books", 1, venue="binance", state="live")
            async with program.watching("BTC-USDT") as client:
                assert levels(await client.next(), "bids") == [("binance", 100_00, UNIT)]

    run(scene())


def test_a_venue_that_falls_silent_is_stale_though_its_session_lives() -> None:
    async def scene() -> None:
        async with binance_watched("--stale-after", "0.5") as (venue, client):
            await venue.say(binance_whole(1, [(100_00, UNIT)], [(101_00, UNIT)]))
            await client.until(lambda summary: bool(summary.bids))
            summary = await client.next()
            assert states(summary) == {"binance": "stale"}
            assert list(summary.bids) == []
            await venue.say(binance_whole(2, [(100_00, UNIT)], [(101_00, UNIT)]))
            summary = await client.next()
            assert states(summary) == {"binance": "live"}
            assert levels(summary, "bids") == [("binance", 100_00, UNIT)]

    run(scene())


def test_what_repeats_jumps_and_crosses_in_a_whole_book_is_seen_for_what_it_is() -> None:
    """Of differences: repeated ones change nothing, a gap puts the book out until the next snapshot."""

    async def scene() -> None:
        async with Venue("binance") as venue:
            venue.snapshot = binance_snapshot(10, [(100_00, UNIT), (99_00, UNIT)], [(101_00, UNIT)])
            async with lb_books(*venue.options, "--full") as program, program.watching("BTC-USDT") as client:
                await venue.has("btcusdt@depth@100ms")
                await venue.say(binance_difference(10, 11, [(100_00, 3 * UNIT)], []))
                summary = await client.until(lambda summary: bool(summary.bids))
                assert levels(summary, "bids")[0] == ("binance", 100_00, 3 * UNIT)
                await venue.say(
                    binance_difference(10, 11, [(100_00, 9 * UNIT)], []),
                    binance_difference(12, 12, [(100_00, 0)], []),
                )
                summary = await client.next()
                assert levels(summary, "bids") == [("binance", 99_00, UNIT)]
                venue.snapshot = binance_snapshot(50, [(98_00, UNIT)], [(101_00, UNIT)])
                await venue.say(binance_difference(40, 41, [(97_00, UNIT)], []))
                summary = await client.next()
                assert states(summary) == {"binance": "syncing"}
                summary = await client.until(lambda summary: bool(summary.bids))
                assert levels(summary, "bids") == [("binance", 98_00, UNIT)]
                venue.snapshot = binance_snapshot(60, [(98_00, UNIT)], [(101_00, UNIT)])
                await venue.say(binance_difference(51, 51, [(102_00, UNIT)], []))
                assert states(await client.next()) == {"binance": "syncing"}, "a venue's own book is never crossed"
                summary = await client.until(lambda summary: bool(summary.bids))
                assert levels(summary, "bids") == [("binance", 98_00, UNIT)]

    run(scene())


def test_venues_that_cross_each_other_are_told_as_that_and_a_change_of_venue_is_seen() -> None:
    async def scene() -> None:
        async with both_watched() as (one, other, client):
            await one.say(binance_whole(1, [(103_00, UNIT)], [(104_00, UNIT)]))
            await other.say(bitstamp(ORDER_BOOK, 1_000_000, [(100_00, UNIT)], [(101_00, UNIT)]))
            summary = await client.until(lambda summary: len(summary.bids) == 2)
            assert (summary.crossing, summary.spread) == (2, -2_00)
            await one.say(binance_whole(2, [(90_00, UNIT)], [(104_00, UNIT)]))
            assert levels(await client.next(), "bids")[0] == ("bitstamp", 100_00, UNIT)
            await one.say(binance_whole(3, [(100_00, UNIT)], [(104_00, UNIT)]))
            summary = await client.until(lambda summary: summary.bids[0].price == summary.bids[1].price)
            assert [name for name, _, _ in levels(summary, "bids")] == ["binance", "bitstamp"]

    run(scene())


def test_the_best_prices_come_before_the_levels_do() -> None:
    async def scene() -> None:
        async with binance_watched("--depth", "2") as (venue, client):
            bids = [(price, UNIT) for price in (100_00, 99_00, 98_00, 97_00)]
            await venue.say(binance_whole(5, bids, [(101_00, UNIT)]))
            await client.until(lambda summary: len(summary.bids) == 2)
            await venue.say(binance_best(7, (99_00, 4 * UNIT), (100_00, UNIT)))
            summary = await client.next()
            assert levels(summary, "bids") == [("binance", 99_00, 4 * UNIT), ("binance", 98_00, UNIT)]
            assert levels(summary, "asks") == [("binance", 100_00, UNIT), ("binance", 101_00, UNIT)]
            await venue.say(binance_whole(6, bids, [(102_00, UNIT)]), binance_whole(8, bids, [(103_00, UNIT)]))
            summary = await client.until(lambda summary: summary.asks[0].price == 103_00)
            assert levels(summary, "bids") == [("binance", 100_00, UNIT), ("binance", 99_00, UNIT)]

    run(scene())


def test_in_a_quiet_market_rest_has_the_book_before_the_first_message() -> None:
    async def scene() -> None:
        async with Venue("bitstamp") as venue:
            venue.snapshot = bitstamp_snapshot(1_000_000, [(100_00, UNIT)], [(101_00, UNIT)])
            async with lb_books(*venue.options) as program, program.watching("BTC-USDT") as client:
                summary = await client.until(lambda summary: bool(summary.bids))
                assert levels(summary, "bids") == [("bitstamp", 100_00, UNIT)]
                assert "/api/v2/order_book/btcusdt/" in venue.requests
                await venue.say(bitstamp(ORDER_BOOK, 2_000_000, [(99_00, UNIT)], []))
                summary = await client.until(lambda summary: not summary.asks)
                assert levels(summary, "bids") == [("bitstamp", 99_00, UNIT)]

    run(scene())


def test_a_stop_tells_clients_and_leaves_nothing() -> None:
    async def scene() -> None:
        async with (
            Venue("binance") as venue,
            lb_books(*venue.options) as program,
            program.watching("BTC-USDT") as client,
        ):
            await venue.has(*BINANCE)
            await client.next()
            children = [int(pid) for pid in subprocess.run(
                ["ps", "-o", "pid=", "--ppid", str(program.process.pid)], capture_output=True, text=True, check=True
            ).stdout.split()]  # fmt: skip
            assert children
            program.process.send_signal(signal.SIGTERM)
            assert await program.process.wait() == 0
            assert not any(os.path.exists(f"/proc/{pid}") for pid in children)  # noqa: PTH110

    run(scene())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no venue"),
        (["--venue", "nowhere"], "there is no venue 'nowhere'"),
        (["--venue", "binance", "--lb", "binance=/x"], "named twice"),
        (["--venue", "binance", "--rest", "kraken=http://x"], "no --venue or --lb"),
        (["--lb", "binance"], "NAME=VALUE"),
        (["--venue", "polygon"], "polygon wants a key: --key polygon=@FILE"),
        (["--venue", "polygon", "--key", "polygon=written-here"], "never written on a command line"),
        (["--venue", "binance", "--key", "binance=env:HOME"], "takes none"),
        (["--venue", "binance", "--key", "kraken=env:HOME"], "--key kraken: no --venue or --lb"),
        (["--venue", "binance", "--depth", "101"], "not between 1 and 100"),
        (["--venue", "binance", "--stale-after", "0"], "no time above 0"),
    ],
)
def test_wrong_words_are_told_in_a_sentence(words: list[str], said: str) -> None:
    command = [sys.executable, "-m", "trade_balancer.books.program", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 64
    assert said in done.stderr
    assert "written-here" not in done.stderr
    assert "Traceback" not in done.stderr
