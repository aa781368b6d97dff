"""Made-up order books: what a venue's book of a symbol is after so many changes. No I/O, no clock.

Law: a book is a loop of changes, made from a seed alone, that ends where it began: half of it is a walk, the other half
the way back. So the book after any number of changes is known without having been there, every session of a server sees
the same one, and what is sent of each place in the loop can be written once.

Prices and sizes are whole numbers of 10^-decimals. The venues of a symbol walk about one common price, some ticks to
either side of it: now and then the one's best bid is above the other's best ask, as in the real world.
"""

import threading
import zlib
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from lb.replay.errors import UsageError

PLACES = 256
"""Changes in a loop."""

_SPREAD = 4
"""Ticks between the best bid and ask, about. Two venues then cross a tenth of the time, and four a third of it, as real
ones of small coins have been seen to."""

_KNOWN = {
    "BTC-USD": (60_000_00, 2), "BTC-USDT": (60_000_00, 2), "ETH-USD": (3_000_00, 2), "ETH-USDT": (3_000_00, 2),
    "ETH-BTC": (5_000, 5), "SOL-USD": (150_00, 2), "SOL-USDT": (150_00, 2), "LTC-USD": (80_00, 2),
    "LTC-BTC": (133_000, 8), "XRP-USD": (60_000, 5), "XRP-USDT": (60_000, 5), "DOGE-USD": (15_000, 5),
}  # fmt: skip
SYMBOLS = tuple(_KNOWN)
"""Those that there are where none are asked for; a venue has those of its quotes."""

Level = tuple[int, int]
"""Price and size; as a change a size of 0 removes."""


@dataclass(frozen=True)
class Instrument:
    """A symbol, such as ETH-BTC, and what its prices look like."""

    symbol: str
    price: int
    """About which its books are, in 10^-price_decimals."""
    price_decimals: int
    size_decimals: int = 8

    @classmethod
    def of(cls, symbol: str) -> "Instrument":
        """Of any name BASE-QUOTE; raises UsageError for another."""
        base, dash, quote = symbol.partition("-")
        if not (dash and base and quote) or symbol != symbol.upper() or "-" in quote:
            raise UsageError(f"{symbol!r} is no symbol such as ETH-BTC")
        price, decimals = _KNOWN.get(symbol, (10_000 + zlib.crc32(symbol.encode()) % 1_000_000, 4))
        return cls(symbol, price, decimals)

    @property
    def base(self) -> str:
        return self.symbol.partition("-")[0]

    @property
    def quote(self) -> str:
        return self.symbol.partition("-")[2]


def text_of(number: int, decimals: int, width: int | None = None) -> str:
    """A scaled number as a decimal with so many digits behind the point, filled with zeros to `width` of them."""
    whole, fraction = divmod(number, 10**decimals)
    digits = f"{fraction:0{decimals}d}" if decimals else ""
    digits = digits if width is None else digits.ljust(width, "0")
    return f"{whole}.{digits}" if digits else f"{whole}"


@dataclass(frozen=True)
class Change:
    """What becomes of some levels, and a trade at the price that was touched."""

    bids: Sequence[Level]
    asks: Sequence[Level]
    trade: Level
    is_sell: bool


@dataclass(frozen=True)
class State:
    """A whole book: bids falling, asks rising, never empty and never crossed."""

    bids: Sequence[Level]
    asks: Sequence[Level]


class _Side:
    """One side under way: its levels, and its prices sorted, the best last (bids) or first (asks)."""

    def __init__(self, sizes: dict[int, int], is_bid: bool) -> None:
        self.sizes = sizes
        self.prices = sorted(sizes)
        self.is_bid = is_bid

    @property
    def best(self) -> int:
        return self.prices[-1 if self.is_bid else 0]

    def near(self, rank: int) -> int:
        """The price of rank 0, 1 ... from the best."""
        rank = min(rank, len(self.prices) - 1)
        return self.prices[-1 - rank if self.is_bid else rank]

    def put(self, price: int, size: int) -> None:
        if size and price not in self.sizes:
            insort(self.prices, price)
        elif not size and price in self.sizes:
            del self.prices[bisect_left(self.prices, price)]
        if size:
            self.sizes[price] = size
        else:
            self.sizes.pop(price, None)

    def levels(self) -> list[Level]:
        prices = reversed(self.prices) if self.is_bid else self.prices
        return [(price, self.sizes[price]) for price in prices]


class MadeBook:
    """One venue's book of one symbol; any thread may ask."""

    def __init__(self, instrument: Instrument, seed: str, levels: int = 200) -> None:
        self.instrument = instrument
        random = Random(f"{seed} {instrument.symbol}")
        self._random = random
        self._levels = levels
        home = instrument.price + random.randint(-1, 1)
        self._home = home
        bids, asks = self._made_side(home - _SPREAD // 2, -1), self._made_side(home + _SPREAD // 2, 1)
        self._sides = _Side(dict(bids), True), _Side(dict(asks), False)
        walk = [self._step() for _ in range(PLACES // 2)]
        self.changes: Sequence[Change] = [ahead for ahead, _ in walk] + [back for _, back in reversed(walk)]
        self._sides = _Side(dict(bids), True), _Side(dict(asks), False)
        self._place = 0
        self._lock = threading.Lock()

    def change(self, count: int) -> Change:
        """The change number `count`, which made the book what it is after so many; numbers may be negative."""
        return self.changes[(count - 1) % PLACES]

    def state(self, count: int) -> State:
        """The book after so many changes."""
        place = count % PLACES
        with self._lock:
            while self._place != place:
                change = self.changes[self._place]
                for side, levels in zip(self._sides, (change.bids, change.asks), strict=True):
                    for price, size in levels:
                        side.put(price, size)
                self._place = (self._place + 1) % PLACES
            return State(self._sides[0].levels(), self._sides[1].levels())

    def _made_side(self, price: int, way: int) -> list[Level]:
        levels = []
        for _ in range(self._levels):
            price += way * (1 + int(self._random.random() ** 2 * 4))
            if price > 0:
                levels.append((price, self._size()))
        return levels

    def _size(self) -> int:
        """From a thousandth to a few tens, most of them small."""
        return int(10 ** (5 + 4 * self._random.random()))

    def _step(self) -> tuple[Change, Change]:
        """A change, and the one that undoes it. Mostly near the best prices; one in three moves them."""
        before: tuple[dict[int, int], dict[int, int]] = ({}, {})
        trade, is_sell = (self._sides[0].best, self._size() // 10 + 1), self._random.random() < 0.5
        if not is_sell:
            trade = (self._sides[1].best, trade[1])
        if self._random.random() < 0.34:
            self._move(before)
        for _ in range(1 + int(self._random.random() ** 3 * 6)):
            self._touch(before, 0 if self._random.random() < 0.5 else 1)
        after = [
            [(price, side.sizes.get(price, 0)) for price in was] for side, was in zip(self._sides, before, strict=True)
        ]
        back = [list(was.items()) for was in before]
        return Change(after[0], after[1], trade, is_sell), Change(back[0], back[1], trade, not is_sell)

    def _put(self, before: tuple[dict[int, int], dict[int, int]], which: int, price: int, size: int) -> None:
        side = self._sides[which]
        before[which].setdefault(price, side.sizes.get(price, 0))
        side.put(price, size)

    def _move(self, before: tuple[dict[int, int], dict[int, int]]) -> None:
        """The best prices go up or down by a tick or two, rather towards home."""
        bid, ask = self._sides
        middle = (bid.best + ask.best) / 2
        is_up = self._random.random() < 0.5 - (middle - self._home) / 10
        rising, giving, way = (0, 1, 1) if is_up else (1, 0, -1)
        if ask.best - bid.best <= _SPREAD and len(self._sides[giving].prices) > self._levels // 2:
            self._put(before, giving, self._sides[giving].best, 0)
        price = self._sides[rising].best + way
        if bid.best < price < ask.best:
            self._put(before, rising, price, self._size())

    def _touch(self, before: tuple[dict[int, int], dict[int, int]], which: int) -> None:
        """A level, the nearer the likelier: another size, gone, or one more beside it."""
        side, random = self._sides[which], self._random
        price = side.near(int(random.expovariate(1 / 6)))
        what = random.random()
        if what < 0.15 and len(side.prices) > self._levels // 2 and price != side.best:
            self._put(before, which, price, 0)
        elif what < 0.3:
            beside = price + (-1 if side.is_bid else 1)
            if beside > 0 and beside not in side.sizes:
                self._put(before, which, beside, self._size())
        else:
            self._put(before, which, price, self._size())
