"""Clients that are processes of their own: those of the older services, and those that freeze or die."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from serving import SYMBOL, Upstream, connected, run, served, stream, until

CLIENT = Path(__file__).with_name("older_client.py")


@asynccontextmanager
async def older_client(folder: Path, port: int, count: int, *symbol: str) -> AsyncIterator[asyncio.subprocess.Process]:
    words = [str(folder), f"127.0.0.1:{port}", str(count), *symbol]
    process = await asyncio.create_subprocess_exec(sys.executable, CLIENT, *words, stdout=asyncio.subprocess.PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout
    return (await process.stdout.readline()).decode().strip()


def test_clients_of_both_older_services_work_as_they_are(tmp_path: Path) -> None:
    async def main() -> None:
        upstream = Upstream()
        folders = [tmp_path / name for name in ("one", "other")]
        for folder in folders:
            folder.mkdir()
        async with (
            served(upstream, symbol=SYMBOL) as (_, port),
            older_client(folders[0], port, 2, "ethbtc") as named,
            older_client(folders[1], port, 2) as only,
        ):
            await until(lambda: {"ETH-BTC", SYMBOL} == set(upstream.market.watched()))
            for _ in range(2):
                first, second = upstream.offer("ETH-BTC"), upstream.offer(SYMBOL)
                assert await line(named) == f"0.25 10 here {first}.0 0.5"
                assert await line(only) == f"0.25 10 here {second}.0 0.5"
            assert await named.wait() == await only.wait() == 0

    run(main())


def test_they_are_told_of_what_there_is_not(tmp_path: Path) -> None:
    async def main() -> None:
        upstream = Upstream()
        async with (
            served(upstream) as (_, port),
            older_client(tmp_path, port, 1, "ethbtx") as named,
        ):
            assert (await line(named)).startswith("NOT_FOUND no venue has the symbol 'ethbtx'; there is ETH-BTC")
            async with older_client(tmp_path, port, 1) as only:
                assert (await line(only)).startswith("FAILED_PRECONDITION there are 3 symbols")
            assert upstream.said == []

    run(main())


def test_a_client_that_freezes_is_noticed_and_one_that_is_killed_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        upstream = Upstream()
        soon = (("grpc.keepalive_time_ms", 500), ("grpc.http2.ping_timeout_ms", 500))
        folders = [tmp_path / name for name in ("frozen", "killed")]
        for folder in folders:
            folder.mkdir()
        async with (
            served(upstream, options=soon) as (server, port),
            connected(port) as channel,
            older_client(folders[0], port, 1 << 30, SYMBOL) as frozen,
            older_client(folders[1], port, 1 << 30, "ETH-BTC") as killed,
        ):
            other = stream(channel, [SYMBOL])
            await until(lambda: upstream.market.watchers(SYMBOL) == 2 and upstream.market.watchers("ETH-BTC") == 1)
            killed.kill()
            await until(lambda: "-ETH-BTC" in upstream.said)
            frozen.send_signal(signal.SIGSTOP)
            while upstream.market.watchers(SYMBOL) == 2:
                newest = upstream.offer()
                assert (await other.read()).sequence == newest
                await asyncio.sleep(0.02)
            assert len(server.clients) == 1

    run(main())
