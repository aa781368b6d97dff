"""One HTTP client: its requests are read and answered one after the other, or news are pushed to it (server-sent
events).

Law: never more than MOST_CLIENTS, each with a bound of memory and of time for whatever it has to do. Who is slow gets
less news, and after a while none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from trade_balancer.page.reply import Reply, plain
from trade_balancer.page.request import LONGEST_HEAD_BYTES, BadRequest, Request, parse

MOST_CLIENTS = 64
MOST_WATCHING = 32
"""Of them, those that news are pushed to: there is always room for a scrape."""
ASK_S = 10.0
"""For a request's head to come, and between two requests."""
READ_S = 10.0
"""For an answer to be read."""
_UNSENT_BYTES = 256 << 10
"""From so much on, a client is behind."""


class Clients:
    """Who is there. `answer` says what to what."""

    def __init__(self, answer: Callable[[Request], Reply]) -> None:
        self.answer = answer
        self.connections: set[Connection] = set()
        self.watching: set[Connection] = set()

    def push(self, events: bytes) -> None:
        """Tell all who watch."""
        for connection in list(self.watching):
            connection.push(events)


class Connection(asyncio.Protocol):
    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._input = b""
        self._is_behind = False
        self._clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_UNSENT_BYTES)
        if len(self._clients.connections) >= MOST_CLIENTS:
            self._answer(plain(503, "too many clients"), None)
            return
        self._clients.connections.add(self)
        self._within(ASK_S, self._transport.abort)

    def connection_lost(self, error: Exception | None) -> None:
        if self._clock is not None:
            self._clock.cancel()
        self._clients.connections.discard(self)
        self._clients.watching.discard(self)

    def data_received(self, data: bytes) -> None:
        if self in self._clients.watching:
            return  # nothing more is to be asked there
        self._input += data
        self._read_on()

    def pause_writing(self) -> None:
        self._is_behind = True
        self._within(READ_S, self._transport.abort)

    def resume_writing(self) -> None:
        self._is_behind = False
        if self._clock is not None:
            self._clock.cancel()
        if self not in self._clients.watching:
            self._within(ASK_S, self._transport.abort)
            self._read_on()

    def push(self, events: bytes) -> None:
        """News; what comes while it is behind it does not get."""
        if not self._is_behind:
            self._transport.write(events)

    def _read_on(self) -> None:
        while not self._is_behind and not self._transport.is_closing() and self not in self._clients.watching:
            head, end, rest = self._input.partition(b"\r\n\r\n")
            if len(head) > LONGEST_HEAD_BYTES:
                self._answer(plain(431, "the request is too long"), None)
            elif end:
                self._input = rest
                self._within(ASK_S, self._transport.abort)
                self._serve(head)
            else:
                break
        if len(self._input) > LONGEST_HEAD_BYTES:  # asked for more and more while it reads nothing
            self._transport.abort()

    def _serve(self, head: bytes) -> None:
        try:
            request = parse(head)
        except BadRequest as bad:
            self._answer(plain(bad.status, "this is no request that is answered here"), None)
            return
        reply = self._clients.answer(request)
        if reply.greet is not None and len(self._clients.watching) >= MOST_WATCHING:
            reply = plain(503, "too many watch already")
        self._answer(reply, request)
        if reply.greet is not None and request.method == "GET" and not self._transport.is_closing():
            self._clients.watching.add(self)
            reply.greet(self._transport.write)
            if self._clock is not None and not self._is_behind:
                self._clock.cancel()

    def _answer(self, reply: Reply, request: Request | None) -> None:
        """`request`: None where the connection ends with it."""
        keeps_alive = request is not None and request.keeps_alive
        self._transport.write(reply.head(keeps_alive=keeps_alive))
        if request is None or request.method != "HEAD":
            self._transport.write(reply.body)
        if not keeps_alive and not (reply.greet is not None and request is not None and request.method == "GET"):
            self._within(READ_S, self._transport.abort)
            self._transport.close()

    def _within(self, seconds: float, otherwise: Callable[[], object]) -> None:
        if self._clock is not None:
            self._clock.cancel()
        self._clock = asyncio.get_running_loop().call_later(seconds, otherwise)
