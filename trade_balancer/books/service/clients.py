"""All streams that are open: how many there may be, what they were sent, and how they are ended.

Law: a stream is counted from its first moment until its handler has ended. Whoever does not take what is written within
`blocked_s` is ended.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import grpc

from trade_balancer.books.market import Market
from trade_balancer.books.service.patience import Patience

Status = grpc.StatusCode


@dataclass(frozen=True)
class Limits:
    """What one server, and one client, may take."""

    streams: int = 10_000
    """Open at once."""
    symbols: int = 500
    """On one stream."""
    blocked_s: float = 10.0
    """How long a write may wait for a client that does not read."""


class EndedError(Exception):
    """This stream ends, with this status."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Summary(Protocol):
    """What is sent of one."""

    @property
    def symbol(self) -> str: ...

    @property
    def sequence(self) -> int: ...

    def v1(self, depth: int) -> bytes:
        """A tradebalancer.books.v1.Summary without `skipped`. The same object each time."""

    def orderbook(self, depth: int = 10) -> bytes:
        """An orderbook.Summary. The same object each time."""


class Client:
    """One stream: what it watches, and how it is written to."""

    def __init__(self, clients: Clients, context: Any) -> None:
        self.watcher = clients.market.watch()
        self.symbols: set[str] = set()
        self._clients = clients
        self._context = context
        self._patience = Patience(clients.limits.blocked_s)
        self._least_s = 0.0
        self._sent_s = -math.inf
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once nothing more is sent."""
        self._why: EndedError | None = None

    def close(self) -> None:
        """Watch nothing any more."""
        self.watcher.close()
        self._patience.close()

    def end(self, code: grpc.StatusCode, text: str) -> None:
        """As soon as it can be. The first reason is the one that the client is told."""
        if not self.ended.done():
            self._why = EndedError(code, text)
            self.ended.set_result(None)
            self.watcher.close()

    def raise_if_ended(self) -> None:
        if self._why is not None:
            raise self._why

    def limit_rate(self, rate_hz: float) -> None:
        """At most so many summaries a second; 0: as before.

        Raises:
            EndedError: it is no rate.
        """
        if rate_hz:
            if not rate_hz >= 0.01:
                raise EndedError(Status.INVALID_ARGUMENT, f"max_rate_hz is {rate_hz:g}; 0, or from 0.01 on")
            self._least_s = 1 / rate_hz

    def add(self, symbol: str, depth: int) -> None:
        """
        Raises:
            UnknownSymbolError: no venue has it.
            ValueError: there are enough.
        """
        if symbol not in self.symbols and len(self.symbols) >= self._clients.limits.symbols:
            raise ValueError(f"at most {self._clients.limits.symbols} symbols on a stream")
        self.watcher.add(symbol, depth=depth or 10)
        self.symbols.add(symbol)

    def remove(self, symbol: str) -> None:
        self.symbols.discard(symbol)
        self.watcher.remove(symbol)

    async def next(self) -> tuple[Summary, int, int]:
        """The newest that may go out now, how many were skipped before it, and to which depth it is wanted.

        Raises:
            EndedError, ClosedError: nothing more goes out.
        """
        if self._least_s:
            await self._pace()
        summary: Any
        summary, skipped = await self.watcher.next()
        self._sent_s = asyncio.get_running_loop().time()
        self._clients.sent_total += 1
        return summary, skipped, self.watcher.depth(summary.symbol)

    async def write(self, message: bytes) -> None:
        """
        Raises:
            EndedError: it does not read.
        """
        try:
            with self._patience:
                await self._context.write(message)
        except TimeoutError:
            limit_s = self._clients.limits.blocked_s
            self._clients.blocked_total += 1
            raise EndedError(Status.RESOURCE_EXHAUSTED, f"nothing was read for {limit_s:g} s") from None

    async def _pace(self) -> None:
        wait_s = self._sent_s + self._least_s - asyncio.get_running_loop().time()
        if wait_s > 0:
            await asyncio.wait([self.ended], timeout=wait_s)
            self.raise_if_ended()


class Clients:
    """Of one server."""

    def __init__(self, market: Market, limits: Limits) -> None:
        self.market = market
        self.limits = limits
        self._open: set[Client] = set()
        self._is_draining = False
        self.opened_total = 0
        self.refused_total = 0
        """Streams that were not opened: there were too many, or the server stops."""
        self.blocked_total = 0
        """Streams that were ended because their client did not read."""
        self.sent_total = 0
        """Summaries."""

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    @contextmanager
    def opened(self, context: Any) -> Iterator[Client]:
        """
        Raises:
            EndedError: there is no room for one more.
        """
        if self._is_draining or len(self._open) >= self.limits.streams:
            self.refused_total += 1
            if self._is_draining:
                raise EndedError(Status.UNAVAILABLE, STOPS)
            raise EndedError(Status.RESOURCE_EXHAUSTED, f"{self.limits.streams} streams are open: there may be no more")
        client = Client(self, context)
        self._open.add(client)
        self.opened_total += 1
        try:
            yield client
        finally:
            self._open.discard(client)
            client.close()

    def drain(self) -> None:
        """End all, and open no more."""
        self._is_draining = True
        for client in list(self._open):
            client.end(Status.UNAVAILABLE, STOPS)


STOPS = "lb-books stops"
