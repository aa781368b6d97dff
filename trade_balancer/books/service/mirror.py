"""A market that shows what another process's market has: what is watched here is watched there, by gRPC.

Law: what is on its way is bounded by credits, and what was not taken here is replaced: nothing queues on either side.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from trade_balancer.books.market import Market
from trade_balancer.books.service import protos
from trade_balancer.books.service.following import ENDED, Target, watch, why_ended, write
from trade_balancer.books.service.told import STATES
from trade_balancer.books.summary import Decimals, Level, VenueState
from trade_balancer.errors import MissingExtraError, tell

try:
    import grpc
except ImportError:
    raise MissingExtraError("gRPC", "grpcio", "books") from None

CREDITS = 16
"""Summaries on their way at once."""
SYMBOLS_S = 10.0
"""Between two looks which symbols there are."""
AGAIN_S = 0.5
_CANCEL_AGAIN_S = 0.1


@dataclass(frozen=True)
class Book:
    """A summary that has arrived: what books.summary.Summary says, of a `protos.Summary`."""

    message: Any

    @property
    def symbol(self) -> str:
        return str(self.message.symbol)

    @property
    def sequence(self) -> int:
        return int(self.message.sequence)

    @property
    def received_ns(self) -> int:
        return int(self.message.received_ns)

    @property
    def decimals(self) -> Decimals:
        return Decimals(self.message.price_decimals, self.message.size_decimals)

    @cached_property
    def venues(self) -> list[VenueState]:
        return [
            VenueState(venue.name, STATES[venue.state], venue.time_ns, venue.received_ns)
            for venue in self.message.venues
        ]

    @cached_property
    def bids(self) -> list[Level]:
        return self._levels(self.message.bids)

    @cached_property
    def asks(self) -> list[Level]:
        return self._levels(self.message.asks)

    def _levels(self, levels: Any) -> list[Level]:
        names = [venue.name for venue in self.message.venues]
        return [Level(names[level.venue], level.price, level.size) for level in levels]


class Mirror:
    """`run()` it until it is cancelled; `market` is there from the begin, and has symbols when `known` is set.

    Args:
        depth: levels of each side of its books.
    """

    def __init__(self, target: Target, depth: int) -> None:
        self.market = Market((), self._first, self._last, grace_s=0.0)
        self.known = asyncio.Event()
        self._target = target
        self._depth = depth
        self._first_watched: set[str] = set()
        """Since they were last asked for. Of one that was left and is watched again, what there is has to come anew."""
        self._asked: set[str] = set()
        self._changed = asyncio.Event()
        self._writing = asyncio.Lock()
        """Two writes at once end the call here and not there: gRPC takes one at a time."""

    async def run(self) -> None:
        """Over connection after connection: those who watch see the last book meanwhile."""
        this = asyncio.current_task()
        while not (this and this.cancelling()):
            try:
                await self._follow()
            except (grpc.aio.AioRpcError, _EndedError) as error:
                tell(f"the books are lost, and asked for again: {_why(error)}")
            await asyncio.sleep(AGAIN_S)

    def _first(self, symbol: str) -> None:
        self._first_watched.add(symbol)
        self._changed.set()

    def _last(self, _symbol: str) -> None:
        self._changed.set()

    async def _follow(self) -> None:
        self._asked.clear()
        self._changed.set()
        metadata = self._target.metadata()
        async with self._target.channel() as channel:
            call = watch(channel, metadata)
            works = self._know(channel, metadata), self._ask(call), self._take(call)
            tasks = {asyncio.create_task(work) for work in works}
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                call.cancel()
                errors = await _end(tasks)
            raise next(iter(errors), _EndedError("the call was cancelled"))

    async def _know(self, channel: Any, metadata: list[tuple[str, str]]) -> None:
        ask = channel.unary_unary(
            f"/{protos.BOOKS}/Symbols", protos.SymbolsRequest.SerializeToString, protos.SymbolsReply.FromString
        )
        while True:
            reply = await ask(protos.SymbolsRequest(), metadata=metadata)
            self.market.know(reply.symbols)
            self.known.set()
            await asyncio.sleep(SYMBOLS_S)

    async def _ask(self, call: Any) -> None:
        await self._write(call, protos.WatchRequest(credits=CREDITS))
        while True:
            await self._changed.wait()
            self._changed.clear()
            watched = set(self.market.watched())
            add = (watched - self._asked) | (watched & self._first_watched)
            remove = self._asked - watched
            self._asked = watched
            self._first_watched.clear()
            if add or remove:
                await self._write(call, protos.WatchRequest(add=add, remove=remove, depth=self._depth))

    async def _take(self, call: Any) -> None:
        credit = protos.WatchRequest(credits=1)
        while (reply := await call.read()) is not grpc.aio.EOF:
            if reply.HasField("refused"):
                tell(f"{reply.refused.reason}")
                continue
            self.market.offer(Book(reply.summary))
            await self._write(call, credit)
        raise _EndedError(ENDED)

    async def _write(self, call: Any, request: Any) -> None:
        async with self._writing:
            await write(call, request)


async def _end(tasks: set[asyncio.Task[None]]) -> list[BaseException]:
    """What they ended with, but for cancellations."""
    pending = tasks
    while pending:  # grpc.aio loses a cancellation that comes while a call fails
        for task in pending:
            task.cancel()
        with suppress(asyncio.CancelledError):  # run() asks whether it was
            await asyncio.wait(pending, timeout=_CANCEL_AGAIN_S)
        pending = {task for task in pending if not task.done()}
    return [error for task in tasks if not task.cancelled() and (error := task.exception())]


class _EndedError(Exception):
    """There comes no more of this call."""


def _why(error: Exception) -> str:
    return why_ended(error) if isinstance(error, grpc.aio.AioRpcError) else str(error)
