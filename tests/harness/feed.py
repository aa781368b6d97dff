"""A feed whose every byte the test decides: it plays the server by hand, one call per step.

Law: written on sockets alone, and knows RFC 6455 from its own few lines, so that a fault of `lb` is not shared by its
judge. Every wait ends after TIMEOUT_S with an error.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import json
import socket
import ssl
import struct
import termios
import time
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

TIMEOUT_S = 20.0

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 0x1, 0x2, 0x0, 0x8, 0x9, 0xA

CONNECTED = b'[{"ev":"status","status":"connected","message":"Connected Successfully"}]'
AUTH_SUCCESS = b'[{"ev":"status","status":"auth_success","message":"authenticated"}]'
SUBSCRIBED = b'[{"ev":"status","status":"success","message":"subscribed to: T.*"}]'

_ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


@dataclass(frozen=True)
class Frame:
    """A frame from `lb`, unmasked."""

    opcode: int
    payload: bytes

    @property
    def close_code(self) -> int:
        assert self.opcode == CLOSE
        return int.from_bytes(self.payload[:2], "big")


def frame(
    payload: bytes, opcode: int = TEXT, *, fin: bool = True, rsv: int = 0, masked: bool = False, length_bytes: int = 0
) -> bytes:
    """A frame as a server sends it. `length_bytes`: 2 or 8 forces that form of the length, fitting or not."""
    size = len(payload)
    mask_bit = 0x80 if masked else 0
    if length_bytes == 8 or size > 0xFFFF:
        header = struct.pack("!BQ", 127 | mask_bit, size)
    elif length_bytes == 2 or size > 125:
        header = struct.pack("!BH", 126 | mask_bit, size)
    else:
        header = struct.pack("!B", size | mask_bit)
    first = bytes([fin << 7 | rsv << 4 | opcode])
    return first + header + (b"\0\0\0\0" if masked else b"") + payload


def message(records: Iterable[bytes]) -> bytes:
    """The text of one message."""
    return b"[" + b",".join(records) + b"]"


class Peer:
    """One connection of `lb` to the feed, seen from the feed."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._input = b""
        self.request = ""

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.fin()

    # the upgrade

    def read_request(self) -> str:
        """The upgrade request, up to its empty line."""
        while b"\r\n\r\n" not in self._input:
            self._read_more()
        head, _, self._input = self._input.partition(b"\r\n\r\n")
        self.request = head.decode()
        return self.request

    @property
    def headers(self) -> dict[str, str]:
        """Of the request; names in lower case."""
        pairs = (line.partition(":") for line in self.request.split("\r\n")[1:])
        return {name.lower(): value.strip() for name, _, value in pairs}

    def accept_key(self) -> str:
        key = self.headers["sec-websocket-key"].encode()
        return base64.b64encode(hashlib.sha1(key + _ACCEPT_GUID).digest()).decode()

    def upgrade(self, behind: bytes = b"") -> Peer:
        """Take the request and answer 101. `behind` is sent in the same segment."""
        self.read_request()
        self.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + self.accept_key().encode() + b"\r\n\r\n" + behind
        )
        return self

    # the dialogue

    def converse(self) -> Peer:
        """connected, auth, auth_success, subscribe, its acknowledgement: a session begins."""
        self.say(CONNECTED)
        self.receive_action("auth")
        self.say(AUTH_SUCCESS)
        self.receive_action("subscribe")
        self.say(SUBSCRIBED)
        return self

    def receive_action(self, action: str) -> str:
        """The params of the next message, which must be this action."""
        said = self.receive_json()
        assert said.keys() == {"action", "params"}
        assert said["action"] == action
        return str(said["params"])

    def receive_json(self) -> dict[str, Any]:
        received = self.receive()
        assert received.opcode == TEXT, received
        said = json.loads(received.payload)
        assert isinstance(said, dict)
        return said

    # frames

    def say(self, text: bytes) -> None:
        """Send one text message in one frame."""
        self.send(frame(text))

    def send(self, raw: bytes) -> None:
        """Send any bytes."""
        self._sock.sendall(raw)

    def await_arrival(self) -> None:
        """Until the other end's kernel has taken all that was sent, whether `lb` reads it or not."""
        unsent = array("i", [1])
        deadline_s = time.monotonic() + TIMEOUT_S
        while unsent[0]:
            assert time.monotonic() < deadline_s, f"{unsent[0]} bytes do not arrive"
            fcntl.ioctl(self._sock, termios.TIOCOUTQ, unsent)  # SIOCOUTQ, tcp(7)

    def receive(self) -> Frame:
        """The next frame from `lb`, which must be masked and whole (RFC 6455 section 5.1). Raises EOFError."""
        first, second = self._take(2)
        assert first & 0xF0 == 0x80, f"not a single frame without reserved bits: {first:#x}"
        assert second & 0x80, "a client's frame must be masked"
        length = second & 0x7F
        if length > 125:
            length = int.from_bytes(self._take(2 if length == 126 else 8), "big")
        mask = self._take(4)
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(self._take(length)))
        return Frame(first & 0x0F, payload)

    def receive_to_end(self) -> list[Frame]:
        """All frames until `lb` closes the connection."""
        received = []
        with contextlib.suppress(EOFError, ConnectionResetError):
            while True:
                received.append(self.receive())
        return received

    # the end

    def close(self, code: int, reason: bytes = b"") -> None:
        """Send a close frame."""
        self.send(frame(struct.pack("!H", code) + reason, CLOSE))

    def fin(self) -> None:
        """Close the connection without a close frame; with TLS without a close_notify, too."""
        self._sock.close()

    def reset(self) -> None:
        """Abort the connection: the other end gets ECONNRESET."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def close_notify(self) -> None:
        """End the TLS session properly, and the connection."""
        assert isinstance(self._sock, ssl.SSLSocket)
        with contextlib.suppress(OSError):
            self._sock.unwrap()
        self._sock.close()

    def _take(self, size: int) -> bytes:
        while len(self._input) < size:
            self._read_more()
        taken, self._input = self._input[:size], self._input[size:]
        return taken

    def _read_more(self) -> None:
        more = self._sock.recv(65536)
        if not more:
            raise EOFError("lb has closed the connection")
        self._input += more


def asked(peer: Peer, method: str) -> list[str]:
    """Of Binance: the names in the next message, which must be this request; it is answered."""
    request = peer.receive_json()
    assert request["method"] == method
    peer.say(b'{"result":null,"id":%d}' % request["id"])
    return list(request["params"])


class Feed:
    """On a free port of loopback; `tls` is the context of a server, for wss. `patience_s`: with who is to
    call, and with each answer."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        ipv6: bool = False,
        name: str | None = None,
        patience_s: float = TIMEOUT_S,
    ) -> None:
        host = "::1" if ipv6 else "127.0.0.1"
        self._listener = socket.create_server((host, 0), family=socket.AF_INET6 if ipv6 else socket.AF_INET)
        self._patience_s = patience_s
        self._listener.settimeout(patience_s)
        self._tls = tls
        self.port = int(self._listener.getsockname()[1])
        place = name or (f"[{host}]" if ipv6 else host)
        self.url = f"{'wss' if tls else 'ws'}://{place}:{self.port}/stocks"

    def __enter__(self) -> Feed:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def connection(self) -> Peer:
        """The next connection; with TLS after its handshake. Raises OSError where that fails."""
        sock, _ = self._listener.accept()
        sock.settimeout(self._patience_s)
        if self._tls is not None:
            try:
                sock = self._tls.wrap_socket(sock, server_side=True)
            except BaseException:
                sock.close()
                raise
        return Peer(sock)

    def session(self) -> Peer:
        """The next connection, upgraded and subscribed."""
        return self.connection().upgrade().converse()

    def has_caller(self) -> bool:
        """Whether a connection waits already."""
        self._listener.settimeout(0)
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return False
        finally:
            self._listener.settimeout(self._patience_s)
        sock.close()
        return True
