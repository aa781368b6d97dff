"""Websocket frames (RFC 6455 section 5) and UTF-8 (section 8.1): what is taken, and what refused with which code."""

from __future__ import annotations

from itertools import product

import model
import pytest
from model import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Control, Failure, Frame
from pumping import Rig, assert_delivered, modelled

from lb.errors import ProtocolError
from lb.pump import Pump, Route, Source, Wake

TRADE = b'{"ev":"T","sym":"AAPL","p":1}'
MESSAGE = b"[" + TRADE + b"]"
MAX_FRAME_BYTES = 100_000
FAR_NS = 1 << 62


def framed(*records: bytes) -> bytes:
    return b"".join(len(record).to_bytes(4, "little") + record for record in records)


REFUSED = {
    "first reserved bit": (b"\xc1\x00", 1002),
    "second reserved bit": (b"\xa1\x00", 1002),
    "third reserved bit": (b"\x91\x00", 1002),
    "reserved bit of a control frame": (b"\xc9\x00", 1002),
    **{
        f"reserved opcode {opcode:#x}": (bytes([0x80 | opcode, 0]), 1002)
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    },
    "masked frame": (b"\x81\x81\x00\x00\x00\x00[", 1002),
    "masked ping": (b"\x89\x80\x00\x00\x00\x00", 1002),
    "fragmented ping": (b"\x09\x00", 1002),
    "fragmented close": (b"\x08\x00", 1002),
    "ping over 125 bytes": (b"\x89\x7e\x00\x7e" + bytes(126), 1002),
    "close with a 64-bit length": (b"\x88\x7f" + bytes(8), 1002),
    "16-bit length of 125": (b"\x81\x7e\x00\x7d", 1002),
    "16-bit length of 0": (b"\x82\x7e\x00\x00", 1002),
    "64-bit length of 65535": (b"\x81\x7f" + (65535).to_bytes(8, "big"), 1002),
    "64-bit length of 0": (b"\x81\x7f" + bytes(8), 1002),
    "length of 2^63": (b"\x81\x7f" + (1 << 63).to_bytes(8, "big"), 1002),
    "length of 2^64 - 1": (b"\x81\x7f" + b"\xff" * 8, 1002),
    "length of 2^63 - 1": (b"\x81\x7f" + ((1 << 63) - 1).to_bytes(8, "big"), 1009),
    "one byte over max_frame_bytes": (b"\x81\x7f" + (MAX_FRAME_BYTES + 1).to_bytes(8, "big"), 1009),
    "continuation of nothing": (b"\x80\x00", 1002),
    "continuation behind a whole message": (model.wire(Frame(TEXT, MESSAGE)) + b"\x80\x00", 1002),
    "text inside a message": (b"\x01\x00" + b"\x81\x00", 1002),
    "binary inside a message": (b"\x01\x00" + b"\x82\x00", 1002),
}


@pytest.mark.parametrize("cut_into_bytes", [False, True], ids=["at once", "byte by byte"])
@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, cut_into_bytes: bool) -> None:
    """Where a header alone tells, it is refused before a byte of payload is there. What came before is delivered."""
    sent, close_code = REFUSED[name]
    with Rig(max_frame_bytes=MAX_FRAME_BYTES) as rig:
        rig.send(model.wire(Frame(TEXT, MESSAGE)))
        for piece in [sent[at : at + 1] for at in range(len(sent))] if cut_into_bytes else [sent]:
            rig.send(piece)
        rig.drain()
        assert rig.events == [Failure(close_code)]
        messages_before = 1 + sent.count(MESSAGE)
        assert rig.received[0] == framed(*[TRADE] * messages_before)


def test_too_long_a_frame_is_named_with_its_bound() -> None:
    with Rig(max_frame_bytes=1000) as rig:
        rig.feed.send(b"\x81\x7e" + (1001).to_bytes(2, "big"))
        with pytest.raises(ProtocolError, match="frame over max_frame_bytes=1000") as raised:
            rig.pump.run(FAR_NS)
        assert raised.value.close_code == 1009


def test_a_frame_of_max_frame_bytes_is_taken() -> None:
    with Rig(max_frame_bytes=MAX_FRAME_BYTES) as rig:
        record = b'{"a":"' + b"x" * (MAX_FRAME_BYTES - 10) + b'"}'
        assert len(record) + 2 == MAX_FRAME_BYTES
        rig.send_frames([Frame(TEXT, b"[" + record + b"]")])
        rig.drain()
        assert rig.received[0] == framed(record)


@pytest.mark.parametrize("length", [2, 3, 124, 125, 126, 127, 128, 65534, 65535, 65536, 65537, 200_000])
@pytest.mark.parametrize("source", [Source.SOCKET, Source.CALLER])
def test_every_form_of_length_cut_anywhere_in_its_header(length: int, source: Source) -> None:
    message = b"[" + TRADE + b" " * (length - len(TRADE) - 2) + b"]" if length > len(MESSAGE) else b"[]".ljust(length)
    sent = model.wire(Frame(TEXT, message)) + model.wire(Frame(TEXT, MESSAGE))
    for at in range(1, 13):
        with Rig(source=source) as rig:
            rig.send(sent[:at])
            rig.send(sent[at:])
            rig.drain()
            assert rig.received[0] == framed(*[TRADE] * sent.count(TRADE))
            assert rig.events == []


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
@pytest.mark.parametrize("length", [0, 1, 2, 124, 125])
def test_a_control_frame_comes_with_its_payload(opcode: int, length: int) -> None:
    payload = bytes(range(length))
    sent = model.wire(Frame(opcode, payload))
    for at in range(len(sent)):
        with Rig() as rig:
            rig.send(sent[:at])
            assert rig.events == []
            rig.send(sent[at:])
            assert rig.events == [Control(opcode, payload)]


def test_control_frames_between_fragments_come_between_their_records() -> None:
    status = b'{"ev":"status","status":"success"}'
    frames = [
        Frame(TEXT, b"[" + TRADE + b"," + status, fin=False),
        Frame(PING, b"one"),
        Frame(CONTINUATION, b"", fin=False),
        Frame(PONG, b""),
        Frame(CONTINUATION, b"," + TRADE[:10], fin=False),
        Frame(PING, b"two"),
        Frame(CONTINUATION, TRADE[10:] + b"," + status + b"]"),
        Frame(PING, b"three"),
    ]
    expected = modelled(2, Route.ROUND_ROBIN)
    expected.session(frames)
    with Rig(pipes=2) as rig:
        rig.send_frames(frames)
        rig.drain()
        assert_delivered(rig, expected)
    kinds = [event.payload if isinstance(event, Control) else "status" for event in rig.events]
    assert kinds == ["status", b"one", b"", b"two", "status", b"three"]


@pytest.mark.parametrize("source", [Source.SOCKET, Source.CALLER])
def test_a_flood_of_pings_inside_a_message_needs_no_memory(source: Source) -> None:
    """More bytes of control frames than the input has room for, while the beginning of a record waits for its end."""
    pings = [Frame(PING, b"x" * 125)] * 1000
    with Rig(max_frame_bytes=1000, source=source) as rig:
        rig.send_frames([Frame(TEXT, b"[" + TRADE[:10], fin=False)])
        for _ in range(30):
            rig.send_frames(pings)
        rig.send_frames([Frame(CONTINUATION, TRADE[10:] + b"]")])
        rig.drain()
        assert rig.received[0] == framed(TRADE)
        assert rig.events == [Control(PING, b"x" * 125)] * 30_000


@pytest.mark.parametrize("source", [Source.SOCKET, Source.CALLER])
def test_a_long_record_in_fragments_of_a_byte_needs_no_more_memory_than_in_one(source: Source) -> None:
    """The frames' headers are twice as long as the record, and all together longer than the input."""
    record = b'{"a":"' + b"x" * 999_000 + b'"}'
    message = b"[" + record + b"]"
    fragments = b"".join(b"\x00\x01" + message[at : at + 1] for at in range(1, len(message) - 1))
    with Rig(max_frame_bytes=len(record), source=source, high_water_bytes=2_000_000) as rig:
        rig.send(b"\x01\x01[" + fragments + b"\x80\x01]")
        while rig.pump.counters().frames_total < len(message):
            rig.send(b"")
        rig.drain()
        assert rig.received[0] == framed(record)


def test_what_follows_a_close_frame_is_not_dealt() -> None:
    """RFC 6455 section 1.4: a peer discards any further data received."""
    with Rig() as rig:
        rig.feed.send(
            b"".join(map(model.wire, [Frame(TEXT, MESSAGE), Frame(CLOSE, b"\x03\xe8"), Frame(TEXT, MESSAGE)]))
        )
        while not rig.events:
            rig.run_once()
        assert rig.events == [Control(CLOSE, b"\x03\xe8")]
        rig.detach()
        assert not rig.pump.has_input
        rig.drain()
        assert rig.received[0] == framed(TRADE)


EDGES = (0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF)
EDGES += (0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF)
LEADS_OF_FOUR = (0xF0, 0xF1, 0xF3, 0xF4, 0xF5)


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_utf8_is_what_python_says_it_is(length: int) -> None:
    """Every sequence of the bytes where RFC 3629 section 4 draws a line."""
    sequences = product(LEADS_OF_FOUR if length == 4 else EDGES, *[EDGES] * (length - 1))
    with Rig() as rig:
        for sequence in map(bytes, sequences):
            if b'"' in sequence or b"\\" in sequence:
                continue
            sent = model.wire(Frame(TEXT, b'[{"a":"' + sequence + b'"}]'))
            assert _is_refused(rig.pump, sent) == (not model.is_utf8(sequence)), sequence
            rig.read_all()


def _is_refused(pump: Pump, sent: bytes) -> bool:
    pump.attach(Source.CALLER, -1)
    pump.room()[: len(sent)] = sent
    pump.fed(len(sent))
    try:
        event = pump.run(0)
    except ProtocolError as error:
        return error.close_code == 1007
    finally:
        pump.detach()
    assert event is Wake.DEADLINE
    return False


OTHER_TEXTS = {
    "in a name": b'[{"%s":1}]',
    "between records": b'[{"a":1},%s{"b":2}]',
    "behind the array": b"[]%s",
    "instead of an array": b"%s",
    "in the rest of a malformed message": b"x[{}]%s",
}


@pytest.mark.parametrize("name", OTHER_TEXTS)
@pytest.mark.parametrize("character", [b"\xc3\xa9", b"\xf0\x9f\x98\x80", b"\xe2\x82\xac"])
def test_utf8_is_checked_everywhere_and_a_character_may_be_cut(name: str, character: bytes) -> None:
    for place in range(len(character) + 1):
        for end in (character[place:], b"", b"\xff"):
            pieces = OTHER_TEXTS[name].partition(b"%s")
            frames = [Frame(TEXT, pieces[0] + character[:place], fin=False), Frame(CONTINUATION, end + pieces[2])]
            expected = modelled(1, Route.ROUND_ROBIN)
            expected.session(frames)
            with Rig() as rig:
                rig.send_frames(frames)
                rig.drain()
                assert_delivered(rig, expected)


def test_what_came_before_bad_utf8_is_delivered() -> None:
    with Rig() as rig:
        rig.send_frames([Frame(TEXT, b"[" + TRADE + b"," + TRADE + b',{"a":"\xff"},' + TRADE + b"]")])
        rig.drain()
        assert rig.events == [Failure(1007)]
        assert rig.received[0] == framed(TRADE, TRADE)


def test_a_binary_message_may_hold_any_bytes() -> None:
    record = b'{"a":"' + bytes(set(range(256)) - set(b'"\\')) + b'"}'
    with Rig() as rig:
        rig.send_frames([Frame(BINARY, b"[" + record + b"]")])
        rig.drain()
        assert rig.events == []
        assert rig.received[0] == framed(record)
