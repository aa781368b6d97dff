"""Where records begin and end: the scanner against orjson, on JSON made to confuse it.

Law: either the same records as orjson, or a clean refusal; never a record that is cut wrongly.
"""

from __future__ import annotations

from pathlib import Path

import model
import orjson
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from model import BINARY, TEXT, Event, Fault, Frame
from pumping import Rig, assert_same_events

from lb.pump import Route, Vectors

AFTER = b'{"ev":"T","sym":"AFTER"}'


def cut_by_pump(
    message: bytes,
    sizes: list[int] | None = None,
    *,
    opcode: int | None = None,
    vectors: Vectors = Vectors.AVX512,
    route: Route = Route.ROUND_ROBIN,
) -> tuple[list[bytes], list[Event]]:
    """The records of a message, and its faults; the message behind it must come through in any case."""
    opcode = opcode or (TEXT if model.is_utf8(message) else BINARY)
    sent = model.wire(Frame(opcode, message))
    with Rig(vectors=vectors, route=route, high_water_bytes=1 << 20) as rig:
        for piece in strategies.cut_into(sent, sizes or [len(sent)]):
            rig.send(piece)
        rig.send_frames([Frame(TEXT, b"[" + AFTER + b"]")])
        rig.finish()
        records = unframed(bytes(rig.received[0]))
    assert records.pop() == AFTER
    return records, rig.events


def unframed(stream: bytes) -> list[bytes]:
    records = []
    while stream:
        length = int.from_bytes(stream[:4], "little")
        assert len(stream) >= 4 + length
        records.append(stream[4 : 4 + length])
        stream = stream[4 + length :]
    return records


@given(
    message=strategies.arrays(strategies.trades() | strategies.other_events() | strategies.odd_objects()),
    sizes=strategies.read_sizes(),
)
def test_orjson_finds_the_same_records(message: bytes, sizes: list[int]) -> None:
    records, faults = cut_by_pump(message, sizes, vectors=Vectors(len(sizes) % len(Vectors)))
    assert faults == []
    assert list(map(orjson.loads, records)) == orjson.loads(message)
    assert b"".join(records) == b"".join(model.cut(message, 1 << 20).records)


@given(message=strategies.broken_arrays(), sizes=strategies.read_sizes())
def test_where_orjson_refuses_no_record_is_invented(message: bytes, sizes: list[int]) -> None:
    """A record is delimited, not validated: what orjson would refuse may pass, whole, up to where it goes wrong."""
    records, faults = cut_by_pump(message, sizes)
    assert records == model.cut(message, 1 << 20).records
    assert_same_as_parsed(message, records, faults)


def assert_same_as_parsed(message: bytes, records: list[bytes], faults: list[Event]) -> None:
    parsed = _parsed(message)
    if parsed is None:
        return
    elements = parsed if isinstance(parsed, list) else [parsed]
    assert list(map(orjson.loads, records)) == [element for element in elements if isinstance(element, dict)]
    assert bool(faults) == any(not isinstance(element, dict) for element in elements)


def _parsed(message: bytes) -> object:
    try:
        return orjson.loads(message)
    except orjson.JSONDecodeError:
        return None


TRICKY = [b"}", b"{", b"]", b"[", b",", b":", b'\\"', b"\\\\", b"\\\\\\\\", b'\\\\\\"', b"|", b"~", b"\x7f", b"z"]
TRICKY += ["é".encode(), "€".encode(), "\U0001f600".encode(), b"\\u007d", b'},{\\"', b"}]", b'\\"}', b'\\\\\\"}']


HEADS = [b'{"k":"', b'{"ev":"T","sym":"AAPL","k":"', b'{"ev":"XT","pair":"']


@pytest.mark.parametrize("vectors", Vectors)
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("tricky", TRICKY)
def test_a_tricky_byte_at_any_place_of_the_vectors(tricky: bytes, head: bytes, vectors: Vectors) -> None:
    """In a name and in a value, before and behind every boundary of the vectors, up to six of the shorter ones long."""
    records = []
    for before in range(100):
        for behind in (0, 1, 15, 16, 33, 70):
            records.append(head + b"x" * before + tricky + b"y" * behind + b'"}')
            records.append(
                head + b'","' + b"x" * before + tricky + b"y" * behind + b'":' + b"1" * (before % 5 + 1) + b"}"
            )
    for route in Route:
        assert cut_by_pump(b"[" + b",".join(records) + b"]", vectors=vectors, route=route) == (records, [])


@pytest.mark.parametrize("vectors", Vectors)
@pytest.mark.parametrize("route", Route)
@pytest.mark.parametrize(
    "head", [b"{", b'{"ev":"T","sym":"AAPL"', b'{"ev":"Q","sym":"' + b"S" * 40 + b'"', b'{"ev":"XT"']
)
def test_a_flat_record_of_any_length_takes_a_fast_path(head: bytes, route: Route, vectors: Vectors) -> None:
    records = [
        head + b',"c":[1]' * (length % 2) + b"1" * length + b"}" for length in (*range(140), *range(400, 700, 3))
    ]
    with Rig(route=route, vectors=vectors) as rig:
        rig.send_frames([Frame(TEXT, b"[" + b",".join(records) + b"]")])
        rig.finish()
        assert unframed(bytes(rig.received[0])) == records
        assert rig.pump.counters().records_exact_total == 0


def test_what_is_not_flat_is_cut_by_the_exact_scanner_and_counted() -> None:
    exact = [b'{"a":{}}', b'{"a":"\\n"}', '{"a":"é"}'.encode(), b'{"a":"}"}', b'{"a":"|"}']
    with Rig() as rig:
        rig.send_frames([Frame(TEXT, b"[" + b",".join([AFTER, *exact, AFTER]) + b"]")])
        rig.drain()
        assert unframed(bytes(rig.received[0])) == [AFTER, *exact, AFTER]
        assert rig.pump.counters().records_exact_total == len(exact)
        assert rig.pump.layouts() == exact[:1]  # the first of those that name no event


def test_a_sample_of_each_layout_that_misses_the_fast_paths() -> None:
    records = [f'{{"ev":"E{number}","x":{{}},"pad":"{"x" * 200}"}}'.encode() for number in range(20)]
    with Rig() as rig:
        rig.send_frames([Frame(TEXT, b"[" + b",".join([AFTER, *records, *records]) + b"]")])
        rig.finish()
        assert rig.pump.layouts() == [record[:120] for record in records[:16]]


@pytest.mark.parametrize("vectors", Vectors)
def test_any_byte_in_place_of_an_event_s_letter(vectors: Vectors) -> None:
    """Also one that ends the string early, or is no UTF-8."""
    for byte in range(256):
        record = b'{"ev":"' + bytes([byte]) + b'","sym":"AAPL","pad":"' + b"x" * 70 + b'"}'
        message = b"[" + record + b"," + AFTER + b"," + record + b"]"
        expected = model.Model(1, model.ROUND_ROBIN, 1 << 20)
        expected.session([Frame(TEXT, message)])
        with Rig(vectors=vectors) as rig:
            rig.send_frames([Frame(TEXT, message)])
            rig.drain()
            assert unframed(bytes(rig.received[0])) == expected.pipes[0], byte
            assert_same_events(rig.events, expected.events)


def test_every_cut_of_a_message_in_two() -> None:
    """And every place where a frame may be cut in two fragments."""
    record = b'{"ev":"T","s\\"ym":"A}","c":[1,{"x":"\\\\"}],"ds":"1.0"}'
    message = b" [ " + record + b",{} , " + AFTER + b"," + AFTER + b" ] "
    sent = model.wire(Frame(TEXT, message))
    wanted = [record, b"{}", AFTER, AFTER]
    for at in range(1, len(sent)):
        assert cut_by_pump(message, [at, len(sent)]) == (wanted, [])
    for at in range(len(message) + 1):
        with Rig() as rig:
            rig.send_frames([Frame(TEXT, message[:at], fin=False), Frame(model.CONTINUATION, message[at:])])
            rig.drain()
            assert unframed(bytes(rig.received[0])) == wanted


# Ideas of the kind that JSON test suites collect, put where a record or a message may stand.
VALUES = Path(__file__).with_name("json_values.txt").read_text(encoding="utf-8").splitlines()
OUTLINES = [
    '[{"v":%s}]',
    '[{"v":%s},{"w":1}]',
    '[{"w":1},{"v":[%s]}]',
    "[%s]",
    "[{},%s]",
    "%s",
    "[{}]%s",
    "%s[{}]",
    "{}%s",
    "[%s,{}]",
    "\ufeff%s",
    "[{}%s{}]",
]


@pytest.mark.parametrize("outline", OUTLINES)
def test_values_of_json_test_suites(outline: str) -> None:
    for value in VALUES:
        for text in (value, f" {value}\t", f"\r\n{value}"):
            message = (outline % text).encode()
            records, faults = cut_by_pump(message)
            assert records == model.cut(message, 1 << 20).records
            assert_same_events(faults, modelled_faults(message))
            assert cut_by_pump(message, [1])[0] == records
            assert_same_as_parsed(message, records, faults)


def modelled_faults(message: bytes) -> list[Fault]:
    cut = model.cut(message, 1 << 20)
    return [Fault(cut.fault, cut.offset_bytes, message[cut.offset_bytes :])] if cut.fault else []


@pytest.mark.parametrize("depth", [1, 100, 100_000])
def test_deep_nesting(depth: int) -> None:
    objects = b'{"a":' * depth + b"1" + b"}" * depth
    arrays = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
    assert cut_by_pump(b"[" + objects + b"," + arrays + b"]") == ([objects, arrays], [])


def test_an_array_of_very_many_objects() -> None:
    assert cut_by_pump(b"[" + b",".join([b"{}"] * 10_000) + b"]") == ([b"{}"] * 10_000, [])


@given(message=st.binary(max_size=60), sizes=strategies.read_sizes(), opcode=st.sampled_from([TEXT, BINARY]))
def test_garbage_is_refused_and_the_session_goes_on(message: bytes, sizes: list[int], opcode: int) -> None:
    message = message if opcode == BINARY else message.decode(errors="replace").encode()
    records, faults = cut_by_pump(message, sizes, opcode=opcode)
    assert records == model.cut(message, 1 << 20).records
    assert_same_events(faults, modelled_faults(message))
