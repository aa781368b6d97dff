"""A message that is no array of objects: what came before the fault is delivered, its rest skipped, the next read."""

from __future__ import annotations

import model
import pytest
import strategies
from model import BINARY, CONTINUATION, TEXT, Fault, Frame
from pumping import Rig, assert_delivered, assert_same_events, modelled

from lb.pump import Malformed, Route, Source

A, B, C = b'{"a":1}', b'{"b":2}', b'{"c":3}'

CASES = {
    "an object": (A, model.NOT_ARRAY, 0, []),
    "nothing": (b"", model.NOT_ARRAY, 0, []),
    "white space": (b" \n", model.NOT_ARRAY, 2, []),
    "text": (b"Internal Server Error", model.NOT_ARRAY, 0, []),
    "a number in the array": (b"[1]", model.NOT_OBJECT, 1, []),
    "an array in the array": (b"[" + A + b",[]]", model.NOT_OBJECT, 9, [A]),
    "a comma first": (b"[," + A + b"]", model.NOT_OBJECT, 1, []),
    "a comma last": (b"[" + A + b",]", model.NOT_OBJECT, 9, [A]),
    "two commas": (b"[" + A + b",," + B + b"]", model.NOT_OBJECT, 9, [A]),
    "no comma": (b"[" + A + B + b"]", model.NO_SEPARATOR, 8, [A]),
    "a brace too many": (b"[" + A + b"}," + B + b"]", model.NO_SEPARATOR, 8, [A]),
    "a second array": (b"[" + A + b"][" + B + b"]", model.TRAILING, 9, [A]),
    "a zero byte behind": (b"[" + A + b"]\0", model.TRAILING, 9, [A]),
    "only the opening bracket": (b"[", model.TRUNCATED, 1, []),
    "no closing bracket": (b"[" + A + b"," + B, model.TRUNCATED, 16, [A, B]),
    "no object behind the comma": (b"[" + A + b",", model.TRUNCATED, 9, [A]),
    "an object cut short": (b"[" + A + b"," + B[:4], model.TRUNCATED, 9, [A]),
    "a string cut short": (b"[" + A + b',{"b":"]}', model.TRUNCATED, 9, [A]),
    "a string that ends in a backslash": (b"[" + A + b',{"b":"\\"}]', model.TRUNCATED, 9, [A]),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("source", [Source.SOCKET, Source.CALLER])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_the_fault_is_named_and_placed(name: str, source: Source, opcode: int) -> None:
    message, fault, offset_bytes, records = CASES[name]
    frames = [Frame(TEXT, b"[" + C + b"]"), Frame(opcode, message), Frame(TEXT, b"[" + C + b"]")]
    expected = modelled(2, Route.ROUND_ROBIN)
    expected.session(frames)
    assert expected.events == [Fault(fault, offset_bytes, message[offset_bytes:])]
    assert sum(map(len, expected.pipes)) == len(records) + 2
    sent = b"".join(map(model.wire, frames))
    for sizes in ([len(sent)], [1], [2], [7, 3]):
        with Rig(pipes=2, source=source) as rig:
            for piece in strategies.cut_into(sent, sizes):
                rig.send(piece)
            rig.drain()
            assert_delivered(rig, expected)
            assert rig.pump.counters().malformed_total == 1


def test_the_sample_shows_the_fault_and_not_the_whole_message() -> None:
    with Rig() as rig:
        rig.feed.send(model.wire(Frame(TEXT, b"[" + A + b"], garbage" + b"x" * 10_000)))
        event = None
        while not isinstance(event, Malformed):
            event = rig.pump.run(1 << 62)
        assert event == Malformed(model.TRAILING, 9, b", garbage" + b"x" * 111)


def test_a_message_has_one_fault_only() -> None:
    with Rig() as rig:
        rig.send_frames([Frame(TEXT, b"x[" + A + b"]]]][[[,,,"), Frame(TEXT, b"[" + B + b"]")])
        rig.drain()
        assert len(rig.events) == 1
        assert rig.received[0][4:] == B


@pytest.mark.parametrize("sizes", [[1], [50], [99, 1], [150], [1 << 20]], ids=str)
@pytest.mark.parametrize("length", [99, 100, 101, 102, 350])
def test_a_record_over_max_frame_bytes_in_fragments(sizes: list[int], length: int) -> None:
    """No frame is too long, the record is: only what came before it, and what comes after its message, is dealt."""
    for record in (b'{"a":"' + b"x" * (length - 8) + b'"}', b'{"a":"\\n' + b"x" * (length - 10) + b'"}'):
        text = b"[" + A + b"," + record + b"," + B + b"]"
        pieces = [text[at : at + 60] for at in range(0, len(text), 60)]
        frames = [
            Frame(CONTINUATION if number else TEXT, piece, number == len(pieces) - 1)
            for number, piece in enumerate(pieces)
        ]
        frames.append(Frame(TEXT, b"[" + C + b"]"))
        expected = modelled(1, Route.ROUND_ROBIN, max_frame_bytes=100)
        expected.session(frames)
        with Rig(max_frame_bytes=100) as rig:
            for piece in strategies.cut_into(b"".join(map(model.wire, frames)), sizes):
                rig.send(piece)
            rig.drain()
            assert_same_events(rig.events, expected.events)
            assert bytes(rig.received[0]) == expected.stream(0)
            assert bool(rig.events) == (length > 100)
