"""A FIX client that is none of ours: simplefix frames and parses, the test says what is sent.

Law: it keeps its own numbers, and checks of each message that comes its length, its checksum and its number.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import simplefix
from serving import LIMIT_S

from trade_balancer.books.fix.acceptor import Acceptor
from trade_balancer.books.market import Market
from trade_balancer.books.service.access import Access

HERE = "127.0.0.1"
NAME = "TRADER"
Field = tuple[int, object]
BOTH: list[Field] = [(267, 2), (269, 0), (269, 1)]


def symbols(*names: str) -> list[Field]:
    return [(146, len(names)), *((55, name) for name in names)]


def request(name: str, kind: object, symbol: str = "BTC-USD", *, depth: object = 0, update: object = 1) -> list[Field]:
    """Of a 35=V: `kind` 0 snapshot, 1 updates, 2 no more; `update` 0 by 35=W, 1 by 35=X."""
    return [(262, name), (263, kind), (264, depth), (265, update), *BOTH, *symbols(symbol)]


class Received:
    """A message, as it came."""

    def __init__(self, message: Any) -> None:
        self.fields = [(tag, value.decode()) for tag, value in message]
        self.raw: bytes = message.encode(raw=True)

    def __getitem__(self, tag: int) -> str:
        """The first of this tag."""
        return dict(reversed(self.fields))[tag]

    def get(self, tag: int) -> str | None:
        return dict(reversed(self.fields)).get(tag)

    def groups(self, count: int, first: int) -> list[dict[int, str]]:
        """Those that begin with the field `first`; they are as many as the message says."""
        groups: list[dict[int, str]] = []
        at = [tag for tag, _ in self.fields].index(count)
        for tag, value in self.fields[at + 1 : -1]:
            if tag == first:
                groups.append({})
            groups[-1][tag] = value
        assert len(groups) == int(self[count])
        return groups

    def check(self) -> None:
        """Of the bytes: length and checksum, by the rule and by nobody's code."""
        head, body = self.raw.split(b"\x01", 2)[:2], self.raw.split(b"\x01", 2)[2]
        assert head[0] == b"8=FIX.4.4"
        assert body.startswith(b"35=")
        assert head[1] == b"9=%d" % (len(body) - len(b"10=123\x01"))
        assert body.endswith(b"\x0110=%03d\x01" % (sum(self.raw[:-7]) % 256))


class Client:
    """`sent`, `taken`: the last numbers of the two directions."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: int = 0, taken: int = 0
    ) -> None:
        self._reader = reader
        self.writer = writer
        self._parser = simplefix.FixParser()
        self._came = b""
        self.sent = sent
        self.taken = taken
        self.name = NAME
        self.peer = "LB-BOOKS"

    def made(self, kind: str, fields: Sequence[Field] = (), *, number: int | None = None) -> bytes:
        """A message; without a number of its own, the next."""
        if number is None:
            self.sent += 1
            number = self.sent
        message = simplefix.FixMessage()
        now = time.strftime("%Y%m%d-%H:%M:%S", time.gmtime())
        header = [(8, "FIX.4.4"), (35, kind), (49, self.name), (56, self.peer), (34, number), (52, now)]
        for tag, value in [*header, *fields]:
            message.append_pair(tag, value)
        encoded: bytes = message.encode()
        return encoded

    async def say(self, kind: str, fields: Sequence[Field] = (), *, number: int | None = None) -> None:
        self.writer.write(self.made(kind, fields, number=number))
        await self.writer.drain()

    async def next(self) -> Received | None:
        """None: the end of the connection. Messages that are sent again are not numbered anew."""
        while (message := self._parser.get_message()) is None:
            async with asyncio.timeout(LIMIT_S):
                try:
                    data = await self._reader.read(1 << 16)
                except ConnectionError:
                    return None
            if not data:
                assert self._came == b"", "half of a message"
                return None
            self._came += data
            self._parser.append_buffer(data)
        received = Received(message)
        received.check()
        assert self._came.startswith(received.raw)
        self._came = self._came[len(received.raw) :]
        if received.get(43) != "Y":
            self.taken += 1
            assert int(received[34]) == self.taken
        return received

    async def expect(self, kind: str) -> Received:
        received = await self.next()
        assert received is not None, f"35={kind} was to come"
        assert received[35] == kind, received.fields
        return received

    async def log_on(self, *fields: Field, beat_s: int = 30) -> Received:
        await self.say("A", [(98, 0), (108, beat_s), *fields])
        return await self.expect("A")

    async def is_closed(self) -> bool:
        """There comes nothing but the end."""
        return await self.next() is None


@asynccontextmanager
async def accepted(
    market: Market, *, depth: int = 10, folder: Path | None = None, access: Access | None = None
) -> AsyncIterator[tuple[Acceptor, int]]:
    """The acceptor and its port, on loopback."""
    acceptor = Acceptor(market, depth=depth, folder=folder, access=access or Access())
    port = await acceptor.start(f"{HERE}:0")
    try:
        yield acceptor, port
    finally:
        await acceptor.stop(0)


@asynccontextmanager
async def connected(
    port: int, *, sent: int = 0, taken: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection(HERE, port, ssl=tls)
    try:
        yield Client(reader, writer, sent, taken)
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()
