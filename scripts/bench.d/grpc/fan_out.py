"""One symbol to many gRPC clients: lb-books' server, and the way it is usually written.

    fan_out.py serve ours|naive CLIENTS COUNT RATE    prints its port; once CLIENTS streams are open, offers COUNT
                                                      summaries, RATE a second; prints, as JSON, cpu_s and sent
    fan_out.py read PORT CLIENTS                      prints, as JSON, how many summaries all streams have had

The summaries are those of one book of ten levels a side that changes each time, made by the C engine for both. `naive`
is what the tutorials show: a queue for each client, a message built from the summary for each client, and encoded by
the stub's serializer. cpu_s is user and system time of the serving process, from the first offer until half a second
behind the last.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import uvloop

from trade_balancer.books.books import Books, Form, Rule
from trade_balancer.books.market import Market
from trade_balancer.books.service import protos
from trade_balancer.books.service.server import Server
from trade_balancer.books.summary import Decimals, Summary

SYMBOL = "BTC-USDT"
PATH = "/tradebalancer.books.v1.Books/Stream"


class Book:
    """The next summary of a made-up book."""

    def __init__(self) -> None:
        self._books = Books()
        self._venue = self._books.add_venue("made-up", Form.BINANCE)
        decimals = Decimals(2, 8)
        self._symbol = self._books.add_symbol(SYMBOL, decimals)
        self._books.open_book(self._venue, self._symbol, b"btcusdt", Rule.WHOLE_EACH_TIME, decimals)
        self._sequence = 0

    def next(self) -> Summary:
        self._sequence += 1
        bids = [[f"{60000 - at}.00000000", f"{self._sequence + at}.00000000"] for at in range(10)]
        asks = [[f"{60001 + at}.00000000", f"{self._sequence + at}.00000000"] for at in range(10)]
        data = {"lastUpdateId": self._sequence, "bids": bids, "asks": asks}
        text = json.dumps({"stream": "btcusdt@depth20@100ms", "data": data}, separators=(",", ":")).encode()
        taken = self._books.take(self._venue, len(text).to_bytes(4, "little") + text, time.time_ns())
        assert not taken.faults, taken
        summary = self._books.merge(self._symbol, self._sequence)
        assert summary is not None
        return summary


class Naive:
    """A queue for each client."""

    def __init__(self) -> None:
        self.queues: set[asyncio.Queue[Summary]] = set()
        self.sent = 0

    async def stream(self, _request: object, _context: object) -> AsyncIterator[Any]:
        queue: asyncio.Queue[Summary] = asyncio.Queue()
        self.queues.add(queue)
        try:
            while True:
                summary = await queue.get()
                self.sent += 1
                yield _built(summary)
        finally:
            self.queues.discard(queue)

    def offer(self, summary: Summary) -> None:
        for queue in self.queues:
            queue.put_nowait(summary)

    async def start(self) -> tuple[Any, int]:
        handler = grpc.unary_stream_rpc_method_handler(
            self.stream,
            request_deserializer=protos.StreamRequest.FromString,
            response_serializer=protos.Summary.SerializeToString,
        )
        server = grpc.aio.server()
        service = grpc.method_handlers_generic_handler("tradebalancer.books.v1.Books", {"Stream": handler})
        server.add_generic_rpc_handlers((service,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port


def _built(summary: Summary) -> Any:
    message = protos.Summary(symbol=summary.symbol, sequence=summary.sequence, received_ns=summary.received_ns)
    message.price_decimals, message.size_decimals = summary.decimals
    message.spread = summary.spread
    at = {venue.name: index for index, venue in enumerate(summary.venues)}
    for side, levels in ((message.bids, summary.bids), (message.asks, summary.asks)):
        for level in levels:
            side.add(venue=at[level.venue], price=level.price, size=level.size)
    for venue in summary.venues:
        message.venues.add(name=venue.name, state=1, time_ns=venue.time_ns, received_ns=venue.received_ns)
    return message


async def serve(kind: str, clients: int, count: int, rate_hz: float) -> None:
    server: Any
    offer: Callable[[Summary], None]
    if kind == "ours":
        market = Market([SYMBOL], grace_s=0)
        server = Server(market)
        port = await server.start("127.0.0.1:0")
        offer = market.offer

        def watching() -> int:
            return market.watchers(SYMBOL)

        def sent() -> int:
            return server.clients.sent_total
    else:
        naive = Naive()
        server, port = await naive.start()
        offer = naive.offer

        def watching() -> int:
            return len(naive.queues)

        def sent() -> int:
            return naive.sent

    print(port, flush=True)
    while watching() < clients:
        await asyncio.sleep(0.01)
    book, began_s = Book(), time.process_time()
    due_s = time.monotonic()
    for _ in range(count):
        offer(book.next())
        due_s = max(due_s + 1 / rate_hz, time.monotonic() - 1 / rate_hz)
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
    await asyncio.sleep(0.5)
    cpu_s = time.process_time() - began_s
    await server.stop(0)
    print(json.dumps({"cpu_s": cpu_s, "sent": sent()}), flush=True)


async def read(port: int, clients: int) -> None:
    received = 0
    request = protos.StreamRequest(symbols=[SYMBOL]).SerializeToString()

    async def one(channel: Any) -> None:
        nonlocal received
        try:
            async for _ in channel.unary_stream(PATH)(request):
                received += 1
        except grpc.aio.AioRpcError:
            pass  # the server has stopped

    channels = [
        grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)])
        for _ in range(10)
    ]
    await asyncio.gather(*(one(channels[number % len(channels)]) for number in range(clients)))
    for channel in channels:
        await channel.close()
    print(json.dumps({"received": received}), flush=True)


if __name__ == "__main__":
    what, first, *rest = sys.argv[1:]
    if what == "serve":
        loop = uvloop.new_event_loop if first == "ours" else None  # as lb-books has it, and as tutorials do
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(serve(first, int(rest[0]), int(rest[1]), float(rest[2])))
    else:
        asyncio.run(read(int(first), int(rest[0])))
