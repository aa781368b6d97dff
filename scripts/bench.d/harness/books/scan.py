"""The top of a message that holds more: the C scan, orjson and msgspec. CPU time.

The others are measured without reading any number, which is less than the scan does; msgspec with the sides' text left
as it is, which is the least that it can do.
"""

import json
import os
import random
import subprocess
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import orjson

from harness.books import row
from harness.errors import TrialError
from harness.programs import CSRC, ROOT, compile_program
from harness.rows import Absent, Terms

TOP_OF_20 = "top 10 of a depth-20 message by the C scan"
TOP_OF_20_TO_ORJSON = "... orjson's time for it to the scan's"
TOP_OF_20_TO_MSGSPEC = "... msgspec's, sides left as text, to the scan's"
TOP_OF_100 = "top 10 of a message of 100 levels a side by the C scan"
TOP_OF_100_TO_ORJSON = "... orjson's time for all 100 to the scan's"
TOP_OF_100_TO_MSGSPEC = "... msgspec's for all 100, sides left as text, to the scan's"

_TOP = 10
_TRIAL_S = 0.1
_SIZE_DECIMALS = 8
_BOOKS = ROOT / "trade_balancer" / "books" / "csrc"
_JSON = ROOT / "trade_balancer" / "columnar" / "csrc"


class Message(NamedTuple):
    venue: str
    text: bytes
    price_decimals: int
    sides: Sequence[Sequence[Sequence[str]]]


class Round(NamedTuple):
    """us per message."""

    scan: float
    orjson: float
    msgspec: float | None


def depth_20() -> Message:
    """1,368 bytes, as Binance has them."""
    sides = [_side(20, 6183763 + way, way, 2, "000000") for way in (-1, 1)]
    data = {"lastUpdateId": 50093239218, "bids": sides[0], "asks": sides[1]}
    return Message("binance", orjson.dumps({"stream": "btcusdt@depth20@100ms", "data": data}), 2, sides)


def depth_100() -> Message:
    """About 5,000 bytes, as Bitstamp has them."""
    sides = [_side(100, 77188 + way, way, 0, "") for way in (-1, 1)]
    times = {"timestamp": "1787511693", "microtimestamp": "1787511693313188"}
    message = {"data": times | {"bids": sides[0], "asks": sides[1]}, "channel": "order_book_btcusd", "event": "data"}
    return Message("bitstamp", orjson.dumps(message), 0, sides)


def _side(levels: int, first: int, way: int, decimals: int, zeros: str) -> list[list[str]]:
    dice = random.Random(first)
    prices = (f"{(first + way * at) / 10**decimals:.{decimals}f}{zeros}" for at in range(levels))
    return [[price, f"{dice.uniform(0.01, 9):.{_SIZE_DECIMALS}f}"] for price in prices]


@lru_cache
def _rounds(make: Callable[[], Message], terms: Terms) -> list[Round]:
    message = make()
    program, file = terms.build / "book-scan", terms.build / f"{message.venue}.message"
    sources = [*sorted(_BOOKS.glob("*.c")), _JSON / "json.c", _JSON / "number.c", CSRC / "book_scan.c"]
    compile_program(os.environ.get("CC", "cc"), program, sources, (f"-I{_BOOKS}", f"-I{_JSON}"))
    file.write_bytes(message.text)
    command = [program, message.venue, str(message.price_decimals), str(_TOP), str(_TRIAL_S), file]
    return [
        Round(_scan_us(command, message), _loop_us(orjson.loads, message.text), _msgspec_us(message))
        for _ in range(terms.rounds)
    ]


def _scan_us(command: list[Any], message: Message) -> float:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TrialError(f"{command[0]} ended with status {done.returncode}")
    result = json.loads(done.stdout)
    decimals = (message.price_decimals, _SIZE_DECIMALS)
    expected = [
        [[int(Decimal(text).scaleb(n)) for text, n in zip(level, decimals, strict=True)] for level in side[:_TOP]]
        for side in message.sides
    ]
    if result["sides"] != expected:
        raise TrialError("the scan found other levels than the message has")
    return float(result["ns"]) / 1e3


def _msgspec_us(message: Message) -> float | None:
    if find_spec("msgspec") is None:
        return None
    import msgspec

    book = msgspec.defstruct("Book", [("bids", msgspec.Raw), ("asks", msgspec.Raw)])
    return _loop_us(msgspec.json.Decoder(msgspec.defstruct("Message", [("data", book)])).decode, message.text)


def _loop_us(decode: Callable[[bytes], object], text: bytes) -> float:
    count, begin_s = 0, time.process_time()
    while (spent_s := time.process_time() - begin_s) < _TRIAL_S:
        for _ in range(100):
            decode(text)
        count += 100
    return spent_s / count * 1e6


def _to_msgspec(rounds: list[Round]) -> list[float]:
    ratios = [one.msgspec / one.scan for one in rounds if one.msgspec is not None]
    if not ratios:
        raise Absent("msgspec is not installed")
    return ratios


@row(TOP_OF_20)
def top_of_20(terms: Terms) -> list[float]:
    return [one.scan for one in _rounds(depth_20, terms)]


@row(TOP_OF_20_TO_ORJSON)
def top_of_20_to_orjson(terms: Terms) -> list[float]:
    return [one.orjson / one.scan for one in _rounds(depth_20, terms)]


@row(TOP_OF_20_TO_MSGSPEC)
def top_of_20_to_msgspec(terms: Terms) -> list[float]:
    return _to_msgspec(_rounds(depth_20, terms))


@row(TOP_OF_100)
def top_of_100(terms: Terms) -> list[float]:
    return [one.scan for one in _rounds(depth_100, terms)]


@row(TOP_OF_100_TO_ORJSON)
def top_of_100_to_orjson(terms: Terms) -> list[float]:
    return [one.orjson / one.scan for one in _rounds(depth_100, terms)]


@row(TOP_OF_100_TO_MSGSPEC)
def top_of_100_to_msgspec(terms: Terms) -> list[float]:
    return _to_msgspec(_rounds(depth_100, terms))
