"""The HTTP exchange that makes a connection a websocket (RFC 6455 section 4), bytes in and bytes out.

Law: no I/O. Whatever the server answers is taken, or refused with an error that names it; what stands behind the
answer is the session's first bytes and not looked at. No extension and no subprotocol is asked for.
"""

from __future__ import annotations

import base64
import hashlib

from lb.endpoint import Endpoint
from lb.feed.session.answer import AnswerReader
from lb.version import VERSION

NONCE_BYTES = 16

_ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Upgrade:
    """One exchange. `nonce`: 16 random bytes. `now_s`: the time of day, for a Retry-After that is a date."""

    def __init__(self, endpoint: Endpoint, nonce: bytes, now_s: float) -> None:
        self._endpoint = endpoint
        self._key = base64.b64encode(nonce)
        self._now_s = now_s
        self._reader = AnswerReader(f"upgrade of {endpoint.url}")
        self.failure = self._reader.failure

    def request(self) -> bytes:
        """What to send."""
        lines = [
            f"GET {self._endpoint.target} HTTP/1.1",
            f"Host: {host_of(self._endpoint)}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {self._key.decode()}",
            "Sec-WebSocket-Version: 13",
            f"User-Agent: trade-balancer/{VERSION}",
        ]
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("ascii")

    def receive(self, data: bytes) -> bytes | None:
        """Take what has come; b"" is the stream's end. None: the answer is not whole yet; else the bytes behind it.

        Raises ConnectFailed unless the server agrees.
        """
        answer = self._reader.receive(data)
        if answer is None:
            return None
        if answer.status != 101:
            raise answer.refusal(f"{self._endpoint.url} answers the upgrade", self._now_s)
        if (fault := self._fault_of(answer.headers)) is not None:
            raise self._reader.failure(f"the answer 101 {fault}")
        return answer.rest

    def _fault_of(self, headers: dict[str, str]) -> str | None:
        tokens = [token.strip().lower() for token in headers.get("connection", "").split(",")]
        accept = base64.b64encode(hashlib.sha1(self._key + _ACCEPT_GUID).digest()).decode()
        if headers.get("upgrade", "").lower() != "websocket" or "upgrade" not in tokens:
            return "does not name the websocket protocol"
        if headers.get("sec-websocket-accept") != accept:
            return "has a wrong Sec-WebSocket-Accept"
        for name in ("sec-websocket-extensions", "sec-websocket-protocol"):
            if headers.get(name):
                return f"has a {name} that was not asked for: {headers[name]!r}"
        return None


def host_of(endpoint: Endpoint) -> str:
    """The Host header: without the zone of an IPv6 address (RFC 6874 section 1), without a default port."""
    host = endpoint.host.partition("%")[0]
    host = f"[{host}]" if ":" in host else host.encode("idna").decode("ascii")
    return host if endpoint.port == (443 if endpoint.is_tls else 80) else f"{host}:{endpoint.port}"
