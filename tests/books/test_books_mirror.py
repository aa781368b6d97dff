"""A market that shows what another's has, over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from serving import run, until
from test_books_merge import Venues

from trade_balancer.books.market import Market
from trade_balancer.books.service.following import Target
from trade_balancer.books.service.mirror import CREDITS, Mirror
from trade_balancer.books.service.server import Server

SYMBOLS = ("BTC-USD", "ETH-USD")


@asynccontextmanager
async def running(mirror: Mirror) -> AsyncIterator[Market]:
    task = asyncio.create_task(mirror.run())
    try:
        await mirror.known.wait()
        yield mirror.market
    finally:
        task.cancel()
        await asyncio.wait([task])


def parts(summary: Any) -> tuple[Any, ...]:
    names = ("symbol", "sequence", "received_ns", "decimals", "bids", "asks", "venues")
    return tuple(getattr(summary, name) for name in names)


def test_what_is_watched_here_is_watched_there_and_comes_whole(tmp_path: Path) -> None:
    async def scene() -> None:
        source = Market(SYMBOLS, grace_s=0)
        server = Server(source)
        await server.start(f"unix:{tmp_path}/books")
        mirror = Mirror(Target(f"unix:{tmp_path}/books"), 20)
        venues = Venues("here", "there", symbol=SYMBOLS[0], depth=20)
        venues.send("here", [(price, price) for price in range(20, 0, -1)], [(21, 3)])
        venues.send("there", [], [(21, 5), (22, 7)])
        async with running(mirror) as market:
            assert market.symbols() == list(SYMBOLS)
            with market.watch() as watcher:
                watcher.add(SYMBOLS[0])
                await until(lambda: source.watched() == [SYMBOLS[0]])
                source.offer(summary := venues.now())
                assert parts((await watcher.next())[0]) == parts(summary)
                for size in range(1, 3 * CREDITS):
                    venues.send("there", [], [(21, 5 + size)])
                    source.offer(summary := venues.now())
                    assert parts((await watcher.next())[0]) == parts(summary)
            while market.watched():
                await asyncio.sleep(0)  # and no longer: what was watched has not been ended there yet
            with market.watch() as watcher:
                watcher.add(SYMBOLS[0])
                assert parts((await watcher.next())[0]) == parts(summary), "also where nothing has changed since"
                await server.stop(0)
                server = Server(source)
                await server.start(f"unix:{tmp_path}/books")
                await until(lambda: source.watchers(SYMBOLS[0]) == 1)
                venues.send("there", [], [])
                source.offer(summary := venues.now())
                assert parts((await watcher.next())[0]) == parts(summary), "over the next connection"
            await until(lambda: source.watched() == [])
        await server.stop(0)

    run(scene())


def test_it_ends_when_it_is_told_to_also_while_its_source_ends(tmp_path: Path) -> None:
    async def scene() -> None:
        for turns in range(8):
            server = Server(Market(SYMBOLS))
            await server.start(f"unix:{tmp_path}/books")
            mirror = Mirror(Target(f"unix:{tmp_path}/books"), 20)
            task = asyncio.create_task(mirror.run())
            await mirror.known.wait()
            await server.stop(0)
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])

    run(scene())
