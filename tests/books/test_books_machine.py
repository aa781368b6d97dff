"""Whatever venues send and lose: books are what dictionaries would be, and merges what a few obvious lines make."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from test_books_merge import DECIMALS, obvious
from wire import binance_difference, binance_snapshot, frames

from trade_balancer.books.books import Books, Form, Rule, Side, Why
from trade_balancer.books.summary import Level, State

VENUES = ["kraken", "binance", "bitstamp"]
SYMBOLS = ["btcusdt", "ethusdt"]
DEPTH, LEVELS_MAX = 4, 8

BID, ASK = Side.BID, Side.ASK
Sides = dict[Side, dict[int, int]]


@dataclass
class Exchange:
    """The book as the venue has it, and its snapshots of the past."""

    name: str
    sides: Sides = field(default_factory=lambda: {BID: {}, ASK: {}})
    last_id: int = 0
    past: list[tuple[int, Sides]] = field(default_factory=list)

    def change(self, changes: list[tuple[Side, int, int]], ids: int) -> bytes:
        """A difference with so many ids in it."""
        self.past = [*self.past[-4:], (self.last_id, {side: dict(levels) for side, levels in self.sides.items()})]
        first_id = self.last_id + 1
        self.last_id += ids
        told: Sides = {BID: {}, ASK: {}}
        for side, offset, size in changes:
            price = 100 - offset if side is BID else 101 + offset
            told[side][price] = size
            self.sides[side][price] = size
            if size == 0:
                del self.sides[side][price]
        return binance_difference(first_id, self.last_id, list(told[BID].items()), list(told[ASK].items()), self.name)


@dataclass
class Model:
    """What one book should be: a dictionary of each side, and the differences kept for the snapshot."""

    is_synced: bool = False
    is_live: bool = True
    last_id: int = 0
    sides: Sides = field(default_factory=lambda: {BID: {}, ASK: {}})
    kept: list[tuple[int, int, Sides]] = field(default_factory=list)

    def out(self) -> None:
        self.is_synced, self.sides = False, {BID: {}, ASK: {}}

    def apply(self, last_id: int, changes: Sides) -> None:
        for side, levels in changes.items():
            self.sides[side].update(levels)
            self.sides[side] = {price: size for price, size in self.sides[side].items() if size}
            self.sides[side] = dict(self.top(side)[:LEVELS_MAX])
        self.last_id = last_id

    def top(self, side: Side) -> list[tuple[int, int]]:
        return sorted(self.sides[side].items(), reverse=side is BID)

    def difference(self, first_id: int, last_id: int, changes: Sides) -> list[Why]:
        if not self.is_synced:
            self.keep(first_id, last_id, changes)
            return []
        if last_id <= self.last_id:
            return []
        if first_id > self.last_id + 1:
            self.out()
            self.keep(first_id, last_id, changes)
            return [Why.GAP]
        self.apply(last_id, changes)
        return []

    def keep(self, first_id: int, last_id: int, changes: Sides) -> None:
        if self.kept and first_id > max(last for _, last, _ in self.kept) + 1:
            self.kept = []
        self.kept.append((first_id, last_id, changes))

    def snapshot(self, last_id: int, sides: Sides) -> list[Why]:
        if self.is_synced and last_id <= self.last_id:
            return []
        if self.kept and last_id + 1 < self.kept[0][0]:
            return [Why.OLD]
        self.is_synced, self.sides = True, {BID: {}, ASK: {}}
        self.apply(last_id, sides)
        for _, last, changes in self.kept:
            if last > self.last_id:
                self.apply(last, changes)
        self.kept = []
        return []


PLACES = st.tuples(st.integers(0, len(VENUES) - 1), st.integers(0, len(SYMBOLS) - 1))
CHANGES = st.lists(st.tuples(st.sampled_from(Side), st.integers(0, 14), st.integers(0, 3)), max_size=5)


class BooksMachine(RuleBasedStateMachine):
    """Messages are lost, repeated, and come before snapshots of any age; sessions end and begin."""

    @initialize()
    def begin(self) -> None:
        self.books = Books(depth=DEPTH, levels_max=LEVELS_MAX)
        venues = [self.books.add_venue(name, Form.BINANCE) for name in VENUES]
        symbols = [self.books.add_symbol(name.upper(), DECIMALS) for name in SYMBOLS]
        self.exchanges: dict[tuple[int, int], Exchange] = {}
        self.models: dict[tuple[int, int], Model] = {}
        for venue in venues:
            for symbol in symbols:
                self.exchanges[venue, symbol] = Exchange(SYMBOLS[symbol])
                self.open((venue, symbol))
        self.changed: set[int] = set(symbols)
        self.faults: list[tuple[int, int, Why]] = []
        self.expected_faults: list[tuple[int, int, Why]] = []
        self.merged: dict[int, tuple[list[Level], list[Level], list[tuple[str, str]]]] = {}
        self.sequence = 0
        self.last: dict[tuple[int, int], bytes] = {}

    def open(self, at: tuple[int, int]) -> None:
        self.books.open_book(*at, SYMBOLS[at[1]].encode(), Rule.IDS, DECIMALS)
        self.models[at] = Model()

    def take(self, at: tuple[int, int], *messages: bytes) -> None:
        data = frames(messages)
        taken = self.books.take(at[0], data, 1)
        assert taken.consumed_bytes == len(data)
        assert len(set(taken.changed)) == len(taken.changed)
        self.changed |= set(taken.changed)
        self.faults += taken.faults

    def expect(self, at: tuple[int, int], whys: list[Why]) -> None:
        self.expected_faults += [(*at, why) for why in whys]

    @rule(at=PLACES, changes=CHANGES, ids=st.integers(1, 3), is_lost=st.sampled_from([False] * 7 + [True]))
    def venue_changes(self, at: tuple[int, int], changes: list[tuple[Side, int, int]], ids: int, is_lost: bool) -> None:
        """Sizes of what is not there may be 0."""
        exchange = self.exchanges[at]
        first_id = exchange.last_id + 1
        self.last[at] = message = exchange.change(changes, ids)
        if is_lost:
            return
        told: Sides = {BID: {}, ASK: {}}
        for side, offset, size in changes:
            told[side][100 - offset if side is BID else 101 + offset] = size
        self.take(at, message)
        self.expect(at, self.models[at].difference(first_id, exchange.last_id, told))

    @rule(at=PLACES)
    def venue_repeats(self, at: tuple[int, int]) -> None:
        model = self.models[at]
        if at in self.last and model.is_synced and model.last_id >= self.exchanges[at].last_id:
            self.take(at, self.last[at])

    @rule(at=PLACES, age=st.integers(0, 4))
    def snapshot_comes(self, at: tuple[int, int], age: int) -> None:
        exchange = self.exchanges[at]
        past = [*exchange.past, (exchange.last_id, exchange.sides)]
        last_id, sides = past[max(0, len(past) - 1 - age)]
        levels = {side: sorted(sides[side].items(), reverse=side is BID) for side in Side}
        taken = self.books.snapshot(*at, binance_snapshot(last_id, levels[BID], levels[ASK]), 1)
        self.changed |= set(taken.changed)
        self.faults += taken.faults
        self.expect(at, self.models[at].snapshot(last_id, {side: dict(sides[side]) for side in Side}))

    @rule(at=PLACES)
    def session_is_lost(self, at: tuple[int, int]) -> None:
        self.books.reset(*at)
        self.models[at] = Model(is_live=self.models[at].is_live)
        self.changed.add(at[1])

    @rule(at=PLACES, is_live=st.booleans())
    def keeper_says(self, at: tuple[int, int], is_live: bool) -> None:
        model = self.models[at]
        has_changed = self.books.set_state(*at, State.LIVE if is_live else State.STALE)
        assert has_changed == (is_live != model.is_live)
        model.is_live = is_live
        if has_changed:
            self.changed.add(at[1])

    @rule(at=PLACES)
    def book_is_closed_and_opened(self, at: tuple[int, int]) -> None:
        self.books.close_book(*at)
        self.open(at)
        self.changed.add(at[1])

    @invariant()
    def faults_are_told(self) -> None:
        assert self.faults == self.expected_faults

    @invariant()
    def books_are_the_dictionaries(self) -> None:
        for at, model in self.models.items():
            state = self.books.book(*at)
            assert (state.is_synced, state.is_live) == (model.is_synced, model.is_synced and model.is_live)
            if model.is_synced:
                assert state.last_id == model.last_id
            for side in Side:
                assert self.books.levels(*at, side, 100) == model.top(side)

    @invariant()
    def merges_are_the_obvious_ones(self) -> None:
        for symbol in range(len(SYMBOLS)):
            self.sequence += 1
            shown = {
                VENUES[venue]: model
                for (venue, number), model in self.models.items()
                if number == symbol and model.is_synced and model.is_live
            }
            bids = obvious({name: model.top(BID) for name, model in shown.items()}, are_bids=True, depth=DEPTH)
            asks = obvious({name: model.top(ASK) for name, model in shown.items()}, are_bids=False, depth=DEPTH)
            states = sorted(
                (VENUES[venue], "stale" if not model.is_live else "live" if model.is_synced else "syncing")
                for (venue, number), model in self.models.items()
                if number == symbol
            )
            now = bids, asks, states
            if now != self.merged.get(symbol):
                assert symbol in self.changed, "who merges what has changed alone misses nothing"
            summary = self.books.merge(symbol, self.sequence) if symbol in self.changed else None
            if now == self.merged.get(symbol):
                assert summary is None
                continue
            assert summary
            assert (summary.bids, summary.asks) == (bids, asks)
            assert [(venue.name, venue.state) for venue in summary.venues] == states
            self.merged[symbol] = now
        self.changed.clear()


TestBooks = BooksMachine.TestCase
TestBooks.settings = settings(max_examples=20, stateful_step_count=40)
