"""Frames of a server (RFC 6455, 5.2), made once for many clients: it masks nothing, so that all can have the same
bytes."""

from __future__ import annotations

from trade_balancer.errors import MissingExtraError

try:
    from websockets.frames import Frame, Opcode
except ImportError:
    raise MissingExtraError("lb-emit", "websockets", "emit") from None


def text_frame(payload: bytes) -> bytes:
    return Frame(Opcode.TEXT, payload).serialize(mask=False)


PING = Frame(Opcode.PING, b"").serialize(mask=False)
