"""A made-up market for the rows: messages of two venues for one symbol, the same in every run.

The first sends differences of a book of 1,000 levels a side (16 changes each, half of them removals: the median of what
was recorded), the second 100 levels of each side each time.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import orjson

PRICE_DECIMALS, SIZE_DECIMALS = 2, 8
MIDDLE = 6_000_000
LEVELS = 1_000
SNAPSHOT_ID = 1_000


@dataclass(frozen=True)
class Market:
    """`snapshot`: of the first venue. `messages`: in turn of the first and of the second."""

    snapshot: bytes
    messages: Sequence[bytes]


@lru_cache
def market(count: int) -> Market:
    dice = random.Random(20240808)
    sides = [[_level(dice, MIDDLE + way * (1 + 3 * at), "000000") for at in range(LEVELS)] for way in (-1, 1)]
    snapshot = orjson.dumps({"lastUpdateId": SNAPSHOT_ID, "bids": sides[0], "asks": sides[1]})
    messages = [_difference(dice, at) if at % 2 == 0 else _whole(dice, at) for at in range(count)]
    return Market(snapshot, messages)


def _level(dice: random.Random, price: int, zeros: str = "") -> list[str]:
    return [f"{price / 100:.2f}{zeros}", f"{dice.uniform(0.001, 5):.8f}"]


def _difference(dice: random.Random, at: int) -> bytes:
    number = SNAPSHOT_ID + 1 + at // 2
    sides = [[_change(dice, MIDDLE + way * off) for off in dice.sample(range(1, 300), 8)] for way in (-1, 1)]
    data = {"e": "depthUpdate", "E": 1723075200000 + at, "s": "BTCUSDT", "U": number, "u": number}
    return orjson.dumps({"stream": "btcusdt@depth@100ms", "data": data | {"b": sides[0], "a": sides[1]}})


def _change(dice: random.Random, price: int) -> list[str]:
    level = _level(dice, price, "000000")
    return [level[0], "0.00000000"] if dice.random() < 0.5 else level


def _whole(dice: random.Random, at: int) -> bytes:
    sides = [[_level(dice, MIDDLE + way * off) for off in sorted(dice.sample(range(1, 400), 100))] for way in (-1, 1)]
    micro = 1723075200000000 + at
    data = {"timestamp": str(micro // 1_000_000), "microtimestamp": str(micro), "bids": sides[0], "asks": sides[1]}
    return orjson.dumps({"data": data, "channel": "order_book_btcusdt", "event": "data"})
