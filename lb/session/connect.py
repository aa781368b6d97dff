"""From an endpoint to a subscribed session: name, TCP, TLS, upgrade, dialogue.

Law: blocking, for a thread of its own (attempt.py). Every step has a time limit; every failure is a SessionError that
names host and step.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct

import websocket

from lb import logs
from lb.config import Config, Endpoint, Tls
from lb.errors import ConnectFailed, SessionLost, Unavailable
from lb.feeds import polygon
from lb.pump import Source
from lb.session.tls import UserTls
from lb.version import VERSION

STEP_TIMEOUT_S = 10.0
"""Longest wait for one answer: a connection, a handshake's next flight, a line of the upgrade, a status."""

RECEIVE_BUFFER_BYTES = 16 << 20
"""Of the socket: what the kernel takes from the feed while we are stopped, about 100 ms of the busiest seconds."""


class Session:
    """A subscribed connection. Owns its socket; the pump reads it, and Python sends on it."""

    def __init__(self, stream: socket.socket | UserTls, upgraded: websocket.WebSocket, description: str) -> None:
        self._stream = stream
        self._websocket = upgraded
        self.description = description
        self.source = Source.CALLER if isinstance(stream, UserTls) else Source.SOCKET
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
            raise SessionLost(f"receiving failed: {_reason(error)}") from None

    def send(self, opcode: int, payload: bytes) -> None:
        """Send one frame. Raises SessionLost: a peer whose window is closed to so small a frame does not listen any
        more."""
        try:
            self._websocket.send(payload, opcode)
        except (OSError, websocket.WebSocketException) as error:
            raise SessionLost(f"sending failed: {_reason(error)}") from None

    def close(self, code: int | None) -> None:
        """Close the connection, after a close frame with `code` (RFC 6455 section 7.4) if one is given and can be
        sent."""
        if code is not None:
            with contextlib.suppress(SessionLost):
                self.send(websocket.ABNF.OPCODE_CLOSE, struct.pack("!H", code))
        self._stream.close()


def connect_tcp(endpoint: Endpoint) -> socket.socket:
    """Connect to the first address of the host that answers. Raises ConnectFailed with what each said."""
    place = f"{endpoint.host}:{endpoint.port}"
    try:
        addresses = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConnectFailed(f"host {endpoint.host!r} can't be resolved: {_reason(error)}") from None
    refusals = []
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(STEP_TIMEOUT_S)
            _enlarge_receive_buffer(sock)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect(address)
            return sock
        except OSError as error:
            refusals.append(f"{address[0]}: {_reason(error)}")
            sock.close()
    raise ConnectFailed(f"no connection to {place}: {'; '.join(refusals)}")


def _enlarge_receive_buffer(sock: socket.socket) -> None:
    """Past net.core.rmem_max only with CAP_NET_ADMIN. Without it the kernel's own tuning goes further than a fixed
    size could."""
    so_rcvbufforce = 33  # asm-generic/socket.h; Python does not name it
    with contextlib.suppress(PermissionError):
        sock.setsockopt(socket.SOL_SOCKET, so_rcvbufforce, RECEIVE_BUFFER_BYTES)


def trust(config: Config) -> ssl.SSLContext:
    """The context that checks the feed's certificate. Raises Unavailable when --ca-file can't be used."""
    try:
        context = ssl.create_default_context(cafile=config.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise Unavailable(f"--ca-file {config.ca_file!r} can't be used: {_reason(error)}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _shake_hands(config: Config, sock: socket.socket) -> UserTls:
    host = config.endpoint.host
    try:
        return UserTls(sock, trust(config), host)
    except ssl.SSLCertVerificationError as error:
        raise ConnectFailed(f"certificate of {host} is refused: {error.verify_message}") from None
    except OSError as error:
        raise ConnectFailed(f"TLS handshake with {host} failed: {_reason(error)}") from None


def _upgrade(endpoint: Endpoint, stream: socket.socket | UserTls) -> websocket.WebSocket:
    try:
        upgraded = websocket.create_connection(
            endpoint.url,
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
        raise ConnectFailed(f"upgrade of {endpoint.url} failed: {_reason(error)}") from None
    if upgraded.getstatus() != 101:
        raise ConnectFailed(
            f"{endpoint.url} answers the upgrade with a redirection, HTTP status {upgraded.getstatus()}"
        )
    return upgraded


def _converse(config: Config, upgraded: websocket.WebSocket, messages: list[bytes]) -> None:
    """Authenticate and subscribe. Every message received goes into `messages`, also when this fails: it may hold
    records."""
    dialogue = polygon.Dialogue(config.key.reveal(), config.subscribe)
    while dialogue.step is not polygon.Step.SUBSCRIBED:
        opcode, message = upgraded.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            raise ConnectFailed(f"the feed closed the session before it began: {close_reason(message)}")
        messages.append(message)
        for status in polygon.statuses_of(message):
            answer = dialogue.receive(status)
            if answer is not None:
                upgraded.send(answer.decode())


def open_session(config: Config, messages: list[bytes]) -> Session:
    """Open a session and subscribe. `messages` takes what the feed said meanwhile. Raises SessionError or
    Unavailable."""
    sock = connect_tcp(config.endpoint)
    stream: socket.socket | UserTls = sock
    try:
        description = "none"
        if config.endpoint.is_tls:
            stream = user_tls = _shake_hands(config, sock)
            description = f"user {user_tls.description}"
        upgraded = _upgrade(config.endpoint, stream)
        logs.debug("upgraded", url=config.endpoint.url, tls=description)
        _converse(config, upgraded, messages)
        return Session(stream, upgraded, description)
    except (OSError, websocket.WebSocketException) as error:
        stream.close()
        raise ConnectFailed(f"the feed ended the dialogue: {_reason(error)}") from None
    except BaseException:
        stream.close()
        raise


def check(config: Config) -> None:
    """Whether a session can be opened here at all. Raises Unavailable where the answer does not depend on the feed."""
    if config.tls is Tls.KERNEL:
        raise Unavailable("--tls kernel: this version has no kernel TLS yet; use --tls auto or --tls user")
    if config.endpoint.is_tls:
        trust(config)


def close_reason(payload: bytes) -> str:
    """A close frame's payload for people."""
    if len(payload) < 2:
        return "no close code"
    return f"close code {int.from_bytes(payload[:2], 'big')} {payload[2:].decode('utf-8', 'replace')}".strip()


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    if isinstance(error, TimeoutError | websocket.WebSocketTimeoutException):
        return f"no answer within {STEP_TIMEOUT_S:g} s"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
