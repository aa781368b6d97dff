"""Snapshots over HTTP: a server that refuses, is slow, tears its answer off, or never ends it."""

from __future__ import annotations

import asyncio
import email.utils
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

import pytest

from trade_balancer.books import rest
from trade_balancer.books.rest import AT_ONCE, Rest, RestError
from trade_balancer.books.venue import Request
from trade_balancer.books.venues import VENUES

HERE = "127.0.0.1"
Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served(answer: Answer, *, budget: int = 1000, timeout_s: float = 20.0) -> AsyncIterator[Rest]:
    """A client of a server that answers each request so: with its path, and where to write."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await answer(head.split()[1].decode(), writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(converse, HERE, 0)
    port = server.sockets[0].getsockname()[1]
    venue = replace(VENUES["binance"], weight_per_minute=budget)
    async with server, aclosing(Rest(venue, f"http://{HERE}:{port}/", timeout_s=timeout_s)) as client:
        yield client


def said(status: str, body: bytes = b"", *headers: str) -> Answer:
    async def answer(_path: str, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status}", "Connection: close", f"Content-Length: {len(body)}", *headers]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()

    return answer


def test_a_body_comes_as_it_is() -> None:
    async def run() -> None:
        async with served(said("200 OK", b'{"lastUpdateId":1}')) as client:
            assert await client.get(Request("/api/v3/depth?symbol=X", 5)) == b'{"lastUpdateId":1}'

    asyncio.run(run())


@pytest.mark.parametrize("status", ["429 Too Many Requests", "418 I'm a teapot"])
def test_who_has_enough_is_not_asked_before_the_time_it_names(status: str) -> None:
    async def run() -> None:
        paths: list[str] = []

        async def answer(path: str, writer: asyncio.StreamWriter) -> None:
            paths.append(path)
            await said(status, b"", "Retry-After: 120")(path, writer)

        async with served(answer) as client:
            with pytest.raises(RestError, match=rf"/a: HTTP status {status[:3]}: nothing is asked for 120 s"):
                await client.get(Request("/a", 1))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await client.get(Request("/b", 1))
            assert paths == ["/a"]

    asyncio.run(run())


def test_a_pause_is_seconds_or_a_date_and_bounded() -> None:
    assert rest._pause_s("7", 0.0) == 7
    assert rest._pause_s(email.utils.formatdate(1_000_090, usegmt=True), 1_000_000.0) == 90
    assert rest._pause_s(email.utils.formatdate(5, usegmt=True), 1_000_000.0) == 1
    assert rest._pause_s("9" * 30, 0.0) == 3600
    for text in ("", "soon", "-1", "1.5"):
        assert rest._pause_s(text, 0.0) == 30


@pytest.mark.parametrize("status", ["403 Forbidden", "404 Not Found", "500 Internal Server Error", "302 Found"])
def test_another_status_is_named_and_whether_it_is_a_refusal(status: str) -> None:
    async def run() -> None:
        async with served(said(status, b"no")) as client:
            with pytest.raises(RestError, match=f"/a: HTTP status {status[:3]}") as fault:
                await client.get(Request("/a", 1))
            assert fault.value.is_refusal == (status[:3] in ("403", "404"))

    asyncio.run(run())


async def drip(_path: str, writer: asyncio.StreamWriter) -> None:
    """A byte now and then, so that no read of it lasts long."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def torn(_path: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
    await writer.drain()


async def endless(_path: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while True:
        writer.write(bytes(1 << 16))
        await writer.drain()


async def nothing(_path: str, _writer: asyncio.StreamWriter) -> None:
    return


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (drip, "no whole answer within 0.5 s"),
        (torn, "after"),
        (endless, "more than 1000000 bytes"),
        (nothing, "after"),
    ],
)
def test_an_answer_that_is_no_good_ends(answer: Answer, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "MOST_BYTES", 1_000_000)

    async def run() -> None:
        async with served(answer, timeout_s=0.5 if answer is drip else 20.0) as client:
            with pytest.raises(RestError, match=f"/a: .*{text}"):
                await client.get(Request("/a", 1))

    asyncio.run(run())


def test_a_few_at_once_and_no_more_than_the_budget() -> None:
    async def run() -> None:
        asked: asyncio.Queue[str] = asyncio.Queue()
        go_on = asyncio.Semaphore(0)

        async def answer(path: str, writer: asyncio.StreamWriter) -> None:
            asked.put_nowait(path)
            await go_on.acquire()
            await said("200 OK", path.encode())(path, writer)

        async with served(answer, budget=10) as client:
            tasks = [asyncio.ensure_future(client.get(Request(f"/{number}", 1))) for number in range(12)]
            first = [await asked.get() for _ in range(AT_ONCE)]
            assert client.requests_total == AT_ONCE
            go_on.release()
            first.append(await asked.get())
            for _ in range(9):
                go_on.release()
            first += [await asked.get() for _ in range(5)]
            assert sorted(first) == sorted(f"/{number}" for number in range(10))
            assert [(await task).decode() for task in tasks[:10]] == [f"/{number}" for number in range(10)]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await asyncio.shield(tasks[10])
            assert client.requests_total == 10
            for task in tasks[10:]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())
