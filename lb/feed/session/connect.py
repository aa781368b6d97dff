"""From an endpoint to a subscribed session: name, TCP, TLS, upgrade, dialogue.

Law: blocking, for a thread of its own (attempt.py). Every step has a time limit; every failure is a SessionError that
names host and step.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable

import websocket

import ktls
from lb import logs
from lb.config import Config, Endpoint, Tls
from lb.errors import ConnectFailed, ProtocolError, SessionLost
from lb.feed.session.secure import STEP_TIMEOUT_S, Stream, reason_of, shake_hands
from lb.feed.session.tls import UserTls
from lb.feed.venues import polygon
from lb.pump import Source, TlsRecord
from lb.version import VERSION

RECEIVE_BUFFER_BYTES_MAX = 16 << 20
PEAK_BYTES_PER_S = 200_000_000
"""Of the busiest seconds: over a million trades."""
STALL_S = 0.010
"""How long we may have no CPU without the feed being held up."""


Messages = list[tuple[int, bytes]]
"""What the feed said: opcode and payload of each message (RFC 6455 section 5.6)."""


class Session:
    """A subscribed connection. Owns its socket; the pump reads it, and Python sends on it."""

    def __init__(self, stream: Stream, upgraded: websocket.WebSocket, description: str) -> None:
        self._stream = stream
        self._websocket = upgraded
        self.description = description
        self.source = _source_of(stream)
        stream.settimeout(0)

    def fileno(self) -> int:
        return self._stream.fileno()

    def read_into(self, room: memoryview) -> int:
        """Source.CALLER only: see UserTls.read_into. Raises EOFError at the end, SessionLost when the session is
        broken."""
        assert isinstance(self._stream, UserTls)
        try:
            return self._stream.read_into(room)
        except OSError as error:
            raise SessionLost(f"receiving failed: {reason_of(error)}") from None

    def control_record(self, record: TlsRecord) -> None:
        """Source.KTLS only: take a TLS record that is no application data.

        Raises EOFError after close_notify, SessionLost when the session is broken.
        """
        assert isinstance(self._stream, ktls.Socket)
        try:
            if not self._stream.control_record(record.record_type, record.content):
                raise EOFError
        except OSError as error:
            raise SessionLost(f"TLS: {reason_of(error)}") from None

    @property
    def needs_close_notify(self) -> bool:
        """Whether an end of the stream that nobody announced means that bytes may be missing."""
        return isinstance(self._stream, ktls.Socket)

    def send(self, opcode: int, payload: bytes) -> None:
        """Send one frame. Raises SessionLost: a peer whose window is closed to so small a frame does not listen any
        more."""
        try:
            self._websocket.send(payload, opcode)
        except (OSError, websocket.WebSocketException) as error:
            raise SessionLost(f"sending failed: {reason_of(error)}") from None

    def close(self, code: int | None) -> None:
        """Close the connection, after a close frame with `code` (RFC 6455 section 7.4) if one is given and can be
        sent."""
        if code is not None:
            with contextlib.suppress(SessionLost):
                self.send(websocket.ABNF.OPCODE_CLOSE, struct.pack("!H", code))
        self._stream.close()


def _source_of(stream: Stream) -> Source:
    if isinstance(stream, UserTls):
        return Source.CALLER
    return Source.KTLS if isinstance(stream, ktls.Socket) else Source.SOCKET


def connect_tcp(endpoint: Endpoint) -> socket.socket:
    """Connect to the first address of the host that answers. Raises ConnectFailed with what each said."""
    place = f"{endpoint.host}:{endpoint.port}"
    try:
        addresses = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConnectFailed(f"host {endpoint.host!r} can't be resolved: {reason_of(error)}") from None
    refusals = []
    for family, kind, protocol, _, address in addresses:
        try:
            return _connect(socket.socket(family, kind, protocol), address)
        except OSError as error:
            refusals.append(f"{address[0]}: {reason_of(error)}")
    raise ConnectFailed(f"no connection to {place}: {'; '.join(refusals)}")


def _connect(sock: socket.socket, address: tuple[object, ...]) -> socket.socket:
    try:
        sock.settimeout(STEP_TIMEOUT_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect(address)
        _set_receive_buffer(sock, receive_buffer_bytes(round_trip_s(sock)))
    except OSError:
        sock.close()
        raise
    return sock


def receive_buffer_bytes(round_trip_s: float) -> int:
    """What the feed may send at its peak while it hears nothing from us. More would be slower: a backlog that outgrows
    the CPU's caches makes every copy wait for memory."""
    return min(RECEIVE_BUFFER_BYTES_MAX, int(PEAK_BYTES_PER_S * (round_trip_s + STALL_S)))


def round_trip_s(sock: socket.socket) -> float:
    """Of the connect, as the kernel has measured it."""
    tcpi_rtt = 68  # offset of a 32-bit number of microseconds in struct tcp_info (linux/tcp.h)
    information = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, tcpi_rtt + 4)
    (round_trip_us,) = struct.unpack_from("=I", information, tcpi_rtt)
    return float(round_trip_us) / 1e6


def _set_receive_buffer(sock: socket.socket, size_bytes: int) -> None:
    """Needs CAP_NET_ADMIN. Without it the kernel's own tuning goes further than net.core.rmem_max allows us."""
    so_rcvbufforce = 33  # asm-generic/socket.h; Python does not name it
    with contextlib.suppress(PermissionError):
        sock.setsockopt(socket.SOL_SOCKET, so_rcvbufforce, size_bytes)


def _upgrade(endpoint: Endpoint, stream: Stream) -> websocket.WebSocket:
    try:
        upgraded = websocket.create_connection(
            endpoint.url.removesuffix(endpoint.path) + endpoint.target,
            timeout=STEP_TIMEOUT_S,
            socket=stream,
            header=[f"User-Agent: trade-balancer/{VERSION}"],
            suppress_origin=True,
            redirect_limit=0,
            skip_utf8_validation=True,  # the pump does it
        )
    except websocket.WebSocketBadStatusException as error:
        raise ConnectFailed(f"{endpoint.url} answers the upgrade with HTTP status {error.status_code}") from None
    except (OSError, websocket.WebSocketException) as error:
        raise ConnectFailed(f"upgrade of {endpoint.url} failed: {reason_of(error)}") from None
    if upgraded.getstatus() != 101:
        raise ConnectFailed(
            f"{endpoint.url} answers the upgrade with a redirection, HTTP status {upgraded.getstatus()}"
        )
    return upgraded


class _Frames(websocket.frame_buffer):
    """Takes no more than `limit_bytes`, and no masked frame: websocket-client does not mind either."""

    def __init__(self, upgraded: websocket.WebSocket, limit_bytes: int) -> None:
        super().__init__(upgraded.frame_buffer.recv, skip_utf8_validation=True)
        self._limit_bytes = limit_bytes
        self._announced_bytes = 0

    def recv_length(self) -> None:
        super().recv_length()
        self._announced_bytes += self.length or 0
        if self._announced_bytes > self._limit_bytes:
            raise ProtocolError(1009, f"over max_frame_bytes={self._limit_bytes} before the session began")
        if self.has_mask():
            raise ProtocolError(1002, "masked frame from the server")


def _converse(config: Config, upgraded: websocket.WebSocket, messages: Messages) -> None:
    """Authenticate and subscribe. Every message received goes into `messages`, also when this fails: it may hold
    records."""
    upgraded.frame_buffer = _Frames(upgraded, config.max_frame_bytes)
    dialogue = polygon.Dialogue(config.key.reveal(), config.subscribe)
    while dialogue.step is not polygon.Step.SUBSCRIBED:
        try:
            opcode, message = upgraded.recv_data()
        except websocket.WebSocketProtocolException as error:
            raise ProtocolError(1002, f"before the session began: {error}") from None
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            raise ConnectFailed(f"the feed closed the session before it began: {close_reason(message)}")
        messages.append((opcode, message))
        for status in polygon.statuses_of(message):
            answer = dialogue.receive(status)
            if answer is not None:
                upgraded.send(answer.decode())


def open_session(config: Config, tls: Tls, messages: Messages, hold: Callable[[socket.socket], None]) -> Session:
    """Open a session and subscribe. `messages` takes what the feed said meanwhile. `tls`: who holds the TLS session.
    `hold` is told of the connection as soon as there is one, so that another thread can end it.

    Raises SessionError or Unavailable.
    """
    sock = connect_tcp(config.endpoint)
    stream: Stream = sock
    try:
        hold(sock)
        description = "none"
        if config.endpoint.is_tls:
            stream, description = shake_hands(config, tls, sock)
        upgraded = _upgrade(config.endpoint, stream)
        logs.debug("upgraded", url=config.endpoint.url, tls=description)
        try:
            _converse(config, upgraded, messages)
        except ProtocolError as error:
            Session(stream, upgraded, description).close(error.close_code)
            raise
        return Session(stream, upgraded, description)
    except (OSError, websocket.WebSocketException) as error:
        stream.close()
        raise ConnectFailed(f"the feed ended the dialogue: {reason_of(error)}") from None
    except BaseException:
        stream.close()
        raise


def close_reason(payload: bytes) -> str:
    """A close frame's payload for people."""
    if len(payload) < 2:
        return "no close code"
    return f"close code {int.from_bytes(payload[:2], 'big')} {payload[2:].decode('utf-8', 'replace')}".strip()
