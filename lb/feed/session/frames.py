"""The frames that a client sends, and what a close frame says (RFC 6455 sections 5.2, 5.3, 5.5, 7.4).

Law: no I/O. Frames that the feed sends are the pump's (pump/csrc/ws_frame.c), but for those of a session that the pump
does not have yet.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from lb.errors import FeedClosed, ProtocolError

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA

NORMAL_CLOSURE, GOING_AWAY = 1000, 1001

_FINAL, _MASKED = 0x80, 0x80


def client_frame(opcode: int, payload: bytes, mask: bytes) -> bytes:
    """A whole message, or a control frame, masked with the 4 bytes of `mask`."""
    length = len(payload)
    if length < 126:
        header = struct.pack("!BB", _FINAL | opcode, _MASKED | length)
    elif length <= 0xFFFF:
        header = struct.pack("!BBH", _FINAL | opcode, _MASKED | 126, length)
    else:
        header = struct.pack("!BBQ", _FINAL | opcode, _MASKED | 127, length)
    pad = (mask * (length // 4 + 1))[:length]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")
    return header + mask + masked.to_bytes(length, "big")


def close_payload(code: int) -> bytes:
    return struct.pack("!H", code)


def close_code(payload: bytes) -> int | None:
    """A close frame's code; None where it has none.

    Raises ProtocolError for a payload that RFC 6455 sections 5.5.1 and 7.4 do not allow.
    """
    if not payload:
        return None
    if len(payload) == 1:
        raise ProtocolError(1002, "close frame of 1 byte, expected none or at least 2")
    code = int.from_bytes(payload[:2], "big")
    if not (1000 <= code <= 1014 and code not in (1004, 1005, 1006)) and not 3000 <= code <= 4999:
        raise ProtocolError(1002, f"close frame with the reserved code {code}")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise ProtocolError(1007, "close reason that is not UTF-8") from None
    return code


def close_reason(payload: bytes) -> str:
    """A close frame's payload for people."""
    if len(payload) < 2:
        return "no close code"
    return f"close code {int.from_bytes(payload[:2], 'big')} {payload[2:].decode('utf-8', 'replace')}".strip()


def close_error(payload: bytes) -> FeedClosed | ProtocolError:
    """What a close frame means to who gets it."""
    try:
        code = close_code(payload)
    except ProtocolError as error:
        return error
    is_normal = code in (None, NORMAL_CLOSURE, GOING_AWAY)
    return FeedClosed(f"the feed closed the session: {close_reason(payload)}", is_normal=is_normal)


class ServerFrame(NamedTuple):
    """One that the feed has sent; `end`: where the next begins."""

    opcode: int
    is_final: bool
    payload: bytes
    end: int


def server_frame(data: bytearray, at: int) -> ServerFrame | None:
    """The frame that begins at `at`; None where it is not whole yet. Raises ProtocolError."""
    if len(data) < at + 2:
        return None
    first, second = data[at], data[at + 1]
    if first & 0x70 or second & _MASKED:
        raise ProtocolError(1002, "frame with a reserved bit set, or masked")
    extended_bytes = {126: 2, 127: 8}.get(second, 0)
    begin = at + 2 + extended_bytes
    if len(data) < begin:
        return None
    length = int.from_bytes(data[at + 2 : begin], "big") if extended_bytes else second
    if len(data) < begin + length:
        return None
    return ServerFrame(first & 0x0F, bool(first & _FINAL), bytes(data[begin : begin + length]), begin + length)
