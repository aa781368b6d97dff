"""What is served: tradebalancer.books.v1.Books and the two services of package orderbook.

Law: requests are decoded here, summaries are passed on as the bytes they were encoded to, once for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from trade_balancer.books.market import ClosedError, Market, UnknownSymbolError
from trade_balancer.books.service import protos
from trade_balancer.books.service.clients import Client, Clients, EndedError, Status

_SUMMARY_OF_REPLY = b"\x0a"
"""Tag of WatchReply.summary: field 1, length-delimited."""
_SKIPPED = b"\x58"
"""Tag of Summary.skipped: field 11, varint."""
_LONGEST_SYMBOL = 24


def varint(number: int) -> bytes:
    """As protobuf's encoding has it."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def with_skipped(summary: bytes, skipped: int) -> bytes:
    """A Summary with `skipped` set. A field may stand anywhere: behind the bytes that all clients share, too."""
    return summary + _SKIPPED + varint(skipped) if skipped else summary


def reply_of(summary: bytes, skipped: int) -> bytes:
    """A WatchReply that holds it."""
    tail = _SKIPPED + varint(skipped) if skipped else b""
    return b"".join((_SUMMARY_OF_REPLY, varint(len(summary) + len(tail)), summary, tail))


def compact(symbol: str, market: Market) -> str:
    """`ethbtc` is ETH-BTC, where there is just one that it can be; else as it is."""
    letters = symbol.upper()
    if symbol in market or not 2 <= len(letters) <= _LONGEST_SYMBOL:
        return symbol
    found = [name for at in range(1, len(letters)) if (name := f"{letters[:at]}-{letters[at:]}") in market]
    return found[0] if len(found) == 1 else symbol


class Streams:
    """The handlers.

    Args:
        symbol: what OrderbookAggregator serves; None: the only one that there is.
    """

    def __init__(self, clients: Clients, symbol: str | None = None) -> None:
        self._clients = clients
        self._market = clients.market
        self._symbol = symbol

    def handlers(self) -> list[Any]:
        """For grpc.aio: requests and replies are bytes."""
        summaries = grpc.unary_stream_rpc_method_handler
        books = {
            "Watch": grpc.stream_stream_rpc_method_handler(self._watch),
            "Stream": summaries(self._stream),
            "Symbols": grpc.unary_unary_rpc_method_handler(self._symbols),
        }
        named = {"BookSummary": summaries(self._named_summary)}
        only = {"BookSummary": summaries(self._only_summary)}
        every = ((protos.BOOKS, books), (protos.AGGREGATOR, named), (protos.ORDERBOOK_AGGREGATOR, only))
        return [grpc.method_handlers_generic_handler(service, methods) for service, methods in every]

    async def _watch(self, _requests: object, context: Any) -> None:
        async def serve(client: Client) -> None:
            await Watch(client, context).run()

        await self._opened(context, serve)

    async def _stream(self, request: bytes, context: Any) -> None:
        async def serve(client: Client) -> None:
            asked = decoded(protos.StreamRequest, request)
            client.limit_rate(asked.max_rate_hz)
            self._add_all(client, asked.symbols, asked.depth)
            while True:
                summary, skipped, depth = await client.next()
                await client.write(with_skipped(summary.v1(depth), skipped))

        await self._opened(context, serve)

    async def _symbols(self, _request: bytes, _context: Any) -> bytes:
        reply: bytes = protos.SymbolsReply(symbols=self._market.symbols()).SerializeToString()
        return reply

    async def _named_summary(self, request: bytes, context: Any) -> None:
        async def serve(client: Client) -> None:
            symbol = decoded(protos.Request, request).symbol
            await self._book_summaries(client, compact(symbol, self._market) if symbol else self._only())

        await self._opened(context, serve)

    async def _only_summary(self, _request: bytes, context: Any) -> None:
        async def serve(client: Client) -> None:
            await self._book_summaries(client, self._only())

        await self._opened(context, serve)

    async def _book_summaries(self, client: Client, symbol: str) -> None:
        self._add_all(client, [symbol], 0)
        while True:
            summary, _, _ = await client.next()
            await client.write(summary.orderbook())

    def _only(self) -> str:
        symbols = [self._symbol] if self._symbol else self._market.symbols()
        if len(symbols) != 1:
            text = f"there are {len(symbols)} symbols: name one, or have lb-books serve one here"
            raise EndedError(Status.FAILED_PRECONDITION, text)
        return symbols[0]

    def _add_all(self, client: Client, symbols: list[str], depth: int) -> None:
        """All, or none: nothing goes to a venue where one of them is unknown."""
        if not symbols:
            raise EndedError(Status.INVALID_ARGUMENT, "no symbol is named")
        try:
            for symbol in symbols:
                self._market.check(symbol)
            for symbol in symbols:
                client.add(symbol, depth)
        except UnknownSymbolError as error:
            raise EndedError(Status.NOT_FOUND, str(error)) from None
        except ValueError as error:
            raise EndedError(Status.RESOURCE_EXHAUSTED, str(error)) from None

    async def _opened(self, context: Any, serve: Callable[[Client], Awaitable[None]]) -> None:
        try:
            with self._clients.opened(context) as client:
                try:
                    await serve(client)
                except ClosedError:
                    client.raise_if_ended()
                except EndedError as ended:
                    client.watcher.close()  # now: the status may wait for a client that does not read
                    await context.abort(ended.code, ended.text)
        except EndedError as ended:
            await context.abort(ended.code, ended.text)


class Watch:
    """One call of Books.Watch: who reads grants credits, who writes takes them."""

    def __init__(self, client: Client, context: Any) -> None:
        self._client = client
        self._context = context
        self._credits = 0
        self._granted = asyncio.Event()
        """There are credits, or there will be no more."""
        client.ended.add_done_callback(lambda _: self._granted.set())
        self._is_complete = False
        """The client says nothing more."""
        self._writing = asyncio.Lock()

    async def run(self) -> None:
        reading = asyncio.create_task(self._read())
        try:
            await self._write()
        finally:
            reading.cancel()
            await asyncio.wait([reading])

    async def _write(self) -> None:
        client = self._client
        while await self._credit():
            summary, skipped, depth = await client.next()
            self._credits -= 1
            async with self._writing:
                await client.write(reply_of(summary.v1(depth), skipped))

    async def _credit(self) -> bool:
        """Whether there is one more to come."""
        self._client.raise_if_ended()
        if self._credits <= 0 and not self._is_complete:
            self._granted.clear()
            await self._granted.wait()
            self._client.raise_if_ended()
        return self._credits > 0

    async def _read(self) -> None:
        try:
            while (request := await self._context.read()) is not grpc.aio.EOF:
                await self._take(decoded(protos.WatchRequest, request))
            self._is_complete = True
            self._granted.set()
        except EndedError as ended:
            self._client.end(ended.code, ended.text)
        except ClosedError:
            pass  # and whoever has closed it has said why

    async def _take(self, request: Any) -> None:
        client = self._client
        client.limit_rate(request.max_rate_hz)
        for symbol in request.remove:
            client.remove(symbol)
        for symbol in request.add:
            try:
                client.add(symbol, request.depth)
            except UnknownSymbolError as error:
                await self._refuse(symbol, str(error), error.near)
            except ValueError as error:
                await self._refuse(symbol, str(error), [])
        if request.credits:
            self._credits += request.credits
            self._granted.set()

    async def _refuse(self, symbol: str, reason: str, near: list[str]) -> None:
        reply = protos.WatchReply(refused=protos.Refused(symbol=symbol, reason=reason, near=near))
        async with self._writing:
            await self._client.write(reply.SerializeToString())


def decoded(message: Any, request: bytes) -> Any:
    """
    Raises:
        EndedError: these bytes are none.
    """
    try:
        return message.FromString(request)
    except DecodeError:
        raise EndedError(Status.INVALID_ARGUMENT, f"the request is no {message.DESCRIPTOR.full_name}") from None
