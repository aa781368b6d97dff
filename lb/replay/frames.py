"""Frames as a server sends them: unmasked, RFC 6455 section 5.2. Bytes in, bytes out."""

from collections.abc import Iterator

_FIN = 0x80
_CONTINUATION, _TEXT, _PING = 0x0, 0x1, 0x9

# Between two fragments goes a ping with this payload, so that a client meets control frames inside a message.
_FRAGMENT_PING = b"between"


def _header(opcode: int, payload_bytes: int, fin: bool = True) -> bytes:
    """The header of one frame: the length in 7, 16 or 64 bits, the shortest that holds it."""
    first = bytes([(_FIN if fin else 0) | opcode])
    if payload_bytes < 126:
        return first + bytes([payload_bytes])
    if payload_bytes < 1 << 16:
        return first + b"\x7e" + payload_bytes.to_bytes(2, "big")
    return first + b"\x7f" + payload_bytes.to_bytes(8, "big")


def text_frame(payload: bytes) -> bytes:
    """A whole message in one text frame."""
    return _header(_TEXT, len(payload)) + payload


def fragmented(payload: bytes, fragment_bytes: int) -> bytes:
    """A message in frames of at most `fragment_bytes` of payload, with a ping between every two of them."""
    return b"".join(_fragments(payload, fragment_bytes))


def _fragments(payload: bytes, fragment_bytes: int) -> Iterator[bytes]:
    for start in range(0, max(len(payload), 1), fragment_bytes):
        if start:
            yield _header(_PING, len(_FRAGMENT_PING)) + _FRAGMENT_PING
        part = payload[start : start + fragment_bytes]
        opcode = _CONTINUATION if start else _TEXT
        yield _header(opcode, len(part), fin=start + fragment_bytes >= len(payload)) + part
