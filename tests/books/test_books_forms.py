"""What the C parts read out of the venues' messages, against orjson and decimal.Decimal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import form_model
import forms
import message_forge
import pytest
import zstandard
from form_model import Fault, FaultError, Kind, Reading, Said, Update, Wanted
from hypothesis import given, settings
from hypothesis import strategies as st

SOURCES = [(venue, False) for venue in message_forge.VENUES] + [(venue, True) for venue in message_forge.BODIES]
SEEDS = st.integers(0, 2**32)
MESSAGES_OF_A_SEED = 40
EVERYTHING = 1000
LIMITS = st.integers(0, 8) | st.just(EVERYTHING)
DECIMALS = st.sampled_from([8, 8, 8, 2, 0, 4, 18, 20])


def model(venue: str, text: bytes, wanted: Wanted, *, is_snapshot: bool = False) -> Reading:
    return form_model.read((form_model.SNAPSHOTS if is_snapshot else form_model.FORMS)[venue], text, wanted)


def is_json(text: bytes) -> bool:
    try:
        form_model.parse(text)
    except FaultError:
        return False
    return True


def has_fault(reading: Reading) -> bool:
    return any(isinstance(one, Fault) or isinstance(one.bids, Fault) or isinstance(one.asks, Fault) for one in reading)


@pytest.mark.parametrize(("venue", "is_snapshot"), SOURCES)
@given(seed=SEEDS, limit=LIMITS, price_decimals=DECIMALS, size_decimals=DECIMALS)
@settings(max_examples=25)
def test_what_is_json_says_the_same_and_what_is_not_is_a_fault(
    venue: str, is_snapshot: bool, seed: int, limit: int, price_decimals: int, size_decimals: int
) -> None:
    """Of what is no JSON, those notice who read all levels."""
    wanted = Wanted(limit, price_decimals, size_decimals)
    for text in message_forge.some(seed, MESSAGES_OF_A_SEED, venue, is_snapshot=is_snapshot):
        found = forms.read(venue, text, wanted, is_snapshot=is_snapshot)
        if is_json(text):
            assert found == model(venue, text, wanted, is_snapshot=is_snapshot), text
        elif limit == EVERYTHING:
            assert has_fault(found), text


digits = st.text("0123456789", min_size=1, max_size=22)
decimal_texts = st.builds(
    lambda sign, whole, fraction, exponent: sign + whole + fraction + exponent,
    st.sampled_from(["", "", "", "-"]),
    digits | st.sampled_from(["0", "92233720368", "9223372036854775807", "9223372036854775808"]),
    st.just("") | digits.map(lambda text: "." + text) | st.sampled_from([".00000000", ".54775807", ".54775808", "."]),
    st.just("") | st.integers(-30, 30).map(lambda exponent: f"e{exponent}") | st.sampled_from(["E+2", "e", "e-"]),
)


@given(text=decimal_texts | st.text("0123456789.-+eE ", max_size=12), decimals=st.integers(0, 20))
@settings(max_examples=500)
def test_a_decimal_is_exact_or_a_fault(text: str, decimals: int) -> None:
    message = b'{"stream":"x@bookTicker","data":{"u":1,"s":"X","b":"%b","B":"1","a":"1","A":"1"}}' % text.encode()
    depth = b'{"stream":"x@depth5","data":{"lastUpdateId":1,"bids":[["%b","1"]],"asks":[]}}' % text.encode()
    wanted = Wanted(1, decimals, 0)
    try:
        price = form_model.scaled(text, decimals)
        expected = Fault.MALFORMED if price < 0 else [(price, 1)] if price else []
    except FaultError as error:
        expected = error.fault
    for one in (message, depth, depth + b"\n"):
        (said,) = forms.read("binance", one, wanted)
        assert isinstance(said, Said)
        assert said.bids == expected


ETH = Update(Kind.WHOLE, b"ethbtc", (1787511693313188,) * 2, 1787511693313188000)
BTC = Update(Kind.DIFFERENCE, b"BTC-USD", (7, 7), 1675974770714964855)
EXAMPLES: list[tuple[str, bytes, Reading]] = [
    (
        "binance",
        b'{"stream":"nknusdt@depth@100ms","data":{"e":"depthUpdate","E":1633998512068,"s":"NKNUSDT","U":499869750,'
        b'"u":499869752,"b":[["0.35130000","6195.00000000"],["0.34750000","0.00000000"]],"a":[]}}',
        [
            Said(
                Update(Kind.DIFFERENCE, b"nknusdt", (499869750, 499869752), 1633998512068000000),
                [(35130000, 619500000000), (34750000, 0)],
                [],
            )
        ],
    ),
    (
        "binance",
        b'{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000",'
        b'"a":"61837.64000000","A":"0.00000000"}}',
        [Said(Update(Kind.BEST, b"btcusdt", (50093239212,) * 2), [(6183763000000, 378826000)], [])],
    ),
    (
        "bitstamp",
        b'{"event": "data", "channel": "order_book_ethbtc", "data": {"timestamp": "1787511693", "microtimestamp":'
        b' "1787511693313188", "bids": [["0.0316", "3.4"], ["0", "9"]], "asks": []}}',
        [Said(ETH, [(3160000, 340000000)], [])],
    ),
    (
        "bitstamp",
        b'{"data":{"microtimestamp":"1787511693313188","bids":[["0.07","0.4","14"],["0.07","0.6","15"],["0.06","1",'
        b'"16"]],"asks":[]},"channel":"detail_order_book_ethbtc","event":"data"}',
        [Said(ETH, [(7000000, 100000000), (6000000, 100000000)], [])],
    ),
    (
        "coinbase",
        b'{"channel":"l2_data","client_id":"","timestamp":"2023-02-09T20:32:50.714964855Z","sequence_num":7,"events":['
        b'{"type":"update","product_id":"BTC-USD","updates":[{"side":"bid","event_time":"2023-02-09T20:32:50Z",'
        b'"price_level":"21921.73","new_quantity":"0.06"},{"side":"offer","price_level":"22000","new_quantity":"0"}]},'
        b'{"type":"snapshot","product_id":"ETH-USD","updates":[]}]}',
        [
            Said(BTC, [(2192173000000, 6000000)], [(2200000000000, 0)]),
            Said(BTC._replace(kind=Kind.WHOLE, name=b"ETH-USD"), [], []),
        ],
    ),
    (
        "kraken",
        b'{"channel":"book","type":"update","data":[{"symbol":"MATIC\\/USD","bids":[{"price":0.5657,"qty":1098.39475}],'
        b'"asks":[],"checksum":4294967295,"timestamp":"1970-01-01T00:00:01.5Z"}]}',
        [Said(Update(Kind.DIFFERENCE, b"MATIC/USD", None, 1500000000, 4294967295), [(56570000, 109839475000)], [])],
    ),
    (
        "polygon",
        b'{"ev":"XL2","pair":"BTC-USD","t":1690409119847,"r":1,"x":23,"b":[[29180.01,5e-1]],"a":[[29181,2]]}',
        [
            Said(
                Update(Kind.WHOLE, b"BTC-USD", None, 1690409119847000000, None, 23),
                [(2918001000000, 50000000)],
                [(2918100000000, 200000000)],
            )
        ],
    ),
    ("binance", b'{"stream":"!serverShutdown","data":{"e":"serverShutdown"}}', [form_model.NOTHING]),
    ("binance", b'{"result":null,"id":1}', [form_model.NOTHING]),
    ("bitstamp", b'{"event":"bts:request_reconnect","channel":"","data":""}', [form_model.NOTHING]),
    ("kraken", b'{"channel":"heartbeat"}', [form_model.NOTHING]),
    (
        "coinbase",
        b'{"channel":"heartbeats","sequence_num":0,"events":[]}',
        [Said(Update(Kind.NOTHING, None, (0, 0)), [], [])],
    ),
    ("polygon", b'{"ev":"XT","pair":"BTC-USD"}', [form_model.NOTHING]),
    ("binance", b"", [Fault.MALFORMED]),
    ("bitstamp", b"[]", [Fault.MALFORMED]),
]


@pytest.mark.parametrize(("venue", "text", "expected"), EXAMPLES)
def test_examples_of_each_form(venue: str, text: bytes, expected: Reading) -> None:
    wanted = Wanted(10, 8, 8)
    assert forms.read(venue, text, wanted) == model(venue, text, wanted) == expected


@pytest.mark.parametrize(
    ("bids", "asks"),
    [
        ('["2","1"]]x', '["3","1"]'),
        ('["2","1"]', '["3","1"]]'),
        ('["2","1"],', '["3","1"]'),
        ('["2","1"]', '["3","1"]x'),
        ("[02,1]", "[3,1]"),
        ('["2","1"', '["3","1"]'),
        ('["2","1"}', '["3","1"]'),
        ('["2","1\x01"]', '["3","1"]'),
    ],
)
def test_a_guessed_layout_is_proven_by_who_reads_all_levels(bids: str, asks: str) -> None:
    text = '{"stream":"x@depth5","data":{"lastUpdateId":1,"bids":[%s],"asks":[%s]}}' % (bids, asks)  # noqa: UP031
    assert not is_json(text.encode())
    assert has_fault(forms.read("binance", text.encode(), Wanted(9, 8, 8)))


def test_levels_behind_the_wanted_ones_are_not_read() -> None:
    """Nor could be: that is what makes the cost the same for a book of any depth."""
    message = (
        b'{"data":{"timestamp":"1","microtimestamp":"1000000","bids":[["2","1"],["1","?"]],"asks":[["3","1"],'
        b'["4","?"]]},"channel":"order_book_btcusd","event":"data"}'
    )
    (first,) = forms.read("bitstamp", message, Wanted(1, 0, 0))
    assert isinstance(first, Said)
    assert (first.bids, first.asks) == ([(2, 1)], [(3, 1)])
    (both,) = forms.read("bitstamp", message, Wanted(2, 0, 0))
    assert isinstance(both, Said)
    assert (both.bids, both.asks) == (Fault.MALFORMED, Fault.MALFORMED)


RECORDINGS = Path(__file__).parents[3] / "shared" / "data" / "venues"


def recorded_lines(name: str) -> list[bytes]:
    if not RECORDINGS.is_dir():
        pytest.skip("the recordings of real market data are not on this machine")
    text = (RECORDINGS / name).read_bytes()
    if name.endswith(".zst"):
        text = zstandard.ZstdDecompressor().stream_reader(text).read()
    return text.splitlines()


def recorded(name: str) -> Iterator[bytes]:
    """The messages that were received, told from the rest by how their lines begin."""
    for line in recorded_lines(name):
        is_received = re.match(rb"\d+ |\d+\.\d+: |\S+ -> \d+\.\d+: |(?=\{)", line)
        if is_received:
            yield line[is_received.end() :]


@pytest.mark.parametrize(
    ("venue", "name", "is_snapshot", "least"),
    [
        ("binance", "binance_spot_btcusdt_20240808.txt.zst", False, 9000),
        ("binance", "binance_20211012.ws.zst", False, 200),
        ("binance", "binance_20211012.http.zst", True, 4),
        ("bitstamp", "bitstamp_diff_20220105.ws.zst", False, 700),
        ("bitstamp", "bitstamp_diff_20220105.http.zst", True, 10),
        ("bitstamp", "bitstamp_order_book_100.jsonl.zst", False, 3),
    ],
)
def test_recordings(venue: str, name: str, is_snapshot: bool, least: int) -> None:
    messages = list(recorded(name))
    wanted = Wanted(5000, 8, 8)
    assert len(messages) >= least
    for text in messages:
        assert forms.read(venue, text, wanted, is_snapshot=is_snapshot) == model(
            venue, text, wanted, is_snapshot=is_snapshot
        )


def test_recorded_control_frames_say_nothing_of_a_book() -> None:
    frames = [json.loads(line) for line in recorded_lines("control_frames.jsonl")]
    received = [(one["venue"], one["frame"].encode()) for one in frames if one["dir"] == "in" and one.get("frame")]
    assert len(received) > 10
    for venue, frame in received:
        assert forms.read(venue.partition("-")[0], frame, Wanted(1, 8, 8)) == [form_model.NOTHING]
