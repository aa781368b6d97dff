"""Hypothesis strategies: what a feed may send, and ways of cutting it into reads.

Law: everything made here is bytes or plain values of tests/model.py; nothing knows the code under test.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise

from hypothesis import strategies as st
from model import BINARY, BYTE_ORDER_MARK, CONTINUATION, PING, PONG, TEXT, Frame, is_utf8


class _Members(tuple[tuple[str, object], ...]):
    """An object as its members, in order, names repeated where they were."""

    __slots__ = ()


# What breaks a scanner that guesses: the bytes of JSON itself, inside of strings, and bytes on either side of '{'.
_TRICKY_TEXT = st.text(st.sampled_from("{}[]\",:\\'/ \t\n\r\x00\x1fzZ|~\x7fAé€\U0001f600"), max_size=24)
_TRICKY_NAME = st.sampled_from(["ev", "sym", "pair", "T", "p", "", "x", "sy", "e{v", 'a"b', "\\"]) | _TRICKY_TEXT
_SCALAR = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TRICKY_TEXT
)
_VALUE = st.recursive(
    _SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(_TRICKY_NAME, inner), max_size=3).map(_Members),
    max_leaves=6,
)


white_space = st.text(st.sampled_from(" \t\r\n"), max_size=3)
"""As JSON has it."""


@st.composite
def _written(draw: st.DrawFn, value: object) -> str:
    """JSON text of a value, with white space wherever it may stand, escaped or not."""

    def gap() -> str:
        return draw(white_space) if spaced else ""

    def write(value: object) -> str:
        if isinstance(value, _Members):
            members = (
                f"{gap()}{json.dumps(name, ensure_ascii=ascii_only)}{gap()}:{gap()}{write(inner)}{gap()}"
                for name, inner in value
            )
            return "{" + (",".join(members) or gap()) + "}"
        if isinstance(value, list):
            return "[" + (",".join(f"{gap()}{write(inner)}{gap()}" for inner in value) or gap()) + "]"
        return json.dumps(value, ensure_ascii=ascii_only)

    spaced, ascii_only = draw(st.booleans()), draw(st.booleans())
    return write(value)


symbols = st.sampled_from(["AAPL", "BRK.B", "A", "NTEST.Q", "BACpL", "O:SPXW251208C06840000", "I:SPX", "ABCDEFGH"])
pairs = st.sampled_from(["BTC-USD", "EUR/USD", "DOT-USD"])
_number = st.integers(0, 10**7)
_ms = st.integers(1577818283019, 1788877046310)
_price = st.decimals(0, 10**5, places=4).map(lambda price: f"{price:f}".rstrip("0").rstrip("."))
_id = st.integers(1, 10**14)


@st.composite
def trades(draw: st.DrawFn) -> bytes:
    """A trade in one of the wire layouts of 2019 to 2026: ev,sym,i,x,p,s,[c],t,[pt],[q],z,[trfi,trft],[ds]."""
    parts = [f'"ev":"T","sym":"{draw(symbols)}"']
    parts.append(
        draw(st.one_of(_id.map(lambda i: f'"i":{i}'), _id.map(lambda i: f'"i":"{i}"'), st.just('"i":"00MGON"')))
    )
    parts.append(f'"x":{draw(_number)},"p":{draw(_price)},"s":{draw(_number)}')
    conditions = draw(st.lists(st.integers(0, 60), max_size=4))
    parts += [f'"c":[{",".join(map(str, conditions))}]'] * bool(conditions)
    parts.append(f'"t":{draw(_ms)}')
    parts += [f'"pt":{draw(_ms)}'] * draw(st.booleans())
    parts += [f'"q":{draw(_number)}'] * draw(st.booleans())
    parts.append('"z":3')
    parts += [f'"trfi":202,"trft":{draw(_ms)}'] * draw(st.booleans())
    parts += [f'"ds":"{draw(_price)}"'] * draw(st.booleans())
    return ("{" + ",".join(parts) + "}").encode()


_OTHER_LAYOUTS = [
    '{{"ev":"Q","sym":"{symbol}","i":[604],"bx":15,"bp":{price},"bs":80,"t":{ms},"q":{number},"z":3}}',
    '{{"ev":"A","sym":"{symbol}","v":{number},"op":{price},"s":{ms},"e":{ms},"dv":"{number}.0","otc":true}}',
    '{{"ev":"AM","sym":"{symbol}","v":{number},"op":{price},"s":{ms},"e":{ms}}}',
    '{{"ev":"LULD","h":{price},"l":{price},"i":[15],"z":3,"T":"{symbol}","t":1788877046310003385,"q":{number}}}',
    '{{"ev":"FMV","fmv":{price},"sym":"{symbol}","t":1760646477151120843}}',
    '{{"ev":"LV","val":{price},"sym":"{symbol}","t":{ms}}}',
    '{{"ev":"NOI","T":"{symbol}","t":{ms},"at":930,"a":"M","i":{number}}}',
    '{{"ev":"V","val":{price},"T":"{symbol}","t":{ms}}}',
    '{{"ev":"C","p":"{pair}","i":1,"a":{price},"b":{price},"x":48,"t":{ms}}}',
    '{{"ev":"CA","pair":"{pair}","o":{price},"v":{number},"s":{ms},"e":{ms}}}',
    '{{"ev":"CAS","pair":"{pair}","o":{price},"v":{number},"s":{ms},"e":{ms}}}',
    '{{"ev":"XT","pair":"{pair}","p":{price},"t":{ms},"s":4.522e-05,"c":[2],"i":"1b254a48-{number}","x":23}}',
    '{{"ev":"XQ","pair":"{pair}","lp":0,"ls":0,"bp":{price},"bs":14.22,"t":{ms},"x":23,"r":{ms}}}',
    '{{"ev":"XL2","pair":"{pair}","t":{ms},"x":1,"b":[[{price},{number}],[{price},1]],"a":[]}}',
    '{{"ev":"XA","pair":"{pair}","v":{number},"s":{ms}}}',
    '{{"ev":"XAS","pair":"{pair}","v":{number},"s":{ms}}}',
    '{{"ev":"lagg","T":"{symbol}","n":{number}}}',
    '{{"ev":"nothing known","n":{number}}}',
]


@st.composite
def other_events(draw: st.DrawFn) -> bytes:
    """Any event of the feed but a trade, in its wire layout, and unknown ones."""
    values = {"symbol": symbols, "pair": pairs, "price": _price, "ms": _ms, "number": _number}
    layout = draw(st.sampled_from(_OTHER_LAYOUTS))
    return layout.format(**{name: draw(strategy) for name, strategy in values.items()}).encode()


@st.composite
def status_records(draw: st.DrawFn) -> bytes:
    """The feed's own word; its text may hold anything."""
    status = draw(st.sampled_from(["connected", "auth_success", "success", "max_connections", "slow_consumer"]))
    members: list[tuple[str, object]] = [("status", status), ("message", draw(_TRICKY_TEXT))]
    members.insert(draw(st.sampled_from([0, 0, 0, 1, 2])), ("ev", "status"))
    return draw(_written(_Members(members))).encode()


@st.composite
def odd_objects(draw: st.DrawFn) -> bytes:
    """Any JSON object: nested, escaped, spaced, with names that mean something and values that should not."""
    members = draw(st.lists(st.tuples(_TRICKY_NAME, _VALUE), max_size=5))
    if draw(st.booleans()):
        event = draw(st.sampled_from(["T", "Q", "LULD", "C", "XT", "?", "", "stat", "T}", 'T"']))
        members.insert(draw(st.integers(0, len(members))), ("ev", event))
    return draw(_written(_Members(members))).encode()


records = trades() | other_events() | status_records() | odd_objects()


@st.composite
def arrays(draw: st.DrawFn, elements: st.SearchStrategy[bytes] = records) -> bytes:
    """A message as the feed sends it: a JSON array of objects, here with white space now and then."""
    gap = white_space.map(str.encode) if draw(st.integers(0, 3)) == 0 else st.just(b"")
    inside = b",".join(draw(gap) + record + draw(gap) for record in draw(st.lists(elements, max_size=8)))
    return draw(gap) + b"[" + (inside or draw(gap)) + b"]" + draw(gap)


@st.composite
def no_objects(draw: st.DrawFn) -> bytes:
    """Any JSON value but an object, and what stands in an array between two commas by mistake."""
    if draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from([b"", b"}", b"x", b"nul l", b"[}]", b"[[{]", b"1}}"]))
    value = draw(_VALUE.filter(lambda value: not isinstance(value, _Members)))
    return draw(_written(value)).encode()


_STREAM_EVENTS = [
    (
        "{low}@trade",
        '{{"e":"trade","E":{ms},"s":"{up}","t":{number},"p":"{price}","q":"0.00110000","T":{ms},"m":true}}',
    ),
    ("{low}@bookTicker", '{{"u":{number},"s":"{up}","b":"{price}","B":"3.78","a":"{price}","A":"1.5"}}'),
    (
        "{low}@depth@100ms",
        '{{"e":"depthUpdate","s":"{up}","U":{number},"b":[["{price}","6195.0"],["1","0.0"]],"a":[]}}',
    ),
    ("{low}@depth20@100ms", '{{"lastUpdateId":{number},"bids":[["{price}","3.78"]],"asks":[]}}'),
    ("{low}@kline_1m", '{{"e":"kline","s":"{up}","k":{{"t":{ms},"o":"{price}"}}}}'),
    ("!miniTicker@arr", '[{{"e":"24hrMiniTicker","s":"{up}","c":"{price}"}},{{}}]'),
    ("!serverShutdown", '{{"e":"serverShutdown","E":{ms}}}'),
    ('{low}"\\u0040', "1"),
]
_ANSWERS = [
    b'{"result":null,"id":1}',
    b'{"result":["btcusdt@aggTrade"],"id":3}',
    b'{"error":{"code":2,"msg":"Invalid request: missing field `method`"},"id":null}',
    b'{"e":"serverShutdown","E":1770123456789}',
    b'{"stream":null,"data":{"s":"BTCUSDT"}}',
    b'{"data":{"stream":"btcusdt@trade"}}',
]


@st.composite
def stream_events(draw: st.DrawFn) -> bytes:
    """An event of a combined stream, {"stream":NAME,"data":EVENT}: as it stands on the wire, or in some other way."""
    name, data = draw(st.sampled_from(_STREAM_EVENTS))
    symbol = draw(st.sampled_from(["btcusdt", "nknusdt", "x", "1000sats", "\u8fd9\u662f456", "a" * 90]))
    values = {"low": symbol, "up": symbol.upper(), "price": draw(_price), "ms": draw(_ms), "number": draw(_number)}
    data = data.format(**values)
    if draw(st.integers(0, 3)) == 0:
        data = draw(odd_objects()).decode()
    name = f'"stream":"{name.format(**values)}"'
    outline = draw(st.sampled_from(['{{{0},"data":{1}}}'] * 4 + ['{{"data":{1},{0}}}', '{{ {0} , "data" : {1} }}']))
    return outline.format(name, data).encode()


_CHANNEL_EVENTS = [
    ("order_book_{low}", '{{"timestamp":"1","microtimestamp":"{ms}000","bids":[["{price}","9.0"]],"asks":[]}}'),
    ("live_trades_{low}", '{{"id":{number},"price":{price},"type":0}}'),
    ("nothing", "{{}}"),
    ("", '""'),
    ("_", "null"),
    ('x_\\"_{low}', "[1]"),
]
_OWN_EVENTS = [
    b'{"event":"bts:subscription_succeeded","channel":"order_book_btcusd","data":{}}',
    b'{"event":"bts:request_reconnect","channel":"","data":null}',
    b'{"channel":null,"event":"data"}',
    b'{"event":"data","data":{"channel":"order_book_btcusd"}}',
]


@st.composite
def channel_events(draw: st.DrawFn) -> bytes:
    """An event of a channel, {"data":...,"channel":NAME,"event":"data"}, in whatever order."""
    name, data = draw(st.sampled_from(_CHANNEL_EVENTS))
    values = {"low": draw(st.sampled_from(["btcusd", "x", "fooxyz-perp", "a" * 90])), "price": draw(_price)}
    values |= {"ms": draw(_ms), "number": draw(_number)}
    members = [f'"data":{data.format(**values)}', f'"channel" : "{name.format(**values)}"', '"event":"data"']
    return ("{" + ",".join(draw(st.permutations(members))) + "}").encode()


channel_messages = channel_events() | st.sampled_from(_OWN_EVENTS) | odd_objects()
"""Messages of a venue whose object names its channel."""


_NESTED_EVENTS = [
    '"channel":"l2_data","events":[{{"type":"update","product_id":"{name}","updates":[{{"price_level":"{price}"}}]}}]',
    '"channel":"ticker","events":[ {{"type":"update","tickers":[{{"price":"{price}","product_id":"{name}"}},{{}}]}}]',
    '"channel":"heartbeats","sequence_num":{number},"events":[{{"heartbeat_counter":{number}}}]',
    '"channel":"subscriptions","events":[{{"subscriptions":{{"level2":["{name}"]}}}}]',
    '"type":"error","message":"{name}"',
    '"channel":"book","data":[{{"symbol":"{name}","bids":[{{"price":{price},"qty":2}}],"asks":[],"checksum":7}}]',
    '"channel":"instrument","data":{{"symbol":"{name}"}}',
    '"channel":"heartbeat"',
    '"channel":"trade","data":[],"events":"[{{"',
    '"channel":"trade","data":7,"events":[[{{"product_id":"{name}"}}]]',
    '"method":"subscribe","result":{{"channel":"book","symbol":"{name}"}},"success":true',
]


@st.composite
def nested_events(draw: st.DrawFn) -> bytes:
    """An event whose product or symbol stands in an array inside of it."""
    text = draw(st.sampled_from(_NESTED_EVENTS))
    name = draw(st.sampled_from(["BTC-USD", "ETH/USD", "x", r"a\"b", "A" * 90]))
    text = text.format(name=name, price=draw(_price), number=draw(_number))
    outline = draw(st.sampled_from(["{{{0}}}", '{{"timestamp":"t","x":[{{"events":1}}],{0}}}', "{{ {0} }}"]))
    return outline.format(text).encode()


nested_messages = nested_events() | odd_objects()
"""Messages of venues whose object names its channel in front, and its product or symbol further inside."""
stream_messages = stream_events() | st.sampled_from(_ANSWERS) | odd_objects()
"""Messages of a venue that sends an object each."""


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """What some feed may send: an array, objects in it or not, or one object alone; a byte order mark in front."""
    front = draw(st.sampled_from([b"", b"", BYTE_ORDER_MARK, b" \n" + BYTE_ORDER_MARK + b"\t"]))
    return front + draw(arrays(records | no_objects()) | records)


@st.composite
def broken_arrays(draw: st.DrawFn) -> bytes:
    """A message that went wrong somewhere: cut short, with bytes removed, put in or exchanged, or no array at all."""
    message = draw(arrays(trades() | other_events() | odd_objects()))
    at = draw(st.integers(0, len(message)))
    match draw(st.sampled_from(["short", "remove", "insert", "exchange", "garbage", "trailing"])):
        case "short":
            return message[:at]
        case "remove":
            return message[:at] + message[at + draw(st.integers(1, 3)) :]
        case "insert":
            return message[:at] + draw(_JSON_LIKE) + message[at:]
        case "exchange":
            return message[:at] + draw(_JSON_LIKE) + message[at + 1 :]
        case "trailing":
            return message + draw(_JSON_LIKE)
    return draw(_JSON_LIKE)


# Enough of JSON's own bytes to get somewhere; no letter, so that no member's name comes out by accident.
_JSON_LIKE = st.lists(st.sampled_from(b'{}[]",:\\ \n1~'), min_size=1, max_size=12).map(bytes)


@st.composite
def _pieces(draw: st.DrawFn, data: bytes, most: int) -> list[bytes]:
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=most - 1)))
    return [data[begin:end] for begin, end in pairwise([0, *places, len(data)])]


control_frames = st.builds(Frame, st.sampled_from([PING, PONG]), st.binary(max_size=125), st.just(True))


@st.composite
def messages_as_frames(draw: st.DrawFn, message: bytes) -> list[Frame]:
    """One message in one or several frames, control frames between them."""
    opcode = TEXT if is_utf8(message) and draw(st.integers(0, 9)) else BINARY
    pieces = draw(_pieces(message, most=draw(st.sampled_from([1, 1, 1, 2, 5]))))
    frames: list[Frame] = []
    for number, piece in enumerate(pieces):
        if number:
            frames += draw(st.lists(control_frames, max_size=2))
        frames.append(Frame(CONTINUATION if number else opcode, piece, number == len(pieces) - 1))
    return frames


@st.composite
def sessions(draw: st.DrawFn, messages: st.SearchStrategy[bytes], most: int = 6) -> list[Frame]:
    """What a server sends in one session: messages in frames, control frames anywhere."""
    frames: list[Frame] = []
    for message in draw(st.lists(messages, max_size=most)):
        frames += draw(st.lists(control_frames, max_size=1))
        frames += draw(messages_as_frames(message))
    return frames


@st.composite
def read_sizes(draw: st.DrawFn) -> list[int]:
    """Sizes of reads, in bytes, used again and again: from one byte each to everything at once."""
    one = st.sampled_from([1, 2, 3, 7, 16, 17, 100, 1000, 1 << 20])
    return draw(st.lists(one | st.integers(1, 300), min_size=1, max_size=6))


def cut_into(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    """`data` in pieces of these sizes, over and over."""
    pieces, at, turn = [], 0, 0
    while at < len(data):
        pieces.append(data[at : at + sizes[turn % len(sizes)]])
        at += len(pieces[-1])
        turn += 1
    return pieces
