"""Messages of one frame that came whole take a shorter way, which must end as the long one does."""

from __future__ import annotations

import model
import pytest
from model import BINARY, PING, TEXT, Failure, Frame
from pumping import Rig, assert_delivered, modelled

from lb.pump import Route, Vectors


def trade(symbol: str = "AAPL", pad: int = 40) -> bytes:
    return b'{"ev":"T","sym":"%s","i":"%s","p":1.25,"s":100,"z":3}' % (symbol.encode(), b"7" * pad)


def assert_as_modelled(frames: list[Frame], pipes: int, route: Route, vectors: Vectors) -> None:
    expected = modelled(pipes, route)
    expected.session(frames)
    with Rig(pipes=pipes, route=route, vectors=vectors) as rig:
        rig.send_frames(frames)
        rig.finish()
        assert_delivered(rig, expected)


STATUS = b'{"ev":"status","status":"slow","message":"%s"}' % (b"x" * 60)
MALFORMED_UTF8 = b'{"ev":"T","sym":"AAPL","pad":"%s\xff"}' % (b"x" * 60)
ENDS = [
    b"",
    b",",
    b"]]",
    b"]x",
    b"] \n",
    b" ]",
    b",]",
    b",[]]",
    b",{}]",
    b",{",
    b'{"ev":"T"}]',
    b"," + STATUS + b"]",
    b"," + STATUS + b"," + trade() + b"]",
    b"," + trade("A\\n") + b"," + trade() + b"]",
    b"," + trade("A}") + b"," + trade() + b"]",
    b"," + trade("é") + b"]",
    b"," + trade(pad=600) + b"," + trade() + b"]",
    b"," + MALFORMED_UTF8 + b"]",
    b"," + trade()[:-1],
    b";" + trade() + b"]",
    trade() + b"]",
    b", " + trade() + b"]",
    b",[" + trade()[1:] + b"]",
]


@pytest.mark.parametrize("vectors", Vectors)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("end", ENDS)
def test_however_it_ends(end: bytes, opcode: int, vectors: Vectors) -> None:
    message = Frame(opcode, b"[" + trade() + b"," + trade("Q") + end)
    frames = [Frame(TEXT, b"[" + trade() + b"]"), message, Frame(PING, b""), Frame(TEXT, b"[" + trade("Z") + b"]")]
    for route in Route:
        assert_as_modelled(frames, 3, route, vectors)


@pytest.mark.parametrize("vectors", Vectors)
def test_bytes_of_an_earlier_read_are_not_taken_for_this_one_s(vectors: Vectors) -> None:
    """They still stand in the input behind what has come now."""
    frame = Frame(TEXT, b"[" + b",".join([trade(), trade("Q"), trade("Z")]) + b"]")
    sent = model.wire(frame)
    expected = modelled(2, Route.ROUND_ROBIN)
    expected.session([frame] * (2 * len(sent)))
    with Rig(pipes=2, vectors=vectors) as rig:
        for at in range(len(sent)):
            rig.send(sent)
            rig.send(sent[:at])
            rig.send(sent[at:])
            rig.read_all()
        rig.drain()
        assert_delivered(rig, expected)


@pytest.mark.parametrize("vectors", Vectors)
@pytest.mark.parametrize("begin", [b"", b",", b"{", b"[[", b"[,", b" [", b"[ ", b"[]"])
def test_however_it_begins(begin: bytes, vectors: Vectors) -> None:
    frames = [Frame(TEXT, begin + trade() + b"," + trade() + b"]"), Frame(TEXT, b"[" + trade("Z") + b"]")]
    assert_as_modelled(frames, 2, Route.ROUND_ROBIN, vectors)


@pytest.mark.parametrize("vectors", Vectors)
def test_every_length_around_the_forms_of_the_header(vectors: Vectors) -> None:
    """125, 126, 65535 and 65536 bytes of payload; and nothing, one byte, two."""
    lengths = [*range(3), *range(110, 140), *range(65_520, 65_550)]
    frames = []
    for length in lengths:
        records, left = [], length - 2
        while left > 500:
            records.append(trade())
            left -= len(records[-1]) + 1
        smallest = len(trade(pad=0))
        records += [trade(pad=left - smallest)] if left >= smallest else []
        frames.append(Frame(TEXT, (b"[" + b",".join(records) + b"]")[:length].ljust(length)))
    expected = modelled(3, Route.ROUND_ROBIN)
    expected.session(frames)
    with Rig(pipes=3, vectors=vectors) as rig:
        rig.send_frames(frames)
        rig.finish()
        assert_delivered(rig, expected)
        assert rig.pump.counters().frames_total == rig.pump.counters().messages_total == len(frames)


@pytest.mark.parametrize(
    ("header", "close_code"),
    [
        (b"\x81\x7e" + (125).to_bytes(2, "big"), 1002),
        (b"\x81\x7f" + (400).to_bytes(8, "big"), 1002),
        (b"\x81\x7e" + (1001).to_bytes(2, "big"), 1009),
        (b"\xc1\x7e" + (400).to_bytes(2, "big"), 1002),
        (b"\x81" + bytes([0x80 | 120]), 1002),
        (b"\x83\x7e" + (400).to_bytes(2, "big"), 1002),
    ],
    ids=[
        "16 bits for 125",
        "64 bits for 400",
        "1001 bytes where 1000 are allowed",
        "a reserved bit",
        "masked",
        "an opcode",
    ],
)
def test_a_header_that_is_refused_is_refused_with_all_its_payload_there(header: bytes, close_code: int) -> None:
    with Rig(max_frame_bytes=1000) as rig:
        rig.send_frames([Frame(TEXT, b"[" + trade() + b"]")])
        rig.send(header + b"[" + trade() + b"," + trade() + b"," * 2000)
        rig.drain()
        assert rig.events == [Failure(close_code)]
        assert rig.pump.counters().records_total == 1


@pytest.mark.parametrize("vectors", Vectors)
@pytest.mark.parametrize("pipes", [2, 3, 57])
def test_a_symbol_of_any_length_finds_its_pipe(pipes: int, vectors: Vectors) -> None:
    """Also none at all, one with a quote's neighbours in its bytes, and one longer than any real."""
    symbols = ["ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:._-"[:length] for length in range(41)]
    symbols += ["!", "#", "!!", "##", "#!#", "!#!#!#!#", "A!", "A#B", "ABC!", "ABCD#", "ABCDEFG!"]
    frames = [Frame(TEXT, b"[" + b",".join(map(trade, symbols)) + b"]")]
    assert_as_modelled(frames, pipes, Route.SYMBOL, vectors)


@pytest.mark.parametrize("vectors", Vectors)
@pytest.mark.parametrize("route", Route)
@pytest.mark.parametrize("high_water_bytes", [1, 515, 516, 600, 2000])
def test_outboxes_too_small_for_a_run(high_water_bytes: int, route: Route, vectors: Vectors) -> None:
    frames = [Frame(TEXT, b"[" + b",".join(trade(pad=number % 300) for number in range(60)) + b"]")] * 5
    expected = modelled(2, route)
    expected.session(frames)
    with Rig(pipes=2, route=route, vectors=vectors, pipe_size_bytes=4096, high_water_bytes=high_water_bytes) as rig:
        rig.send(b"".join(map(model.wire, frames)))
        rig.drain()
        assert_delivered(rig, expected)
