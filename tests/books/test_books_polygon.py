"""lb-books beside Polygon: the books of several exchanges by one session, with a key that nobody sees."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from steered import lb_books, levels, states
from steered_polygon import KEY, Polygon
from test_books_program import UNIT, run
from wire import polygon

from trade_balancer.books.desk import MOST_PAGES

pytestmark = pytest.mark.slow

TOPICS = ("XL2.BTC-USD", "XQ.BTC-USD")
CENT = 10**8
"""Prices have 10 decimals there."""


def key_file(folder: Path, text: str = KEY) -> str:
    file = folder / "key"
    file.write_text(f"{text}\n")
    return f"polygon=@{file}"


def test_exchanges_are_merged_each_by_its_books_and_its_best_prices(tmp_path: Path) -> None:
    async def scene() -> None:
        async with (
            Polygon() as venue,
            lb_books(*venue.options, "--key", key_file(tmp_path)) as program,
            program.watching("BTC-USD", "ETH-BTC") as client,
        ):
            await venue.has(*TOPICS, "XL2.ETH-BTC", "XQ.ETH-BTC")
            assert [path.partition("&")[0] for path in venue.requests] == [
                "/v3/reference/tickers?market=crypto", "/v3/reference/tickers?cursor=2",
            ]  # fmt: skip
            await venue.say(
                polygon("XL2", 1, 1, [(99_00, UNIT), (100_00, UNIT)], [(101_00, UNIT)]),
                polygon("XL2", 1, 77, [(100_50, UNIT)], [(100_60, UNIT)]),
                polygon("XQ", 1, 23, [(100_00, 2 * UNIT)], [(102_00, UNIT)]),
            )
            summary = await client.until(lambda summary: len(summary.bids) == 3)
            assert levels(summary, "bids") == [
                ("polygon:kraken", 100_00 * CENT, 2 * UNIT),
                ("polygon:coinbase", 100_00 * CENT, UNIT),
                ("polygon:coinbase", 99_00 * CENT, UNIT),
            ]
            assert states(summary) == {"polygon:coinbase": "live", "polygon:kraken": "live"}
            await venue.say(polygon("XQ", 2, 1, [(99_00, 3 * UNIT)], [(101_00, UNIT)]))
            summary = await client.until(lambda summary: len(summary.bids) == 2)
            assert levels(summary, "bids")[1] == ("polygon:coinbase", 99_00 * CENT, 3 * UNIT)
            seen = subprocess.run(["ps", "axeww", "-o", "args"], capture_output=True, text=True, check=True).stdout
            assert KEY not in seen
            await venue.die()
            summary = await client.until(lambda summary: "down" in states(summary).values())
            assert states(summary) == {"polygon:coinbase": "down", "polygon:kraken": "down"}
            assert not summary.bids

    run(scene())


def test_where_the_key_may_not_ask_for_symbols_those_named_are_taken_as_they_are(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Polygon() as venue:
            venue.is_told = False
            async with lb_books(*venue.options, "--key", key_file(tmp_path), "--symbols", "BTC-USD") as program:
                await venue.has(*TOPICS)
                async with program.watching("BTC-USD") as client:
                    await venue.say(polygon("XQ", 1, 6, [(100_00, UNIT)], [(101_00, UNIT)]))
                    summary = await client.until(lambda summary: bool(summary.bids))
                    assert states(summary) == {"polygon:bitstamp": "live"}

    run(scene())


def test_a_table_of_symbols_without_an_end_is_given_up_and_nothing_is_assumed(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Polygon() as venue:
            venue.is_endless = True
            async with lb_books(*venue.options, "--key", key_file(tmp_path), "--symbols", "BTC-USD") as program:
                assert len(venue.requests) == MOST_PAGES
                async with program.watching("BTC-USD") as client:
                    assert "no venue has the symbol" in (await client.next()).reason

    run(scene())
