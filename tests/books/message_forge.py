"""Messages of the venues, made up: in the layout of the day, or as another encoder, a careless one, or a broken line
would have them.

A seed makes a message: hypothesis chooses seeds, the fuzzers' first inputs are some of them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import TypeAlias

VENUES = ("binance", "bitstamp", "coinbase", "kraken", "polygon")


class Members(list[tuple[str, "Value"]]):
    """An object, its members in order, names perhaps repeated."""


class Number(str):
    """A number, by its text."""

    __slots__ = ()


Value: TypeAlias = "bool | str | Number | list[Value] | Members | None"

ODD_DECIMALS = [
    *("0", "0.0", "0.00000000", "-0", "-1", "-0.5", "1", "100", "1e2", "1E-2", "1.5e+1", "1e18", "1e-30", "0e99"),
    *("12345678.12345678", "123456789.123456789", "0.000000001", "0.00000001", "10000000000e-10"),
    *("9223372036854775807", "9223372036854775808", "92233720368.54775807", "92233720368.54775808"),
    *("99999999999999999999", "0.1000000000000000000000000"),
]
ODD_STRINGS = [
    "",
    "-",
    ".5",
    "5.",
    "1,5",
    "+1",
    "1e",
    "1_0",
    " 1",
    "1 ",
    "007",
    "NaN",
    "Infinity",
    "\u0663",
    "0x1",
    '"1"',
    "a:b",
    "],",
    "]]}}",
]
ODD_NAMES = ["", "asks", "bids", "a", "b", "e", "data", "x:y", 'a"', "\\", "stream", "events", "é", "microtimestamp"]


def decimal(rng: random.Random) -> str:
    if rng.random() < 0.05:
        return rng.choice(ODD_DECIMALS)
    whole, places = rng.choice([0, 7, 61837, rng.randrange(10**8)]), rng.randrange(9)
    return f"{whole}.{rng.randrange(10**places):0{places}}" if places else str(whole)


def amount(rng: random.Random) -> str:
    return rng.choice(["0.00000000", "0", "0.0"]) if rng.random() < 0.2 else decimal(rng)


def pairs(rng: random.Random, as_text: Callable[[str], Value] = str, *more: str) -> list[Value]:
    return [[as_text(decimal(rng)), as_text(amount(rng)), *more] for _ in range(rng.randrange(8))]


def binance(rng: random.Random) -> Members:
    event = rng.randrange(4)
    name = rng.choice(["btcusdt", "nknusdt", "这是测试币456usdt"])
    identity = rng.randrange(10**11)
    depth = Members(
        [
            ("e", "depthUpdate"),
            ("E", Number(rng.choice([1633998512068, 1633998512068123, rng.randrange(10**18)]))),
            *(("s", name.upper()), ("U", Number(identity)), ("u", Number(identity + rng.randrange(99)))),
            *(("b", pairs(rng)), ("a", pairs(rng))),
        ]
    )
    partial = Members([("lastUpdateId", Number(identity)), ("bids", pairs(rng)), ("asks", pairs(rng))])
    ticker = Members([("u", Number(identity)), ("s", name.upper())])
    ticker += [("b", decimal(rng)), ("B", amount(rng)), ("a", decimal(rng)), ("A", amount(rng))]
    kind, payload = [
        ("depth", depth),
        ("depth@100ms", depth),
        (f"depth{rng.choice([5, 10, 20])}@100ms", partial),
        ("bookTicker", ticker),
    ][event]
    if rng.random() < 0.05:
        kind = rng.choice(["trade", "depth15", "depth@", "depth20@1000ms", ""])
    if rng.random() < 0.2:
        return payload
    return Members([("stream", f"{name}@{kind}"), ("data", payload)])


def binance_body(rng: random.Random) -> Members:
    return Members([("lastUpdateId", Number(rng.randrange(10**11))), ("bids", pairs(rng)), ("asks", pairs(rng))])


def bitstamp_body(rng: random.Random) -> Members:
    time_us = rng.randrange(10**16, 2 * 10**16) if rng.random() < 0.1 else 1641343691244908
    times = [("timestamp", str(time_us // 10**6)), ("microtimestamp", str(time_us))]
    return Members([*times, ("bids", pairs(rng)), ("asks", pairs(rng))])


def bitstamp(rng: random.Random) -> Members:
    channel, body = (
        rng.choice(["order_book", "diff_order_book", "detail_order_book", "live_trades"]),
        bitstamp_body(rng),
    )
    if channel == "detail_order_book":
        sides = [
            [entry for entry in pairs(rng, str, "1485019713925121") for _ in range(rng.randrange(1, 3))] for _ in "ba"
        ]
        body[2:] = [("bids", sides[0]), ("asks", sides[1])]
    event = "data" if rng.random() < 0.95 else "bts:request_reconnect"
    return Members(
        [("data", body), ("channel", f"{channel}_{rng.choice(['btcusd', 'fooxyz-perp'])}"), ("event", event)]
    )


def instant(rng: random.Random) -> str:
    odd = [
        "2023-02-29T00:00:00Z",
        "2024-02-29T23:59:59.9999999999Z",
        "1969-12-31T23:59:59Z",
        "2023-02-09 20:32:50Z",
        "2023-13-01T00:00:00Z",
    ]
    odd += [
        "2023-02-09T20:32:50",
        "1970-01-01T00:00:00+00:01",
        "2261-12-31T23:59:59.5-01:00",
        "2023-10-06T17:35:55.Z",
        "",
    ]
    return rng.choice(odd) if rng.random() < 0.1 else "2023-02-09T20:32:50.714964855Z"


def coinbase(rng: random.Random) -> Members:
    def entry() -> Value:
        side = rng.choice(["bid", "offer"])
        return Members(
            [("side", side), ("event_time", instant(rng)), ("price_level", decimal(rng)), ("new_quantity", amount(rng))]
        )

    def event() -> Value:
        entries: list[Value] = [entry() for _ in range(rng.randrange(9))]
        kind = rng.choice(["update", "snapshot"])
        return Members([("type", kind), ("product_id", rng.choice(["BTC-USD", "ETH-USD"])), ("updates", entries)])

    channel = "l2_data" if rng.random() < 0.9 else rng.choice(["heartbeats", "subscriptions"])
    head = [
        ("channel", channel),
        ("client_id", ""),
        ("timestamp", instant(rng)),
        ("sequence_num", Number(rng.randrange(3))),
    ]
    return Members([*head, ("events", [event() for _ in range(rng.choice([0, 1, 1, 1, 2, 3]))])])


def kraken(rng: random.Random) -> Members:
    def side() -> Value:
        return [
            Members([("price", Number(decimal(rng))), ("qty", Number(amount(rng)))]) for _ in range(rng.randrange(8))
        ]

    def book() -> Value:
        members = [
            ("symbol", "BTC/USD"),
            ("bids", side()),
            ("asks", side()),
            ("checksum", Number(rng.randrange(1 << 33))),
        ]
        return Members([*members, ("timestamp", instant(rng))])

    if rng.random() < 0.1:
        return Members([("channel", "heartbeat")])
    kind = rng.choice(["snapshot", "update", "update", "other"])
    return Members(
        [("channel", "book"), ("type", kind), ("data", [book() for _ in range(rng.choice([1, 1, 1, 0, 2]))])]
    )


def polygon(rng: random.Random) -> Members:
    where = [("pair", "BTC-USD"), ("t", Number(1690409119847)), ("x", Number(rng.randrange(24)))]
    if rng.random() < 0.5:
        return Members([("ev", "XL2"), *where, ("r", Number(1)), ("b", pairs(rng, Number)), ("a", pairs(rng, Number))])
    prices = [(name, Number(decimal(rng))) for name in ("bp", "bs", "ap", "as")]
    return Members([("ev", "XQ"), *where, ("lp", Number(0)), *prices, ("r", Number(1690409119856))])


def odd_value(rng: random.Random) -> Value:
    choices: list[Value] = [None, True, False, [], Members(), Number("1.5"), Number("-3"), Number("1e3"), ["1", "2"]]
    choices += [[["9", "9"]], Members([("bids", [["8", "8"]]), ("asks", [["7", "7"]])]), "text", *map(str, ODD_STRINGS)]
    choices += ["0.5", Number("12"), Members([("x", Members([("asks", [["6", "6"]])]))])]
    return rng.choice(choices)


def containers(value: Value) -> list[list[Value] | Members]:
    found: list[list[Value] | Members] = []
    if isinstance(value, list):
        found.append(value)
        for inner in value:
            found += containers(inner[1] if isinstance(inner, tuple) else inner)
    return found


def disturb(rng: random.Random, message: Members) -> None:
    """One thing that is not as it is today."""
    container = rng.choice(containers(message))
    at = rng.randrange(len(container) + 1)
    if isinstance(container, Members):
        extra = (rng.choice(ODD_NAMES), odd_value(rng))
    what = rng.randrange(4)
    if what == 0 and isinstance(container, Members):
        rng.shuffle(container)
    elif what == 1 and at < len(container):
        del container[at]
    elif what == 2 and at < len(container):
        item = container[at]
        container[at] = (item[0], odd_value(rng)) if isinstance(item, tuple) else odd_value(rng)
    elif isinstance(container, Members):
        if container and rng.random() < 0.3:
            extra = (rng.choice(container)[0], extra[1])
        container.insert(at, extra)
    else:
        container.insert(at, odd_value(rng))


class Writer:
    """JSON text, with white space and escapes wherever they may stand if so wished."""

    def __init__(self, rng: random.Random, *, is_compact: bool) -> None:
        self._rng = rng
        self._spaces = not is_compact and rng.random() < 0.5
        self._escapes = not is_compact and rng.random() < 0.5

    def write(self, value: Value) -> str:
        if isinstance(value, Members):
            members = (f"{self._gap()}{self._text(name)}{self._gap()}:{self.write(inner)}" for name, inner in value)
            return self._gap() + "{" + ",".join(members) + self._gap() + "}" + self._gap()
        if isinstance(value, list):
            return self._gap() + "[" + ",".join(map(self.write, value)) + self._gap() + "]" + self._gap()
        if isinstance(value, Number):
            return f"{self._gap()}{value!s}{self._gap()}"
        return self._gap() + (self._text(value) if isinstance(value, str) else json.dumps(value)) + self._gap()

    def _gap(self) -> str:
        return self._rng.choice(["", " ", "\n", "\t \r"]) if self._spaces else ""

    def _text(self, text: str) -> str:
        if not self._escapes:
            return json.dumps(text, ensure_ascii=False)
        letters = (rf"\u{ord(letter):04x}" if self._rng.random() < 0.2 else json.dumps(letter)[1:-1] for letter in text)
        return '"' + "".join(letters) + '"'


def broken(rng: random.Random, text: bytes) -> bytes:
    """A byte or a few more, or fewer, or other ones."""
    at = rng.randrange(len(text) + 1)
    dropped = rng.choice([0, 0, 1, 1, 2, 9])
    put = bytes(rng.choice(b'{}[]",:0123456789.-eE \\\xff\xc3\x00abu') for _ in range(rng.choice([0, 1, 1, 2])))
    return text[:at] + put + text[at + dropped :]


MAKERS: dict[str, Callable[[random.Random], Members]] = {name: globals()[name] for name in VENUES}
BODIES = {"binance": binance_body, "bitstamp": bitstamp_body}


def made(seed: int, venue: str, *, is_snapshot: bool = False) -> bytes:
    rng = random.Random(seed)
    message = (BODIES if is_snapshot else MAKERS)[venue](rng)
    style = rng.random()
    for _ in range(rng.randrange(1, 4) if style > 0.4 else 0):
        disturb(rng, message)
    text = Writer(rng, is_compact=style < 0.55).write(message).encode()
    return broken(rng, text) if rng.random() < 0.3 else text


def some(seed: int, count: int, venue: str, *, is_snapshot: bool = False) -> Iterator[bytes]:
    return (made(seed + number, venue, is_snapshot=is_snapshot) for number in range(count))
