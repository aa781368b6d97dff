"""Messages as the feed has really sent them, 2019 to 2026, and the routes of every event it is known to send."""

from __future__ import annotations

from pathlib import Path

import model
import orjson
import pytest
from model import TEXT, Frame, Status
from pumping import Rig, assert_delivered, modelled

from lb.pump import Route, Source

SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "polygon_wire_samples.jsonl"


@pytest.fixture(scope="module")
def messages() -> list[bytes]:
    if not SAMPLES.exists():
        pytest.skip(
            "captured messages are not part of the project: ../shared/data/polygon_wire_samples.jsonl is absent"
        )
    return SAMPLES.read_bytes().splitlines()


@pytest.mark.parametrize("source", [Source.SOCKET, Source.CALLER])
@pytest.mark.parametrize("route", Route)
@pytest.mark.parametrize("pipes", [1, 4, 57])
def test_every_captured_message(messages: list[bytes], route: Route, source: Source, pipes: int) -> None:
    frames = [Frame(TEXT, message) for message in messages]
    expected = modelled(pipes, route)
    expected.session(frames)
    with Rig(pipes=pipes, route=route, source=source) as rig:
        rig.send_frames(frames)
        rig.finish()
        assert_delivered(rig, expected)
        assert rig.pump.counters().records_exact_total == 0
        records = [orjson.loads(record) for pipe in expected.pipes for record in pipe]
        statuses = [orjson.loads(event.text) for event in rig.events if isinstance(event, Status)]
    captured = [record for message in messages for record in orjson.loads(message)]
    assert len(statuses) == sum(record["ev"] == "status" for record in captured)
    assert len(records) == len(captured) - len(statuses)
    if pipes == 1:
        assert records == [record for record in captured if record["ev"] != "status"]


def test_every_cut_of_every_captured_message(messages: list[bytes]) -> None:
    for message in messages:
        expected = modelled(2, Route.SYMBOL)
        sent = model.wire(Frame(TEXT, message))
        expected.session([Frame(TEXT, message)])
        for at in range(1, len(sent)):
            with Rig(pipes=2, route=Route.SYMBOL) as rig:
                rig.send(sent[:at])
                rig.send(sent[at:])
                rig.drain()
                assert_delivered(rig, expected)


# Where the shard key sits, event by event, and what is not a key. The pipe is worked out by hand, by FNV-1a 64.
AAPL, BTC = b"AAPL", b"BTC-USD"
KEYS = [
    (b'{"ev":"T","sym":"AAPL","x":"BTC-USD"}', AAPL),
    (b'{"ev":"Q","sym":"AAPL","T":"BTC-USD"}', AAPL),
    (b'{"ev":"A","sym":"AAPL","v":1}', AAPL),
    (b'{"ev":"AM","sym":"AAPL","v":1}', AAPL),
    (b'{"ev":"FMV","fmv":509.917,"sym":"AAPL"}', AAPL),
    (b'{"ev":"LV","val":1,"sym":"AAPL"}', AAPL),
    (b'{"ev":"XT","pair":"BTC-USD","p":1,"sym":"AAPL"}', BTC),
    (b'{"ev":"XQ","pair":"BTC-USD"}', BTC),
    (b'{"ev":"XA","pair":"BTC-USD"}', BTC),
    (b'{"ev":"XL2","pair":"BTC-USD","b":[[1,2]]}', BTC),
    (b'{"ev":"XAS","pair":"BTC-USD"}', BTC),
    (b'{"ev":"CA","pair":"BTC-USD"}', BTC),
    (b'{"ev":"CAS","pair":"BTC-USD"}', BTC),
    (b'{"ev":"C","p":"BTC-USD","pair":"AAPL"}', BTC),
    (b'{"ev":"C","sym":"AAPL","p":"BTC-USD"}', BTC),
    (b'{"ev":"V","sym":"AAPL","T":"BTC-USD"}', BTC),
    (b'{"ev":"LULD","h":3.63,"l":2.97,"i":[15],"z":3,"T":"AAPL","t":1}', AAPL),
    (b'{"ev":"V","val":3988.5,"T":"AAPL"}', AAPL),
    (b'{"ev":"NOI","T":"AAPL","t":1}', AAPL),
    (b'{"ev":"lagg","T":"AAPL"}', AAPL),
    (b'{"ev":"new","pair":"BTC-USD","T":"AAPL"}', BTC),
    (b'{"sym":"AAPL","ev":"T"}', AAPL),
    (b'{"x":{"ev":"C","sym":"BTC-USD"},"sym":"AAPL","ev":"T"}', AAPL),
    (b'{"x":"\\"sym\\":\\"BTC-USD\\"","ev":"T","sym":"AAPL"}', AAPL),
    (b'{"x":["sym","BTC-USD",{"sym":"BTC-USD"}],"ev":"T","sym":"AAPL"}', AAPL),
    (b'{ "ev" : "T" ,\n"sym"\t:\r"AAPL" }', AAPL),
    (b'{"ev":"T","sym":"A\\"APL"}', b'A\\"APL'),
    (b'{"ev":"T","sym":"A}APL"}', b"A}APL"),
    (b'{"ev":"T","sym":""}', b""),
    (b'{"ev":"T","p":1}', None),
    (b'{"ev":"T","sym":5}', None),
    (b'{"ev":"XT","sym":"AAPL"}', None),
    (b'{"ev":"new"}', None),
    (b"{}", None),
    (b'{"ev":null}', None),
    (b'{"ev":"T","symbol":"AAPL"}', None),
    (b'{"ev":"T","sy":"AAPL"}', None),
]


@pytest.mark.parametrize("padding", [b"", b"x" * 80], ids=["short", "long"])
@pytest.mark.parametrize(("record", "key"), KEYS, ids=[record.decode() for record, _ in KEYS])
def test_the_key_s_place_in_every_event(record: bytes, key: bytes | None, padding: bytes) -> None:
    if padding:  # long enough for the vectors
        record = record[:-1].rstrip() + b"," * (record != b"{}") + b'"pad":"%s"}' % padding
    assert model.key_of(record) == key
    for pipes in (1, 2, 3, 7, 57):
        with Rig(pipes=pipes, route=Route.SYMBOL) as rig:
            rig.send_frames([Frame(TEXT, b"[" + record + b"]")])
            rig.read_all()
            got = [pipe for pipe in range(pipes) if rig.received[pipe]]
        assert got == [0 if key is None else model.pipe_of_key(key, pipes)]


def test_the_hash_is_fnv_1a_64() -> None:
    """Known answers of draft-eastlake-fnv, appendix C."""
    assert model.fnv1a_64(b"") == 0xCBF29CE484222325
    assert model.fnv1a_64(b"a") == 0xAF63DC4C8601EC8C
    assert model.fnv1a_64(b"foobar") == 0x85944171F73967E8


NO_STATUS = [
    b'{"ev":"statuses","status":"status"}',
    b'{"ev":"statu"}',
    b'{"ev":"s"}',
    b'{"ev":"T","status":"status"}',
    b'{"status":"status"}',
    b'{"x":{"ev":"status"}}',
    b'{"x":"\\"ev\\":\\"status\\""}',
    b'{"EV":"status"}',
    b'{"ev":["status"]}',
    b'{"ev":"STATUS"}',
]
STATUS = [
    b'{"ev":"status"}',
    b'{"ev":"status","message":"a } in the text, and a \\" and ]"}',
    b'{"status":"connected","ev":"status"}',
    b'{ "ev" : "status" }',
    b'{"x":{"ev":"T"},"ev":"status"}',
    b'{"message":"}","ev":"status","sym":"AAPL"}',
]


@pytest.mark.parametrize("route", Route)
def test_what_is_a_status_record_and_what_is_not(route: Route) -> None:
    with Rig(route=route) as rig:
        rig.send_frames([Frame(TEXT, b"[" + b",".join(NO_STATUS + STATUS + NO_STATUS) + b"]")])
        rig.drain()
        assert rig.events == [Status(record) for record in STATUS]
        assert rig.received[0] == b"".join(len(record).to_bytes(4, "little") + record for record in NO_STATUS * 2)


def test_status_records_are_among_neither_the_fast_nor_the_exact() -> None:
    status = b'{"ev":"status","status":"success","message":"a \\" in it"}'
    with Rig() as rig:
        rig.send_frames([Frame(TEXT, b"[" + b",".join([status] * 3) + b"]")])
        counters = rig.pump.counters()
        assert (counters.notices_total, counters.records_total, counters.records_exact_total) == (3, 0, 0)
        assert rig.pump.layouts() == []
