"""Frames are read back by websockets' parser; reels know where everything is in them."""

import pytest
from feed_client import message, record, unhurried
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from lb.replay.frames import fragmented, text_frame
from lb.replay.reel import Reel
from lb.replay.tape import Tape
from lb.replay.topics import Topic, Topics

ALL_TRADES = Topics([Topic("T", "*")])


def parsed(frames: bytes) -> list[Frame]:
    protocol = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN, max_size=None)
    protocol.receive_data(frames)
    assert protocol.parser_exc is None
    return [event for event in protocol.events_received() if isinstance(event, Frame)]


def texts(frames: bytes) -> list[bytes]:
    """The messages in some frames, put together again."""
    messages: list[bytes] = []
    for frame in parsed(frames):
        if frame.opcode is Opcode.TEXT:
            messages.append(b"")
        if frame.opcode in (Opcode.TEXT, Opcode.CONT):
            messages[-1] += bytes(frame.data)
    return messages


@pytest.mark.parametrize("size_bytes", [0, 1, 125, 126, 65_535, 65_536, 70_000])
def test_every_form_of_length(size_bytes: int) -> None:
    payload = b"x" * size_bytes
    (frame,) = parsed(text_frame(payload))
    assert (frame.opcode, frame.fin, frame.data) == (Opcode.TEXT, True, payload)


@unhurried
@given(st.binary(max_size=60), st.integers(1, 70))
def test_fragments_with_pings_between(payload: bytes, fragment_bytes: int) -> None:
    frames = parsed(fragmented(payload, fragment_bytes))
    parts, pings = frames[::2], frames[1::2]
    assert b"".join(bytes(part.data) for part in parts) == payload
    assert all(len(part.data) <= fragment_bytes for part in parts)
    assert [part.opcode for part in parts] == [Opcode.TEXT] + [Opcode.CONT] * (len(parts) - 1)
    assert [part.fin for part in parts] == [False] * (len(parts) - 1) + [True]
    assert all(ping.opcode is Opcode.PING for ping in pings)


MIXED = Tape.of(
    [
        message(record(1), record(2, event="Q"), record(3, "MSFT")),
        message(record(4, event="Q")),
        b' [ {"ev":"T" , "sym":"AAPL"} ] ',
        b'[{"ev":"status","status":"success"}]',
        message(record(5), record(6)),
    ]
)


@pytest.mark.parametrize(
    ("topics", "expected", "sources"),
    [
        (
            [Topic("T", "*")],
            [message(record(1), record(3, "MSFT")), *MIXED.messages[2:3], MIXED.messages[4]],
            [0, 2, 4],
        ),
        (
            [Topic("T", "MSFT"), Topic("Q", "*")],
            [message(record(2, event="Q"), record(3, "MSFT")), MIXED.messages[1]],
            [0, 1],
        ),
        ([Topic("A", "*")], [], []),
        ([], [], []),
    ],
)
def test_a_reel_holds_the_records_of_its_topics(topics: list[Topic], expected: list[bytes], sources: list[int]) -> None:
    reel = Reel.of_tape(MIXED, Topics(topics))
    assert texts(reel.frames) == expected
    assert list(reel.sources) == sources


def test_what_is_wanted_whole_is_kept_byte_for_byte() -> None:
    odd = b'[{"ev":"T", "p":1.50,"s":4.522e-05},  {"ev":"T"}]'
    reel = Reel.of_tape(Tape.of([odd, b"[]"]), ALL_TRADES)
    assert texts(reel.frames) == [odd, b"[]"]
    assert list(reel.records_total) == [2, 2]


def test_times_are_found_in_milliseconds_and_nanoseconds() -> None:
    text = (
        b'[{"ev":"T","pt":1781622376001,"t":1781622376002},{"ev":"T","t":1781622376003000009,"q":1},{"ev":"T","t":17}]'
    )
    reel = Reel.of_tape(Tape.of([b"[]", text, text]), ALL_TRADES, with_times=True)
    found = [reel.frames[offset : offset + 13] for offset in reel.times_of(1, 2)]
    assert found == [b"1781622376002", b"1781622376003"]
    assert len(reel.times_of(0, 3)) == 4
    assert len(reel.times_of(0, 1)) == 0
