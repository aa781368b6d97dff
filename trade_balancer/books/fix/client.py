"""One session while its client is connected: what it asks for, and what it is sent.

Law: the engine has the numbers, heartbeats and resends. A symbol has one place (its market's Watcher): the next summary
is taken when the last message has gone out, and what came in between is skipped. Nothing of it outlives the connection
but the store.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from trade_balancer.books.fix.connection import Connection
from trade_balancer.books.fix.requests import Kind, Reason, Refusal, Request, read
from trade_balancer.books.fix.store import Store
from trade_balancer.books.fix.views import Summary, View
from trade_balancer.books.market import ClosedError, Market
from trade_balancer.errors import MissingExtraError

try:
    from fixcore.application import Application
    from fixcore.log.base import Log
    from fixcore.message.message import Message
    from fixcore.session.session import Session
    from fixcore.session.session_id import SessionID
    from fixcore.session.session_settings import SessionSettings
except ImportError:
    raise MissingExtraError("FIX", "fixcore-engine", "fix") from None

MOST_VIEWS = 500
"""Of one client: symbols, counted for each request."""
SNAPSHOT_S = 5.0
"""How long a snapshot waits for the first live book of its symbol, where nobody has watched that before."""
_SETTINGS = {
    "ConnectionType": "acceptor",
    "UseDataDictionary": "Y",
    "DataDictionary": "FIX44.xml",
    "LogonTimeout": "10",
    "LogoutTimeout": "2",
}
_UNSUPPORTED_TYPE = "3"
"""BusinessRejectReason (380)."""


class _Quiet(Log):  # type: ignore[misc] # fixcore has no types
    """What the engine would write down."""

    def on_incoming(self, message: str) -> None: ...

    def on_outgoing(self, message: str) -> None: ...

    def on_event(self, text: str) -> None: ...


class Client(Application):  # type: ignore[misc] # fixcore has no types
    """`converse()` once."""

    def __init__(self, market: Market, session: SessionID, store: Store, depth: int) -> None:
        settings = SessionSettings()
        settings.set_session(session, _SETTINGS)
        self.session = Session(session, settings, self, store, _Quiet())
        self._market = market
        self._depth = depth
        self._watcher = market.watch()
        self._views: dict[str, dict[str, View]] = {}
        """By request and symbol."""
        self._snapshots: dict[str, asyncio.Task[None]] = {}
        """Requests that end with their first message of each symbol, and what ends them where that does not come."""
        self._asked: deque[Message] = deque()
        """Application messages that the engine has let through, until they are answered: before the next is read."""

    async def converse(self, connection: Connection, messages: AsyncIterator[bytes], first: bytes) -> None:
        """Until one of the two ends the connection."""
        self._connection = connection
        await self.session.on_connect(connection.send, connection.close)
        sending = asyncio.create_task(self._guarded(self._send_all()))
        try:
            await self._guarded(self._take_all(messages, first))
        finally:
            self._watcher.close()
            tasks = [sending, *self._snapshots.values()]
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await self.session.on_disconnect()

    async def log_out(self, text: str) -> None:
        with suppress(OSError):
            await self.session.send_logout(text)

    def from_app(self, message: Message, session_id: SessionID) -> None:
        """By the engine."""
        self._asked.append(message)

    def to_app(self, message: Message, session_id: SessionID) -> None:
        """By the engine, whose SendingTime has whole seconds. What may be sent again keeps them: its first time must
        not be behind its second one."""
        if message.msg_type in ("W", "X"):
            message.header.set(52, datetime.now(UTC).strftime("%Y%m%d-%H:%M:%S.%f")[:-3])

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """The end of the connection is no fault. Whatever ends a part of this ends all of it."""
        try:
            await work
        except (OSError, ClosedError, RuntimeError):  # RuntimeError: the engine's, where nobody is logged on any more
            pass
        finally:
            self._connection.abort()

    async def _take_all(self, messages: AsyncIterator[bytes], first: bytes) -> None:
        await self._take(first)
        async for message in messages:
            await self._take(message)

    async def _take(self, message: bytes) -> None:
        await self.session.on_data(message)
        while self._asked:
            asked = self._asked.popleft()
            answer = self._answered(asked)
            if answer is not None and self.session.is_logged_on:
                await self.session.send_app(answer)

    def _answered(self, asked: Message) -> Message | None:
        """What is to be said at once."""
        if asked.msg_type != "V":
            return _unsupported(asked)
        try:
            request = read(asked, self._depth, self._market.check)
            self._subscribe(request) if request.kind != Kind.UNSUBSCRIBE else self._unsubscribe(request.id)
        except Refusal as refusal:
            return refusal.message(asked.get_field(262))
        return None

    def _subscribe(self, request: Request) -> None:
        if request.id in self._views:
            raise Refusal(Reason.DUPLICATE_ID, f"MDReqID {request.id} is in use")
        if sum(map(len, self._views.values())) + len(request.symbols) > MOST_VIEWS:
            raise Refusal(Reason.BANDWIDTH, f"at most {MOST_VIEWS} symbols at once")
        self._views[request.id] = {
            symbol: View(request.id, request.sides, request.depth, request.is_incremental) for symbol in request.symbols
        }
        if request.kind == Kind.SNAPSHOT:
            self._snapshots[request.id] = asyncio.create_task(self._give_up(request.id))
        for symbol in request.symbols:
            self._watcher.add(symbol)

    def _unsubscribe(self, request: str) -> None:
        if request not in self._views:
            raise Refusal(Reason.NONE, f"there is no request {request}")
        for symbol in list(self._views[request]):
            self._end(request, symbol)

    def _end(self, request: str, symbol: str) -> None:
        """One view; with the last one, its request."""
        views = self._views[request]
        del views[symbol]
        if not views:
            del self._views[request]
            if waiting := self._snapshots.pop(request, None):
                waiting.cancel()
        if not any(symbol in others for others in self._views.values()):
            self._watcher.remove(symbol)

    async def _give_up(self, request: str) -> None:
        await asyncio.sleep(SNAPSHOT_S)
        del self._snapshots[request]
        symbols = list(self._views[request])
        for symbol in symbols:
            self._end(request, symbol)
        refusal = Refusal(Reason.NONE, f"no venue has a live book of {', '.join(symbols)} yet")
        with suppress(OSError, RuntimeError):
            await self.session.send_app(refusal.message(request))

    async def _send_all(self) -> None:
        while True:
            summary: Any
            summary, _ = await self._watcher.next()
            for request, views in list(self._views.items()):
                view = views.get(summary.symbol)
                if view is None or (request in self._snapshots and not _has_live(summary)):
                    continue
                message = view.next(summary)
                if request in self._snapshots:
                    self._end(request, summary.symbol)
                if message is not None:
                    await self.session.send_app(message)


def _has_live(summary: Summary) -> bool:
    """A venue's book: where there is none, the symbol may have been subscribed a moment ago."""
    return any(venue.state == "live" for venue in summary.venues)


def _unsupported(asked: Message) -> Message:
    """35=j."""
    message = Message()
    message.header.set(35, "j")
    message.set_field(45, asked.header.get(34))
    message.set_field(372, asked.msg_type)
    message.set_field(380, _UNSUPPORTED_TYPE)
    message.set_field(58, "market data is served, 35=V")
    return message
