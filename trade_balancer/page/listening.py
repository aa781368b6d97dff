"""Where HTTP is served: a socket that listens. Law: who is slow, or gone without a word, is bounded by the kernel."""

from __future__ import annotations

import socket

from trade_balancer.errors import UsageError, tell

_BACKLOG = 128
_UNACKNOWLEDGED_MS = 20_000
_SEND_BUFFER_BYTES = 128 << 10


def listening_at(address: str) -> socket.socket:
    """At HOST:PORT; warns where others than programs of this machine can connect. Raises UsageError."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 0xFFFF:
        raise UsageError(f"{address!r} is no HOST:PORT, such as 127.0.0.1:9825")
    try:
        found = socket.getaddrinfo(host.strip("[]") or "127.0.0.1", int(port), type=socket.SOCK_STREAM)
        family, _, _, _, place = found[0]
        listening = socket.create_server(place[:2], family=family, backlog=_BACKLOG)
    except OSError as fault:
        raise UsageError(f"{address}: {fault.strerror or fault}") from None
    if not is_loopback(listening):
        tell("warning: other machines may connect, and nobody is asked for a password")
    return listening


def url_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/"


def is_loopback(listening: socket.socket) -> bool:
    host = listening.getsockname()[0]
    return bool(host.startswith("127.") or host == "::1")


def bound(listening: socket.socket) -> None:
    """What its connections may leave unacknowledged, and unsent."""
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
