"""A venue's send to a gRPC client's receive, through lb and lb-books. Venue and client are this process: one clock.

1,000 changes of one symbol a second, evenly. Which change a summary shows is told by the size of its best bid. CPU time
is that of lb-books and its lb together. For the last rows there is one more client, which never reads.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness import processes
from harness.books import row
from harness.errors import TrialError
from harness.programs import ROOT
from harness.rows import Absent, Terms

P50 = "venue's send to gRPC client's receive, 1,000 updates/s, p50"
P99 = "... p99"
CPU = "... CPU of lb-books and its lb, of a core"
DELIVERED = "... updates that are seen, the others conflated"
STUCK_P99 = "... p99 beside a client that never reads, to none"
STUCK_GROWTH = "... growth of lb-books' memory beside it"

_RATE = 1_000
_SECONDS, _QUICK_SECONDS, _WARM_S = 5.0, 0.5, 0.5
_LIMIT_S = 30.0
_HERE = "127.0.0.1"
_SYMBOL, _STREAM = "BTC-USDT", "btcusdt@depth20@100ms"
_MIB = 1 << 20
_REST_OF = b'],["60999.98000000","1.00000000"]],"asks":[%s]}}' % b",".join(
    b'["61000.%02d000000","2.00000000"]' % at for at in range(20)
)
_TABLE = {
    "symbol": "BTCUSDT",
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "filters": [
        {"filterType": "PRICE_FILTER", "tickSize": "0.01000000"},
        {"filterType": "LOT_SIZE", "stepSize": "0.00000001"},
    ],
}


@dataclass(frozen=True)
class Trial:
    """latencies in ms, in order; cpu of a core; memory of lb-books in bytes, from the warm-up's end to the end."""

    latencies_ms: list[float]
    sent: int
    cpu: float
    growth_bytes: int

    def percentile(self, share: float) -> float:
        return self.latencies_ms[min(len(self.latencies_ms) - 1, int(share * len(self.latencies_ms)))]


@dataclass
class Venue:
    """Of one symbol; `sent_s`: when each change was."""

    sent_s: list[float] = field(default_factory=list)
    is_subscribed: asyncio.Event = field(default_factory=asyncio.Event)
    _connection: Any = None

    async def converse(self, connection: Any) -> None:
        from websockets import ConnectionClosed

        self._connection = connection
        with contextlib.suppress(ConnectionClosed):  # lb has asked for something, and ended
            async for text in connection:
                asked = json.loads(text)
                await connection.send(json.dumps({"result": None, "id": asked["id"]}))
                if asked["method"] == "SUBSCRIBE":
                    self.is_subscribed.set()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps({"symbols": [_TABLE]}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async def send(self, seconds: float) -> None:
        """Evenly, as many as are due."""
        begin_s, total = time.perf_counter(), int(_RATE * seconds)
        already = len(self.sent_s)
        for number in range(total):
            wait_s = begin_s + number / _RATE - time.perf_counter()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            at = already + number
            size = f"{(at + 1) // 10**8}.{(at + 1) % 10**8:08d}"
            head = f'{{"stream":"{_STREAM}","data":{{"lastUpdateId":{at + 1},"bids":[["60999.99000000","{size}"'
            text = head.encode() + _REST_OF
            self.sent_s.append(time.perf_counter())
            await self._connection.send(text, text=True)


@lru_cache
def _trials(terms: Terms, is_stuck: bool) -> list[Trial]:
    try:
        import grpc  # noqa: F401
        import websockets  # noqa: F401
    except ImportError as lack:
        raise Absent(f"{lack.name} is not installed") from None
    seconds = _QUICK_SECONDS if terms.quick else _SECONDS
    return [asyncio.run(_trial(seconds, is_stuck)) for _ in range(terms.rounds)]


async def _trial(seconds: float, is_stuck: bool) -> Trial:
    from websockets.asyncio.server import serve

    venue = Venue()
    rest = await asyncio.start_server(venue.answer, _HERE, 0)
    async with rest, serve(venue.converse, _HERE, 0, compression=None) as server:
        ports = [place.sockets[0].getsockname()[1] for place in (server.server, rest)]
        async with asyncio.timeout(_LIMIT_S + seconds), _lb_books(*ports) as (pid, address):
            return await _measure(venue, pid, address, seconds, is_stuck)


async def _measure(venue: Venue, pid: int, address: str, seconds: float, is_stuck: bool) -> Trial:
    received: list[tuple[int, float]] = []
    async with contextlib.AsyncExitStack() as clients:
        call = await clients.enter_async_context(_watching(address, granted=2))
        if is_stuck:
            await clients.enter_async_context(_watching(address, granted=1 << 30))
        await venue.is_subscribed.wait()
        reading = asyncio.ensure_future(_read(call, received))
        await venue.send(_WARM_S)
        pids = (pid, *_children(pid))
        before, warm, began_bytes = processes.sample(pids), len(venue.sent_s), processes.resident_bytes(pid)
        await venue.send(seconds)
        after = processes.sample(pids)
        while not received or received[-1][0] < len(venue.sent_s):
            if reading.done():
                reading.result()
            await asyncio.sleep(0.01)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        growth_bytes = processes.resident_bytes(pid) - began_bytes
    latencies_ms = sorted((at_s - venue.sent_s[number - 1]) * 1e3 for number, at_s in received if number > warm)
    cpu = sum(used.total_s for used in after.cpu_since(before)) / (after.at_s - before.at_s)
    return Trial(latencies_ms, len(venue.sent_s) - warm, cpu, growth_bytes)


async def _read(call: Any, received: list[tuple[int, float]]) -> None:
    from trade_balancer.books.service import protos

    while True:
        reply = await call.read()
        at_s = time.perf_counter()
        await call.write(protos.WatchRequest(credits=1))
        if reply.summary.bids:
            received.append((reply.summary.bids[0].size, at_s))


@contextlib.asynccontextmanager
async def _watching(address: str, granted: int) -> AsyncIterator[Any]:
    import grpc

    from trade_balancer.books.service import protos

    async with grpc.aio.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        call = channel.stream_stream(
            f"/{protos.BOOKS}/Watch", protos.WatchRequest.SerializeToString, protos.WatchReply.FromString
        )()
        await call.write(protos.WatchRequest(add=[_SYMBOL], credits=granted))
        yield call
        call.cancel()


@contextlib.asynccontextmanager
async def _lb_books(port: int, rest_port: int) -> AsyncIterator[tuple[int, str]]:
    """Its pid, and where it serves."""
    options = ["--grpc", f"{_HERE}:0", "--venue", f"binance=ws://{_HERE}:{port}/stream"]
    options += ["--rest", f"binance=http://{_HERE}:{rest_port}"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "trade_balancer.books.program", *options,
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said = [(await process.stdout.readline()).decode() for _ in range(2)]
        if said[1] != "ready\n":
            raise TrialError("lb-books did not begin")
        yield process.pid, said[0].removeprefix("gRPC at ").strip()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def _children(pid: int) -> tuple[int, ...]:
    return tuple(int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


@row(P50)
def p50(terms: Terms) -> list[float]:
    """ms."""
    return [trial.percentile(0.5) for trial in _trials(terms, False)]


@row(P99)
def p99(terms: Terms) -> list[float]:
    """ms."""
    return [trial.percentile(0.99) for trial in _trials(terms, False)]


@row(CPU)
def cpu(terms: Terms) -> list[float]:
    """%."""
    return [trial.cpu * 100 for trial in _trials(terms, False)]


@row(DELIVERED)
def delivered(terms: Terms) -> list[float]:
    """%."""
    return [len(trial.latencies_ms) / trial.sent * 100 for trial in _trials(terms, False)]


@row(STUCK_P99)
def stuck_p99(terms: Terms) -> list[float]:
    pairs = zip(_trials(terms, True), _trials(terms, False), strict=True)
    return [stuck.percentile(0.99) / none.percentile(0.99) for stuck, none in pairs]


@row(STUCK_GROWTH)
def stuck_growth(terms: Terms) -> list[float]:
    """MiB."""
    return [trial.growth_bytes / _MIB for trial in _trials(terms, True)]
