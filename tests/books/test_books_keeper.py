"""What is done about books that are out: a venue steered at random, against what must hold at every step."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import wire
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from trade_balancer.books.books import Books, Why
from trade_balancer.books.keeper import (
    CONFIRM_S,
    MOST_DELAY_S,
    Action,
    Fetch,
    Keeper,
    Resubscribe,
    Subscribe,
    Unsubscribe,
)
from trade_balancer.books.summary import Decimals, State
from trade_balancer.books.venue import Request, VenueSymbol
from trade_balancer.books.venues import VENUES

SYMBOLS = {"BTC-USD": "btcusd", "ETH-USD": "ethusd"}
DECIMALS = Decimals(wire.PRICE_DECIMALS, wire.SIZE_DECIMALS)
COUNTED = {"BTC-USD": VenueSymbol("BTC-USD", DECIMALS, True), "ETH-USD": VenueSymbol("ETH-USD", DECIMALS, True)}
STALE_S = 60.0
BID, ASK = (100, 1), (200, 1)


def table(*halted: str) -> dict[str, VenueSymbol]:
    return {symbol: VenueSymbol(name, DECIMALS, symbol not in halted) for symbol, name in SYMBOLS.items()}


def keeper_of(*names: str, is_whole: bool = True) -> Keeper:
    venues = [replace(VENUES[name], stale_after_s=STALE_S) for name in names]
    return Keeper(Books(), venues, is_whole=is_whole, dice=random.Random(1))


class Steered:
    """A keeper of one venue whose books are differences behind a snapshot, and the venue's side."""

    def __init__(self) -> None:
        self.books = Books()
        venue = replace(VENUES["binance"], stale_after_s=STALE_S)
        self.keeper = Keeper(self.books, [venue], is_whole=True, dice=random.Random(1))
        self.now_s = 1000.0
        self.ids = dict.fromkeys(SYMBOLS, 10)
        self.fetching: list[str] = []
        self.topics: set[str] = set()
        self.fetches_s: dict[str, list[float]] = {symbol: [] for symbol in SYMBOLS}
        self.keeper.know("binance", table(), self.now_s)

    def obey(self) -> list[Action]:
        actions = self.keeper.take_actions()
        for action in actions:
            match action:
                case Fetch(_, symbol):
                    assert symbol not in self.fetching, "two fetches of one book at once"
                    self.fetching.append(symbol)
                    self.fetches_s[symbol].append(self.now_s)
                case Subscribe(_, topics):
                    self.topics.update(topics)
                case Unsubscribe(_, topics):
                    self.topics.difference_update(topics)
        return actions

    def say(self, symbol: str, *, gap: int = 0, bids: wire.Levels = (BID,)) -> None:
        last = self.ids[symbol]
        self.ids[symbol] = last + gap + 1
        message = wire.binance_difference(last + gap + 1, last + gap + 1, bids, [ASK], SYMBOLS[symbol])
        self.keeper.taken(self.books.take(0, wire.frames([message]), int(self.now_s)), self.now_s)

    def answer(self, symbol: str, age: int) -> None:
        self.fetching.remove(symbol)
        body = wire.binance_snapshot(max(1, self.ids[symbol] - age), [BID], [ASK])
        self.keeper.snapshot("binance", symbol, body, int(self.now_s), self.now_s)

    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        self.keeper.tick(self.now_s)


symbols = st.sampled_from(sorted(SYMBOLS))


class KeeperMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.venue = Steered()
        self.watched: set[str] = set()
        self.halted: set[str] = set()
        self.is_open = False

    @rule(symbol=symbols)
    def watch(self, symbol: str) -> None:
        self.venue.keeper.watch(symbol, self.venue.now_s)
        self.watched.add(symbol)

    @rule(symbol=symbols)
    def unwatch(self, symbol: str) -> None:
        if symbol in self.watched:
            self.venue.keeper.unwatch(symbol)
            self.watched.remove(symbol)

    @rule(symbol=symbols)
    def halt_or_go_on(self, symbol: str) -> None:
        self.halted ^= {symbol}
        self.venue.keeper.know("binance", table(*self.halted), self.venue.now_s)

    @rule(is_open=st.booleans())
    def session(self, is_open: bool) -> None:
        self.is_open = is_open
        self.venue.keeper.session("binance", is_open, self.venue.now_s)

    @rule(symbol=symbols, gap=st.sampled_from([0, 0, 0, 5]), crossed=st.sampled_from([False, False, True]))
    def say(self, symbol: str, gap: int, crossed: bool) -> None:
        if self.is_open:
            self.venue.say(symbol, gap=gap, bids=[(300, 1)] if crossed else [BID, (300, 0)])

    @rule(age=st.sampled_from([0, 0, 1, 50]), index=st.integers(0, 3))
    def answer(self, age: int, index: int) -> None:
        if self.venue.fetching:
            self.venue.answer(self.venue.fetching[index % len(self.venue.fetching)], age)

    @rule(body=st.sampled_from([b"", b"{}", b"<html>", b'{"lastUpdateId":1,"bids":']))
    def answer_rubbish(self, body: bytes) -> None:
        if self.venue.fetching:
            symbol = self.venue.fetching.pop()
            self.venue.keeper.snapshot("binance", symbol, body, 0, self.venue.now_s)

    @rule()
    def fail(self) -> None:
        if self.venue.fetching:
            self.venue.keeper.no_snapshot("binance", self.venue.fetching.pop(), self.venue.now_s)

    @rule()
    def drop(self) -> None:
        self.venue.keeper.dropped("binance", self.venue.now_s)

    @rule(seconds=st.sampled_from([0.1, 1.0, MOST_DELAY_S, STALE_S + 1]))
    def wait(self, seconds: float) -> None:
        self.venue.pass_time(seconds)

    @invariant()
    def a_book_that_is_out_is_not_merged(self) -> None:
        venue = self.venue
        venue.obey()
        traded = self.watched - self.halted
        assert venue.topics == {f"{SYMBOLS[symbol]}@depth@100ms" for symbol in traded}
        states = venue.keeper.states()
        assert {symbol: set(of) for symbol, of in states.items()} == {
            symbol: {"binance"} if symbol in traded else set() for symbol in self.watched
        }
        numbers = {venue.keeper.name_of(number): number for number in range(len(SYMBOLS))}
        for symbol in traded:
            book = venue.books.book(0, numbers[symbol])
            is_live = states[symbol]["binance"] is State.LIVE
            assert book.is_live == is_live
            assert not is_live or (self.is_open and book.is_synced)
            summary = venue.books.merge(numbers[symbol], 1)
            assert summary is None or is_live or not (summary.bids or summary.asks)

    def teardown(self) -> None:
        """Whatever has happened: with a session, and answers, all come back."""
        venue = self.venue
        venue.keeper.session("binance", True, venue.now_s)
        self.is_open = True
        for _ in range(12):
            venue.pass_time(MOST_DELAY_S * 1.3)
            venue.obey()
            for symbol in sorted(self.watched):
                venue.say(symbol, bids=[BID, (300, 0)])
            while venue.fetching:
                venue.answer(venue.fetching[0], 0)
        venue.pass_time(0.1)
        states = venue.keeper.states()
        assert all(states[symbol]["binance"] is State.LIVE for symbol in self.watched - self.halted)
        assert not venue.obey()


KeeperMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
test_keeper = KeeperMachine.TestCase


def test_faults_in_a_burst_are_one_recovery_and_ever_rarer_ones_while_it_does_not_help() -> None:
    venue = Steered()
    venue.keeper.watch("BTC-USD", venue.now_s)
    venue.keeper.session("binance", True, venue.now_s)
    for _ in range(6000):
        for _ in range(5):
            venue.say("BTC-USD", gap=5)
        venue.pass_time(0.1)
        venue.obey()
        if venue.fetching:
            venue.answer("BTC-USD", 50)
    times_s = venue.fetches_s["BTC-USD"]
    assert 10 < len(times_s) < 40
    assert venue.keeper.faults_total == {("binance", Why.OLD): len(times_s)}
    assert times_s[-1] - times_s[-2] > MOST_DELAY_S / 2


def test_one_fetch_of_a_book_is_on_its_way_whatever_happens_meanwhile() -> None:
    venue = Steered()
    venue.keeper.watch("BTC-USD", venue.now_s)
    venue.keeper.session("binance", True, venue.now_s)
    venue.pass_time(1.0)
    venue.obey()
    assert venue.fetching == ["BTC-USD"]
    venue.keeper.dropped("binance", venue.now_s)
    venue.pass_time(MOST_DELAY_S)
    venue.keeper.unwatch("BTC-USD")
    venue.keeper.watch("BTC-USD", venue.now_s)
    venue.pass_time(MOST_DELAY_S)
    venue.obey()
    assert venue.fetching == ["BTC-USD"]
    venue.answer("BTC-USD", 0)
    venue.pass_time(0.1)
    assert venue.keeper.states() == {"BTC-USD": {"binance": State.LIVE}}
    assert not venue.obey()


def test_behind_a_new_session_a_book_is_merged_when_it_has_a_new_snapshot() -> None:
    venue = Steered()
    venue.keeper.watch("BTC-USD", venue.now_s)
    for _ in range(2):
        venue.keeper.session("binance", True, venue.now_s)
        venue.say("BTC-USD")
        assert venue.keeper.states() == {"BTC-USD": {"binance": State.SYNCING}}
        venue.pass_time(MOST_DELAY_S)
        venue.obey()
        venue.answer("BTC-USD", 0)
        assert venue.keeper.states() == {"BTC-USD": {"binance": State.LIVE}}
        venue.keeper.session("binance", False, venue.now_s)
        assert venue.keeper.states() == {"BTC-USD": {"binance": State.DOWN}}


NAMES = {"bitstamp": "btcusd", "coinbase": "BTC-USD", "kraken": "BTC/USD"}


def counted(name: str, now_s: float) -> Keeper:
    keeper = keeper_of(name)
    keeper.know(name, COUNTED | {"BTC-USD": COUNTED["BTC-USD"]._replace(name=NAMES[name])}, now_s)
    keeper.session(name, True, now_s)
    keeper.watch("BTC-USD", now_s)
    return keeper


def whole(name: str) -> bytes:
    if name == "coinbase":
        return wire.frames([wire.coinbase("snapshot", 1, [BID], [ASK])])
    if name == "bitstamp":
        return wire.frames([wire.bitstamp("order_book_btcusd", 1, [BID], [ASK])])
    return wire.frames([wire.kraken("snapshot", [BID], [ASK], wire.kraken_checksum([BID], [ASK]))])


@pytest.mark.parametrize("name", NAMES)
def test_a_book_that_comes_before_the_word_of_its_session_is_taken(name: str) -> None:
    keeper = counted(name, 0.0)
    keeper.session(name, False, 1.0)
    keeper.taken(keeper._books.take(0, whole(name), 1), 2.0)
    assert keeper.states() == {"BTC-USD": {name: State.DOWN}}
    keeper.session(name, True, 2.0)
    assert keeper.states() == {"BTC-USD": {name: State.LIVE}}
    keeper.session(name, False, 3.0)
    keeper.session(name, True, 4.0)
    assert keeper.states() == {"BTC-USD": {name: State.SYNCING}}


def test_a_quiet_market_is_not_stale_while_the_venue_counts_on() -> None:
    keeper = counted("coinbase", 0.0)
    keeper.taken(keeper._books.take(0, whole("coinbase"), 1), 1.0)
    keeper.take_actions()
    for second in range(1, 1000):
        keeper.heard("coinbase", float(second))
        keeper.tick(float(second))
    assert keeper.states() == {"BTC-USD": {"coinbase": State.LIVE}}
    assert not keeper.take_actions()
    keeper.tick(999.0 + STALE_S + 1)
    assert keeper.states() == {"BTC-USD": {"coinbase": State.STALE}}


def test_a_silent_book_is_asked_for_again_before_it_is_stale_and_its_answer_is_a_sign_of_life() -> None:
    keeper = counted("kraken", 0.0)
    keeper.taken(keeper._books.take(0, whole("kraken"), 1), 1.0)
    keeper.take_actions()
    keeper.tick(STALE_S / 2)
    assert not keeper.take_actions()
    keeper.tick(STALE_S / 2 + 2)
    keeper.tick(STALE_S / 2 + 3)
    assert keeper.take_actions() == [Resubscribe("kraken", ["book-100:BTC/USD"])]
    keeper.taken(keeper._books.take(0, whole("kraken"), 1), STALE_S - 1)
    keeper.tick(STALE_S + 2)
    assert keeper.states() == {"BTC-USD": {"kraken": State.LIVE}}
    keeper.tick(2 * STALE_S + 4)
    assert keeper.states() == {"BTC-USD": {"kraken": State.STALE}}


def exchanges_of(*others: str) -> tuple[Keeper, Books]:
    """Polygon's, with BTC-USD watched and a session."""
    books = Books()
    venues = [replace(VENUES[name], stale_after_s=STALE_S) for name in ("polygon", *others)]
    keeper = Keeper(books, venues, dice=random.Random(1))
    keeper.know("polygon", {"BTC-USD": VenueSymbol("BTC-USD", DECIMALS, True)}, 0.0)
    keeper.session("polygon", True, 0.0)
    keeper.watch("BTC-USD", 0.0)
    return keeper, books


def test_an_exchange_shows_when_it_is_heard_of_and_is_gone_with_the_session_that_brings_it() -> None:
    keeper, books = exchanges_of()
    assert keeper.take_actions() == [Subscribe("polygon", ["XL2.BTC-USD", "XQ.BTC-USD"])]
    number = keeper.number_of("polygon")

    def say(*messages: bytes) -> None:
        keeper.taken(books.take(number, wire.frames(messages), 1), 1.0)

    def live() -> dict[str, State]:
        return {name: state for name, state in keeper.states()["BTC-USD"].items() if state is not State.UNKNOWN}

    assert live() == {}
    say(wire.polygon("XL2", 1, 1, [BID], [ASK]), wire.polygon("XL2", 1, 99, [BID], [ASK]))
    assert live() == {"polygon:coinbase": State.LIVE}
    say(wire.polygon("XQ", 1, 23, [BID], [ASK]), wire.polygon("XL2", 2, 1, [ASK], [BID]))
    say(wire.polygon("XL2", 3, 1, [ASK], [BID]))
    assert live() == {"polygon:coinbase": State.SYNCING, "polygon:kraken": State.LIVE}
    assert keeper.faults_total == {("polygon:coinbase", Why.CROSSED): 1}
    keeper.session("polygon", False, 2.0)
    assert live() == {"polygon:coinbase": State.DOWN, "polygon:kraken": State.DOWN}
    keeper.session("polygon", True, 3.0)
    assert live() == {"polygon:coinbase": State.SYNCING, "polygon:kraken": State.SYNCING}
    say(wire.polygon("XQ", 9, 23, [BID], [ASK]))
    assert live() == {"polygon:coinbase": State.SYNCING, "polygon:kraken": State.LIVE}
    number = next(iter(keeper.take_changed()))
    summary = books.merge(number, 1)
    assert summary is not None
    assert [venue.name for venue in summary.venues] == ["polygon:coinbase", "polygon:kraken"]
    keeper.unwatch("BTC-USD")
    assert keeper.take_actions() == [Unsubscribe("polygon", ["XL2.BTC-USD", "XQ.BTC-USD"])]


def test_an_exchange_that_is_a_venue_by_itself_is_not_merged_twice() -> None:
    keeper, _ = exchanges_of("coinbase", "kraken")
    assert set(keeper.states()["BTC-USD"]) == {"polygon:binance", "polygon:bitfinex", "polygon:bitstamp"}


def test_a_symbol_that_an_exchange_s_venue_trades_no_more_leaves_with_all_of_its_books() -> None:
    keeper, _ = exchanges_of()
    keeper.take_actions()
    keeper.know("polygon", {}, 1.0)
    assert keeper.take_actions() == [Unsubscribe("polygon", ["XL2.BTC-USD", "XQ.BTC-USD"])]
    assert keeper.states() == {"BTC-USD": {}}


def test_a_quiet_book_is_told_by_rest_until_its_first_message_and_once_more_as_rest_may_be_old() -> None:
    keeper = keeper_of("bitstamp")
    keeper.know("bitstamp", table(), 0.0)
    keeper.watch("BTC-USD", 0.0)
    keeper.take_actions()
    keeper.session("bitstamp", True, 0.0)
    wanted = Fetch("bitstamp", "BTC-USD", Request("/api/v2/order_book/btcusd/", 1))

    def answer(time_us: int, bids: wire.Levels, now_s: float) -> list[tuple[int, int]]:
        keeper.snapshot("bitstamp", "BTC-USD", wire.bitstamp_snapshot(time_us, bids, [ASK]), 1, now_s)
        assert keeper.states() == {"BTC-USD": {"bitstamp": State.LIVE}}
        return keeper._books.levels(0, 0, 0, 10)

    keeper.tick(0.0)
    assert keeper.take_actions() == [wanted]
    assert answer(10, [BID], 0.2) == [BID]
    keeper.tick(CONFIRM_S - 0.1)
    assert not keeper.take_actions()
    keeper.tick(CONFIRM_S)
    assert keeper.take_actions() == [wanted]
    keeper.no_snapshot("bitstamp", "BTC-USD", CONFIRM_S)
    keeper.tick(2 * CONFIRM_S)
    assert keeper.take_actions() == [wanted]
    assert answer(20, [(101, 2)], 2 * CONFIRM_S) == [(101, 2)]
    keeper.tick(STALE_S / 2)
    assert not keeper.take_actions()


def test_what_the_venue_s_own_message_tells_is_not_asked_of_rest() -> None:
    keeper = keeper_of("bitstamp")
    keeper.know("bitstamp", table(), 0.0)
    keeper.watch("BTC-USD", 0.0)
    keeper.session("bitstamp", True, 0.0)
    keeper.tick(0.0)
    keeper.take_actions()
    message = wire.bitstamp("order_book_btcusd", 30, [BID], [ASK])
    keeper.taken(keeper._books.take(0, wire.frames([message]), 1), 0.1)
    keeper.snapshot("bitstamp", "BTC-USD", wire.bitstamp_snapshot(20, [(101, 2)], [ASK]), 1, 0.2)
    assert keeper._books.levels(0, 0, 0, 10) == [BID], "it is older"
    keeper.tick(CONFIRM_S)
    assert not keeper.take_actions()
