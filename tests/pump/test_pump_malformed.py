"""A message that is neither an array of objects nor one: all records that can be cut are delivered, what is none is
counted, and the next message is read."""

from __future__ import annotations

import model
import pytest
import strategies
from model import BINARY, CONTINUATION, TEXT, Fault, Frame
from pumping import Rig, assert_delivered, assert_same_events, modelled

from lb.pump import Malformed, Route, Source

FLAT = b'{"ev":"T","sym":"AAPL","i":"143541","x":4,"p":297.845,"s":40,"c":[37],"t":1781622376036,"q":4938312,"z":3}'
A, B, C = b'{"a":1}', b'{"b":2}', b'{"c":3}'

MARK = model.BYTE_ORDER_MARK

CASES = {
    "nothing": (b"", model.NOT_ARRAY, 0, [], 0),
    "white space": (b" \n", model.NOT_ARRAY, 2, [], 0),
    "text": (b"Internal Server Error", model.NOT_ARRAY, 0, [], 21),
    "a byte order mark alone": (MARK, model.NOT_ARRAY, 3, [], 0),
    "half a byte order mark": (MARK[:2], model.NOT_ARRAY, 0, [], 2),
    "a byte order mark with a space in it": (b" " + MARK[:2] + b" " + MARK[2:] + b"[]", model.NOT_ARRAY, 1, [], 6),
    "what begins like a byte order mark": ("\ufefe[]".encode(), model.NOT_ARRAY, 0, [], 5),
    "no comma": (b"[" + A + B + b"]", model.NO_SEPARATOR, 8, [A], 8),
    "a brace too many": (b"[" + A + b"}," + B + b"]", model.NO_SEPARATOR, 8, [A], 10),
    "a second array": (b"[" + A + b"][" + B + b"]", model.TRAILING, 9, [A], 9),
    "a second object": (A + B, model.TRAILING, 7, [A], 7),
    "a zero byte behind": (b"[" + A + b"]\0", model.TRAILING, 9, [A], 1),
    "only the opening bracket": (b"[", model.TRUNCATED, 1, [], 0),
    "no closing bracket": (b"[" + A + b"," + B, model.TRUNCATED, 16, [A, B], 0),
    "no object behind the comma": (b"[" + A + b",", model.TRUNCATED, 9, [A], 0),
    "an object cut short": (b"[" + A + b"," + B[:4], model.TRUNCATED, 9, [A], 4),
    "one object cut short": (b" " + A[:4], model.TRUNCATED, 1, [], 4),
    "a string cut short": (b"[" + A + b',{"b":"]}', model.TRUNCATED, 9, [A], 8),
    "a string that ends in a backslash": (b"[" + A + b',{"b":"\\"}]', model.TRUNCATED, 9, [A], 10),
}
"""Messages with the fault, its place, the records before it, and how many bytes are passed over."""


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("source", [Source.SOCKET, Source.CALLER])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_the_fault_is_named_and_placed(name: str, source: Source, opcode: int) -> None:
    message, fault, offset_bytes, records, skipped_bytes = CASES[name]
    if opcode == TEXT and not model.is_utf8(message):
        return
    frames = [Frame(TEXT, b"[" + C + b"]"), Frame(opcode, message), Frame(TEXT, b"[" + C + b"]")]
    expected = modelled(2, Route.ROUND_ROBIN)
    expected.session(frames)
    assert expected.events == [Fault(fault, offset_bytes, message[offset_bytes:])]
    assert sum(map(len, expected.pipes)) == len(records) + 2
    assert (expected.skipped_elements_total, expected.skipped_bytes_total) == (0, skipped_bytes)
    assert_as_modelled_however_it_is_cut(frames, expected, source)


ELEMENTS: dict[str, tuple[bytes, int, list[bytes], int, int]] = {
    "what a feed once sent": (b"[" + A + b',null,1,"str",' + B + b"]", 9, [A, B], 3, 10),
    "a number alone": (b"[1]", 1, [], 1, 1),
    "arrays, and what looks like records in them": (b"[" + A + b',[],[{"z":0},[]],' + B + b"]", 9, [A, B], 2, 14),
    "strings, and what looks like separators in them": (b'["],{}","\\"]",' + A + b"]", 1, [A], 2, 11),
    "white space around it": (b"[ 1 , " + A + b" , 2 ]", 2, [A], 2, 4),
    "a comma first": (b"[," + A + b"]", 1, [A], 1, 0),
    "a comma last": (b"[" + A + b",]", 9, [A], 1, 0),
    "two commas": (b"[" + A + b",," + B + b"]", 9, [A, B], 1, 0),
    "an object behind a number, without a comma": (b"[1" + A + b"," + B + b"]", 1, [B], 1, 8),
    "closing braces alone": (b"[}}," + A + b"]", 1, [A], 1, 2),
    "what never closes": (b"[[{]," + A + b"]", 1, [], 1, 12),
    "an element cut short": (b"[" + A + b",nul", 9, [A], 1, 3),
    "another fault behind it": (b"[1," + A + b"x" + B, 1, [A], 1, 9),
    "an object cut short behind it": (b"[1," + A[:5], 1, [], 1, 6),
    "no end behind it": (b"[1,", 1, [], 1, 1),
}
"""Messages with the place of the first element that is no object, the records, how many there are of such elements, and
how many bytes are passed over."""


@pytest.mark.parametrize("name", ELEMENTS)
@pytest.mark.parametrize("source", [Source.SOCKET, Source.CALLER])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_an_element_that_is_no_object_costs_nothing_but_itself(name: str, source: Source, opcode: int) -> None:
    message, offset_bytes, records, elements, skipped_bytes = ELEMENTS[name]
    frames = [Frame(TEXT, b"[" + C + b"]"), Frame(opcode, message), Frame(TEXT, b"[" + C + b"]")]
    expected = modelled(1, Route.ROUND_ROBIN)
    expected.session(frames)
    assert expected.events == [Fault(model.NOT_OBJECT, offset_bytes, message[offset_bytes:])]
    assert expected.pipes == [[C, *records, C]]
    assert (expected.skipped_elements_total, expected.skipped_bytes_total) == (elements, skipped_bytes)
    assert_as_modelled_however_it_is_cut(frames, expected, source)


WHOLE = {
    "one object": (A, [A]),
    "one object with white space around it": (b"\r\n" + A + b" ", [A]),
    "one nested object": (b'{"a":{"b":[{}]}}', [b'{"a":{"b":[{}]}}']),
    "a byte order mark": (MARK + b"[" + A + b"," + B + b"]", [A, B]),
    "a byte order mark, white space, one object": (MARK + b" \t" + A, [A]),
    "white space, a byte order mark": (b" " + MARK + b"[" + A + b"]", [A]),
    "two byte order marks": (MARK + MARK + A, [A]),
    "the venue's own word alone": (b'{"ev":"status","status":"success"}', []),
}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("source", [Source.SOCKET, Source.CALLER])
def test_one_object_is_one_record_and_what_stands_in_front_is_passed_over(name: str, source: Source) -> None:
    message, records = WHOLE[name]
    frames = [Frame(TEXT, b"[" + C + b"]"), Frame(TEXT, message), Frame(TEXT, C), Frame(BINARY, message)]
    expected = modelled(1, Route.ROUND_ROBIN)
    expected.session(frames)
    assert not any(isinstance(event, Fault) for event in expected.events)
    assert expected.pipes == [[C, *records, C, *records]]
    assert_as_modelled_however_it_is_cut(frames, expected, source)


def assert_as_modelled_however_it_is_cut(frames: list[Frame], expected: model.Model, source: Source) -> None:
    sent = b"".join(map(model.wire, frames))
    for sizes in ([len(sent)], [1], [2], [7, 3]):
        with Rig(pipes=len(expected.pipes), source=source) as rig:
            for piece in strategies.cut_into(sent, sizes):
                rig.send(piece)
            rig.drain()
            assert_delivered(rig, expected)


def test_the_sample_shows_the_fault_and_not_the_whole_message() -> None:
    with Rig() as rig:
        rig.feed.send(model.wire(Frame(TEXT, b"[" + A + b"], garbage" + b"x" * 10_000)))
        event = None
        while not isinstance(event, Malformed):
            event = rig.pump.run(1 << 62)
        assert event == Malformed(model.TRAILING, 9, b", garbage" + b"x" * 111)


def test_each_message_tells_its_own_fault() -> None:
    frames = [Frame(TEXT, b"[" + C + b",1," + A + b"]")] * 2 + [Frame(TEXT, b"1")] * 2
    frames += [Frame(TEXT, b"[" + FLAT + b",1]")] * 2
    expected = modelled(1, Route.ROUND_ROBIN)
    expected.session(frames)
    assert len(expected.events) == 6
    assert_as_modelled_however_it_is_cut(frames, expected, Source.SOCKET)


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
