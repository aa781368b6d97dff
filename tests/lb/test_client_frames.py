"""The frames that lb sends, and close frames as it understands them."""

from __future__ import annotations

import struct

import pytest
from harness.feed import frame
from hypothesis import given
from hypothesis import strategies as st

from lb.errors import ProtocolError
from lb.feed.session.frames import CLOSE, PING, TEXT, client_frame, close_code, close_reason, server_frame


def test_the_masked_hello_of_the_rfc() -> None:
    """RFC 6455 section 5.7."""
    mask = bytes([0x37, 0xFA, 0x21, 0x3D])
    assert client_frame(TEXT, b"Hello", mask) == bytes(
        [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]
    )


@given(
    payload=st.one_of(st.binary(max_size=300), st.sampled_from([125, 126, 65535, 65536]).map(bytes)),
    mask=st.binary(min_size=4, max_size=4),
    opcode=st.sampled_from([TEXT, PING, CLOSE]),
)
def test_a_server_reads_what_was_meant(payload: bytes, mask: bytes, opcode: int) -> None:
    sent = client_frame(opcode, payload, mask)
    assert sent[0] == 0x80 | opcode
    length, at = sent[1] & 0x7F, 2
    assert sent[1] & 0x80
    if length > 125:
        at = {126: 4, 127: 10}[length]
        length = int.from_bytes(sent[2:at], "big")
    assert length == len(payload)
    assert sent[at : at + 4] == mask
    assert bytes(byte ^ mask[k % 4] for k, byte in enumerate(sent[at + 4 :])) == payload


def test_a_close_without_a_code() -> None:
    assert close_code(b"") is None
    assert close_reason(b"") == "no close code"


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1014, 3000, 4999])
def test_a_close_with_a_code(code: int) -> None:
    assert close_code(struct.pack("!H", code) + "wörds".encode()) == code


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535])
def test_a_reserved_code_is_a_protocol_error(code: int) -> None:
    with pytest.raises(ProtocolError, match=f"reserved code {code}"):
        close_code(struct.pack("!H", code))


@pytest.mark.parametrize(("payload", "code"), [(b"x", 1002), (struct.pack("!H", 1000) + b"\xff", 1007)])
def test_a_malformed_close_is_a_protocol_error(payload: bytes, code: int) -> None:
    with pytest.raises(ProtocolError) as caught:
        close_code(payload)
    assert caught.value.close_code == code


@given(
    payload=st.one_of(st.binary(max_size=300), st.sampled_from([125, 126, 65535, 65536]).map(bytes)),
    opcode=st.sampled_from([TEXT, PING, CLOSE]),
    is_final=st.booleans(),
    before=st.binary(max_size=3),
    cut=st.integers(1, 70_000),
)
def test_a_frame_of_the_feed_is_read_where_it_is_whole(
    payload: bytes, opcode: int, is_final: bool, before: bytes, cut: int
) -> None:
    whole = bytearray(before + frame(payload, opcode, fin=is_final))
    end = len(whole)
    assert server_frame(whole + b"more", len(before)) == (opcode, is_final, payload, end)
    assert server_frame(whole[: max(end - cut, len(before))], len(before)) is None


@pytest.mark.parametrize("broken", [frame(b"x", rsv=4), frame(b"x", masked=True)])
def test_a_broken_frame_of_the_feed_is_an_error(broken: bytes) -> None:
    with pytest.raises(ProtocolError):
        server_frame(bytearray(broken), 0)
