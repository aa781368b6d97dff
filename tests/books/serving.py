"""A server of gRPC over a market that the test feeds by hand; its summaries are encoded by protobuf itself."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import grpc

from trade_balancer.books.market import Market
from trade_balancer.books.service import protos
from trade_balancer.books.service.access import Access
from trade_balancer.books.service.clients import Limits
from trade_balancer.books.service.server import Server

SYMBOLS = ("BTC-USD", "BTC-USDT", "ETH-BTC")
SYMBOL = SYMBOLS[0]
LIMIT_S = 30
"""Only what will never come takes longer."""
T = TypeVar("T")


@dataclass(frozen=True)
class Made:
    """A summary whose prices and sizes are its sequence; `levels` a side; all venues in the same state."""

    symbol: str
    sequence: int
    levels: int = 10
    state: int = 1

    def v1(self, depth: int) -> bytes:
        return self._v1[min(depth, self.levels)]

    def orderbook(self, depth: int = 10) -> bytes:
        return self._orderbook

    @cached_property
    def _v1(self) -> list[bytes]:
        return [self._encoded(depth) for depth in range(self.levels + 1)]

    def _encoded(self, depth: int) -> bytes:
        level = {"venue": 1, "price": self.sequence, "size": self.sequence}
        venues = [{"name": name, "state": self.state} for name in ("here", "there")]
        made: bytes = protos.Summary(
            symbol=self.symbol, sequence=self.sequence, price_decimals=2, size_decimals=8, spread=-1,
            crossing=2, bids=[level] * depth, asks=[level] * depth, venues=venues,
        ).SerializeToString()  # fmt: skip
        return made

    @cached_property
    def _orderbook(self) -> bytes:
        level = {"exchange": "here", "price": self.sequence, "amount": 0.5}
        made: bytes = protos.OrderbookSummary(
            spread=0.25, bids=[level] * self.levels, asks=[level] * self.levels
        ).SerializeToString()
        return made


class Upstream:
    """The market, and what it asks of the venues."""

    def __init__(self, symbols: tuple[str, ...] = SYMBOLS, grace_s: float = 0.0) -> None:
        self.said: list[str] = []
        self.market = Market(
            symbols,
            lambda name: self.said.append(f"+{name}"),
            lambda name: self.said.append(f"-{name}"),
            grace_s=grace_s,
        )
        self._sequence = 0

    def offer(self, symbol: str = SYMBOL, levels: int = 10, state: int = 1) -> int:
        """The next one; returns its sequence."""
        self._sequence += 1
        self.market.offer(Made(symbol, self._sequence, levels, state))
        return self._sequence


class Watching:
    """A call of Books.Watch."""

    def __init__(self, channel: Any) -> None:
        self._call = channel.stream_stream(f"/{protos.BOOKS}/Watch")()

    async def say(self, **request: Any) -> None:
        await self._call.write(protos.WatchRequest(**request).SerializeToString())

    async def reply(self) -> Any:
        """The next; EOF at the end."""
        message = await self._call.read()
        return message if message is grpc.aio.EOF else protos.WatchReply.FromString(message)

    async def summary(self) -> Any:
        return (await self.reply()).summary

    async def done(self) -> None:
        await self._call.done_writing()

    def cancel(self) -> None:
        self._call.cancel()


def stream(channel: Any, symbols: list[str], **request: Any) -> Any:
    """A call of Books.Stream."""
    asked = protos.StreamRequest(symbols=symbols, **request).SerializeToString()
    return channel.unary_stream(f"/{protos.BOOKS}/Stream", response_deserializer=protos.Summary.FromString)(asked)


@asynccontextmanager
async def served(
    upstream: Upstream,
    *,
    access: Access | None = None,
    limits: Limits | None = None,
    symbol: str | None = None,
    options: tuple[tuple[str, int], ...] = (),
) -> AsyncIterator[tuple[Server, int]]:
    """The server and its port, on loopback."""
    server = Server(
        upstream.market, access=access or Access(), limits=limits or Limits(), symbol=symbol, options=options
    )
    port = await server.start("127.0.0.1:0")
    try:
        yield server, port
    finally:
        await server.stop(0)


@asynccontextmanager
async def connected(port: int, *options: tuple[str, int]) -> AsyncIterator[Any]:
    """A channel of its own connection."""
    alone = ("grpc.use_local_subchannel_pool", 1)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=[alone, *options]) as channel:
        yield channel


async def until(condition: Callable[[], bool]) -> None:
    """Looks again and again, between whatever else the loop has to do."""
    while not condition():
        await asyncio.sleep(0.005)


async def fails(waiting: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    """The status that ends it."""
    try:
        result = await waiting
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    raise AssertionError(f"it has not failed: {result!r}")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    async def limited() -> T:
        async with asyncio.timeout(LIMIT_S):
            return await coroutine

    before = _open_fds()
    try:
        return asyncio.run(limited())
    finally:
        gc.collect()
        limit_s = time.monotonic() + LIMIT_S
        while _open_fds() - before and time.monotonic() < limit_s:  # threads of grpc close them, a moment later
            time.sleep(0.005)


def _open_fds() -> set[str]:
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - its own number is in both
