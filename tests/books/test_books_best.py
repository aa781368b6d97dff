"""Best prices between whole books: whatever comes in whatever order, a book is what two dictionaries would be."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from wire import Levels, binance_best, binance_whole, frames

from trade_balancer.books.books import Books, Form, Rule, Side, Why
from trade_balancer.books.summary import Decimals

DECIMALS = Decimals(2, 8)
MIDDLE, DEPTH = 100, 3
Sides = dict[Side, dict[int, int]]


@dataclass(frozen=True)
class Message:
    """`moved`: by how much the middle of the book has. A best that `is_crossed` has a bid above its ask."""

    is_best: bool
    last_id: int
    moved: int
    sizes: tuple[list[int], list[int]]
    is_crossed: bool

    def sides(self) -> Sides:
        """Bids below the middle, asks above; where all sizes of a side are 0 it is empty."""
        sides: Sides = {}
        for side, sizes in zip(Side, self.sizes, strict=True):
            away = -1 if (side is Side.BID) != self.is_crossed else 1
            places = [(MIDDLE + self.moved + away * place, size) for place, size in enumerate(sizes, 1) if size]
            sides[side] = dict(places[:1] if self.is_best else places)
        return sides

    def text(self) -> bytes:
        bids, asks = (list(levels.items()) for levels in self.sides().values())
        if self.is_best:
            return binance_best(self.last_id, (bids or [(0, 0)])[0], (asks or [(0, 0)])[0])
        return binance_whole(self.last_id, bids, asks)


@dataclass
class Model:
    """The last whole book and the last best prices that were news, each with its id."""

    whole_id: int = 0
    whole: Sides = field(default_factory=lambda: {side: {} for side in Side})
    best_id: int = 0
    best: Sides = field(default_factory=lambda: {side: {} for side in Side})
    is_held_back: bool = False

    def take(self, message: Message) -> list[Why]:
        sides = message.sides()
        is_crossed = message.is_crossed and all(sides.values())
        if message.is_best:
            if message.last_id <= max(self.whole_id, self.best_id):
                return []
            if is_crossed:
                return self.out()
            self.best_id, self.best = message.last_id, sides
        elif self.is_synced and message.last_id < self.whole_id:
            return []
        elif is_crossed:
            return self.out() if self.is_held_back else self.hold_back()
        else:
            self.whole_id, self.whole, self.is_held_back = message.last_id, sides, False
        return []

    def hold_back(self) -> list[Why]:
        self.is_held_back = True
        return []

    def out(self) -> list[Why]:
        self.__init__()  # type: ignore[misc] # as at first
        return [Why.CROSSED]

    @property
    def is_synced(self) -> bool:
        return bool(self.whole_id or self.best_id)

    def top(self, side: Side) -> Levels:
        away = -1 if side is Side.BID else 1
        levels = sorted(self.whole[side].items(), key=lambda level: away * level[0])
        if self.best_id > self.whole_id:
            best = list(self.best[side].items())
            behind = [level for level in levels if best and away * level[0] > away * best[0][0]]
            levels = [*best, *behind]
        return levels[:DEPTH]


SIZES = st.lists(st.integers(0, 9), max_size=DEPTH + 2)
MESSAGES = st.builds(
    Message,
    is_best=st.booleans(),
    last_id=st.integers(1, 12),
    moved=st.integers(-3, 3),
    sizes=st.tuples(SIZES, SIZES),
    is_crossed=st.sampled_from([False] * 9 + [True]),
)


@given(messages=st.lists(MESSAGES, max_size=20))
def test_a_book_is_its_last_levels_behind_the_best_prices_that_are_newer(messages: list[Message]) -> None:
    books, model = Books(depth=DEPTH), Model()
    venue, symbol = books.add_venue("binance", Form.BINANCE), books.add_symbol("BTC-USDT", DECIMALS)
    books.open_book(venue, symbol, b"btcusdt", Rule.WHOLE_EACH_TIME, DECIMALS, 2 * DEPTH)
    for message in messages:
        before = {side: model.top(side) for side in Side}
        was_synced = model.is_synced
        taken = books.take(venue, frames([message.text()]), 1)
        assert [fault.why for fault in taken.faults] == model.take(message)
        assert books.book(venue, symbol).is_synced == model.is_synced
        now = {side: model.top(side) for side in Side}
        assert {side: books.levels(venue, symbol, side, DEPTH) for side in Side} == now
        assert taken.changed or (before, was_synced) == (now, model.is_synced), "a change is told"
