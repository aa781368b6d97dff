"""A connection: one HTTP request, and behind it, where that was asked for, a websocket.

Law: memory of one client is bounded: by a frame that it has not taken, and by what it may say. While it has not taken a
frame, it gets none, and is not listened to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast

from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import Event, State
from websockets.server import ServerProtocol

from trade_balancer.emit.audience import Audience
from trade_balancer.emit.board import NEVER
from trade_balancer.emit.counters import Counters
from trade_balancer.emit.dialogue import POLICY_VIOLATION, Answer, Dialogue, Pong, status
from trade_balancer.emit.door import Door, Refusal
from trade_balancer.emit.group import NO_FD, Group, Shape
from trade_balancer.emit.site import Give, plain
from trade_balancer.emit.wire import PING

SHAPES: Mapping[str, Shape] = {
    "/ws": Shape.VALUES,
    **dict.fromkeys(("/stocks", "/crypto", "/forex", "/indices", "/options", "/futures", "/business"), Shape.RECORDS),
}
"""What is served at which path: the latter are the vendor's."""
TRY_AGAIN_LATER = 1013
ASK_S = 10.0
"""For a request to come, and for the word `auth`."""
CLOSE_S = 5.0
"""For the other side to take its leave."""
MOST_SAID_BYTES = 64 << 10
MOST_SAID = 200
"""Messages of a client within a second."""
_SPARE = 64
"""So many more than the most are told that there is no room; further ones are not."""
_RETRY_S = 5
_AUTH_TIMEOUT = status("auth_timeout", "No authentication request received.")


@dataclass
class House:
    """What all connections of a process share."""

    audience: Audience
    counters: Counters
    door: Door
    pages: Mapping[str, Give]
    shapes: Mapping[str, Shape]
    """By the path of a websocket."""
    accepts: Callable[[str], bool] | None
    most_topics: int
    pong: Pong
    clients: dict[Visitor, None] = field(default_factory=dict)
    """Those with an open websocket."""


class Visitor(asyncio.Protocol):
    __slots__ = (
        "_address", "_clock", "_dialogue", "_house", "_part", "_protocol", "_refusal", "_said", "_shape", "_transport",
        "behind_since_s", "fd", "got", "group", "is_behind", "seen", "write",
    )  # fmt: skip

    def __init__(self, house: House) -> None:
        self._house = house
        self._protocol = ServerProtocol(max_size=MOST_SAID_BYTES)
        self._dialogue: Dialogue | None = None
        self._clock: asyncio.TimerHandle | None = None
        self._part = b""
        self._said = 0
        self.group: Group | None = None
        self.got = NEVER
        self.seen = 0
        self.is_behind = False
        self.behind_since_s = 0.0

    # What the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        is_plain = transport.get_extra_info("sslcontext") is None
        # Whoever has not taken all is behind; asyncio's TLS takes 0 as having to pause with nothing to write.
        self._transport.set_write_buffer_limits(high=0 if is_plain else 1, low=0)
        self.write = self._transport.write
        self.fd = transport.get_extra_info("socket").fileno() if is_plain else NO_FD
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if peer else ""
        self._refusal: Refusal | None = self._house.door.enter(self._address)
        if self._refusal is not None and self._house.door.is_crowded(_SPARE):
            self._transport.abort()
            return
        self._within(ASK_S, self._give_up)

    def connection_lost(self, error: Exception | None) -> None:
        self._leave()
        self._house.door.leave(self._address)
        self._rest()

    def data_received(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            self._take(event)
        self._flush()

    def eof_received(self) -> bool:
        return False  # the transport closes itself

    def pause_writing(self) -> None:
        self.is_behind = True
        self.behind_since_s = asyncio.get_running_loop().time()
        # Not before: asyncio's TLS flushes nothing of its handshake while it is not read.
        if self._dialogue is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self.is_behind = False
        if not self._transport.is_closing():
            self._transport.resume_reading()

    # What the house does with it

    def ping(self) -> None:
        """Once in a while: what lies between keeps no connection that is silent."""
        if not self.is_behind:
            self.write(PING)

    def forget_said(self) -> None:
        self._said = 0

    def close(self, code: int, reason: str = "", text: bytes | None = None) -> None:
        """It gets nothing more but this."""
        if self not in self._house.clients or self._protocol.state is not State.OPEN:
            return
        self._leave()
        if text is not None:
            self._protocol.send_text(text)
        self._protocol.send_close(code, reason)
        self._flush()
        self._within(CLOSE_S, self._transport.abort)

    def _leave(self) -> None:
        self._house.audience.dismiss(self)
        self._house.clients.pop(self, None)

    # What comes

    def _take(self, event: Event) -> None:
        if isinstance(event, Request):
            self._answer_request(event)
        elif isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            self._part += event.data
            if event.fin:
                text, self._part = self._part, b""
                self._hear(text)

    def _answer_request(self, request: Request) -> None:
        path = request.path.partition("?")[0]
        refusal = self._refusal or self._house.door.look(request)
        shape = self._house.shapes.get(path)
        if refusal is not None:
            self._respond(plain(refusal.status, refusal.text, {"Retry-After": str(_RETRY_S)}))
        elif shape is not None and "Upgrade" in request.headers:
            self._open(request, shape)
        elif (give := self._house.pages.get(path)) is not None:
            self._respond(give(request))
        else:
            places = ", ".join((*self._house.pages, *self._house.shapes))
            self._respond(plain(HTTPStatus.NOT_FOUND, f"there is {places}"))

    def _respond(self, answer: Response) -> None:
        self._protocol.send_response(answer)
        self._within(ASK_S, self._transport.abort)

    def _open(self, request: Request, shape: Shape) -> None:
        answer = self._protocol.accept(request)
        self._protocol.send_response(answer)
        if answer.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            return
        house = self._house
        self._shape = shape
        self._dialogue = Dialogue(house.accepts, house.door.is_known(request), house.most_topics, house.pong)
        house.clients[self] = None
        house.counters.add("clients_opened")
        self._protocol.send_text(status("connected", "Connected Successfully"))
        if self._dialogue.is_known:
            self._rest()

    def _hear(self, text: bytes) -> None:
        if self._dialogue is None or self not in self._house.clients:
            return
        self._said += 1
        if self._said > MOST_SAID:
            self._house.counters.add("refused_words")
            self.close(POLICY_VIOLATION, "too many messages")
            return
        was_known = self._dialogue.is_known
        self._obey(self._dialogue, self._dialogue.hear(text))
        if self._dialogue.is_known and not was_known:
            self._rest()

    def _obey(self, dialogue: Dialogue, answer: Answer) -> None:
        if answer.topics is not None:
            dialogue.topics = self._house.audience.place(self, answer.topics, self._shape)
        if answer.close is not None:
            self._house.counters.add("refused_token")
            self.close(answer.close, text=answer.text)
        elif answer.text is not None:
            self._protocol.send_text(answer.text)

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self.write(data)
            else:  # the end
                self._leave()
                self._transport.close()

    def _within(self, seconds: float, then: Callable[[], None]) -> None:
        self._rest()
        self._clock = asyncio.get_running_loop().call_later(seconds, then)

    def _rest(self) -> None:
        """Nothing is waited for."""
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _give_up(self) -> None:
        """On who has not asked for anything, or has not said who it is."""
        if self in self._house.clients:
            self.close(POLICY_VIOLATION, text=_AUTH_TIMEOUT)
        else:
            self._transport.abort()
