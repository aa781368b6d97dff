"""Handshake messages joined from pieces, and the names and fates of alerts."""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ktls
from ktls.errors import receive_error
from ktls.records import MessageJoiner, alert_name

messages = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), max_size=8)


@given(messages, st.lists(st.integers(0, 30)))
def test_any_cut_gives_the_same_messages(expected: list[tuple[int, bytes]], cuts: list[int]) -> None:
    stream = b"".join(bytes([kind]) + len(body).to_bytes(3) + body for kind, body in expected)
    joiner, seen = MessageJoiner(), []
    for cut in [*cuts, len(stream)]:
        piece, stream = stream[:cut], stream[cut:]
        seen += list(joiner.receive(piece))
    assert seen == expected
    assert joiner.is_empty


def test_part_of_a_message_waits() -> None:
    joiner = MessageJoiner()
    assert list(joiner.receive(b"\x04\0\0\2a")) == []
    assert not joiner.is_empty
    assert list(joiner.receive(b"b")) == [(4, b"ab")]


def test_message_beyond_any_sense_is_refused_before_its_body() -> None:
    with pytest.raises(ktls.UnexpectedMessage, match="131073 bytes exceeds 131072 bytes"):
        list(MessageJoiner().receive(b"\x04\x02\x00\x01"))


def test_every_error_says_whether_to_try_again() -> None:
    assert [alert_name(number) for number in (0, 40, 116, 255)] == [
        "close_notify",
        "handshake_failure",
        "certificate_required",
        "number 255",
    ]
    assert not ktls.AlertReceived("unknown_ca", "").retry
    assert ktls.AlertReceived("internal_error", "").retry
    assert not ktls.CertificateRefused("").retry
    assert ktls.HandshakeTimeout("").retry
    assert ktls.Truncated("").retry
    assert not ktls.KernelUnsupported("").retry


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("EBADMSG", ktls.RecordForged),
        ("EMSGSIZE", ktls.RecordMalformed),
        ("EINVAL", ktls.RecordMalformed),
        ("ECONNRESET", ConnectionResetError),
    ],
)
def test_errno_of_recvmsg_has_a_name(name: str, kind: type[OSError]) -> None:
    assert type(receive_error(getattr(errno, name))) is kind
