"""A venue that a test steers: its websocket and its REST, and lb-books beside it.

Law: it says what it is told to, when it is told to. What is asked of it is awaited, never slept for.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

import grpc
from harness import lb_environment
from harness.served import Served
from websockets.asyncio.server import Server, ServerConnection, serve

from trade_balancer.books.service import protos

LIMIT_S = 30
HERE = "127.0.0.1"

BINANCE_TABLE = {
    "symbols": [
        {
            "symbol": f"{base}{quote}", "status": status, "baseAsset": base, "quoteAsset": quote,
            "filters": [
                {"filterType": "PRICE_FILTER", "tickSize": "0.01000000"},
                {"filterType": "LOT_SIZE", "stepSize": "0.00000001"},
            ],
        }
        for base, quote, status in (("BTC", "USDT", "TRADING"), ("ETH", "BTC", "TRADING"), ("OLD", "BTC", "BREAK"))
    ]
}  # fmt: skip
BITSTAMP_TABLE = [
    {"name": name, "url_symbol": name.replace("/", "").lower(), "trading": "Enabled", "counter_decimals": 2,
     "base_decimals": 8}
    for name in ("BTC/USDT", "LTC/USD")
]  # fmt: skip


class Venue:
    """`topics`: those subscribed in this session. `snapshot`: the body of the answer to a request for one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.topics: set[str] = set()
        self.requests: list[str] = []
        """Paths that REST was asked for."""
        self.snapshot = b"{}"
        self._table = json.dumps(BINANCE_TABLE if name == "binance" else BITSTAMP_TABLE).encode()
        self._connection: ServerConnection | None = None
        self._changed = asyncio.Event()
        self._server: Server | None = None
        self._rest: asyncio.Server | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        self._rest = await asyncio.start_server(self._answer, HERE, 0)
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.die()
        assert self._rest is not None
        self._rest.close()
        await self._rest.wait_closed()

    async def open(self) -> None:
        """Take sessions (again)."""
        self._server = await serve(self._converse, HERE, self.port, compression=None)
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def die(self) -> None:
        """End the session, and take no other."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None
            self.topics = set()

    @property
    def options(self) -> list[str]:
        assert self._rest is not None
        rest = f"http://{HERE}:{self._rest.sockets[0].getsockname()[1]}"
        return ["--venue", f"{self.name}=ws://{HERE}:{self.port}/stream", "--rest", f"{self.name}={rest}"]

    async def say(self, *messages: bytes) -> None:
        assert self._connection is not None
        for message in messages:
            await self._connection.send(message.decode())

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def has(self, *topics: str) -> None:
        await self.until(lambda: self.topics == set(topics))

    async def _converse(self, connection: ServerConnection) -> None:
        self._connection = connection
        self.topics = set()
        await self.converse(connection)

    async def converse(self, connection: ServerConnection) -> None:
        """One session's requests and the answers to them."""
        async for text in connection:
            asked = json.loads(text)
            if self.name == "binance":
                if asked["method"] == "SUBSCRIBE":
                    self.topics.update(asked["params"])
                elif asked["method"] == "UNSUBSCRIBE":
                    self.topics.difference_update(asked["params"])
                await connection.send(json.dumps({"result": None, "id": asked["id"]}))
            elif asked["event"] != "bts:heartbeat":
                channel = asked["data"]["channel"]
                (self.topics.add if asked["event"] == "bts:subscribe" else self.topics.discard)(channel)
                word = asked["event"].replace("scribe", "scription_succeeded")
                await connection.send(json.dumps({"event": word, "channel": channel, "data": {}}))
            self.told()

    def told(self) -> None:
        """Who waits may look."""
        self._changed.set()

    def reply(self, path: str, _head: str) -> tuple[int, bytes]:
        """Status and body of REST's answer."""
        if "/order_book/" in path and self.snapshot == b"{}":
            return 404, b""
        return 200, self.snapshot if "depth" in path or "/order_book/" in path else self._table

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split()[1].decode()
        self.requests.append(path)
        status, body = self.reply(path, head.decode())
        writer.write(b"HTTP/1.1 %d .\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body)
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()
        self._changed.set()


class Program:
    """lb-books, which serves at `address`, with --metrics at `metrics`, and FIX at `fix_port`."""

    def __init__(self, process: asyncio.subprocess.Process, said: dict[str, str]) -> None:
        self.process = process
        self.address = said["gRPC"]
        self.metrics = Served(said.get("metrics", "").removesuffix("metrics"))
        self.fix_port = int(said.get("FIX", ":0").rpartition(":")[2])

    @asynccontextmanager
    async def watching(self, *symbols: str, depth: int = 10) -> AsyncIterator[Watching]:
        async with grpc.aio.insecure_channel(self.address) as channel:
            call = channel.stream_stream(
                f"/{protos.BOOKS}/Watch", protos.WatchRequest.SerializeToString, protos.WatchReply.FromString
            )()
            await call.write(protos.WatchRequest(add=symbols, credits=1_000_000, depth=depth))
            try:
                yield Watching(call)
            finally:
                call.cancel()


class Watching:
    def __init__(self, call: Any) -> None:
        self._call = call
        self.sequences: list[int] = []

    async def say(self, **request: Any) -> None:
        await self._call.write(protos.WatchRequest(**request))

    async def next(self) -> Any:
        async with asyncio.timeout(LIMIT_S):
            reply = await self._call.read()
        if reply.WhichOneof("what") == "refused":
            return reply.refused
        self.sequences.append(reply.summary.sequence)
        return reply.summary

    async def until(self, holds: Callable[[Any], bool]) -> Any:
        """The next summary of which this is true."""
        while not holds(summary := await self.next()):
            pass
        return summary


def levels(summary: Any, side: str) -> list[tuple[str, int, int]]:
    return [(summary.venues[level.venue].name, level.price, level.size) for level in getattr(summary, side)]


def states(summary: Any) -> dict[str, str]:
    names = {0: "unknown", 1: "live", 2: "stale", 3: "syncing", 4: "down"}
    return {venue.name: names[venue.state] for venue in summary.venues}


@asynccontextmanager
async def lb_books(*options: str) -> AsyncIterator[Program]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "trade_balancer.books.program", "--grpc", f"{HERE}:0", *options,
        env={**os.environ, "PYTHONPATH": lb_environment()["PYTHONPATH"]}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        said = {}
        async with asyncio.timeout(LIMIT_S):
            while (line := (await process.stdout.readline()).decode()) != "ready\n":
                what, _, place = line.strip().partition(" at ")
                assert place, f"lb-books has said {line!r} before it was ready"
                said[what] = place
        yield Program(process, said)
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(LIMIT_S):
            assert await process.wait() == 0
