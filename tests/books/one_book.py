"""A venue with one symbol's book, told what a test has it told."""

from __future__ import annotations

from wire import PRICE_DECIMALS, SIZE_DECIMALS, frames

from trade_balancer.books.books import Books, Form, Rule, Side, Taken, Why
from trade_balancer.books.summary import Decimals

DECIMALS = Decimals(PRICE_DECIMALS, SIZE_DECIMALS)
NAMES = {
    Form.BINANCE: b"btcusdt",
    Form.BITSTAMP: b"btcusd",
    Form.COINBASE: b"BTC-USD",
    Form.KRAKEN: b"BTC/USD",
    Form.POLYGON: b"BTC-USD",
}
BIDS, ASKS = [(99, 5), (98, 6)], [(101, 7), (102, 8)]


class OneBook:
    """A venue with one symbol's book."""

    def __init__(self, form: Form, rule: Rule, depth: int = 0, levels_max: int = 5000) -> None:
        self.books = Books(levels_max=levels_max)
        self.venue = self.books.add_venue(form.name.lower(), form)
        self.symbol = self.books.add_symbol("BTC-USD", DECIMALS)
        self.books.open_book(self.venue, self.symbol, NAMES[form], rule, DECIMALS, depth)

    def take(self, *messages: bytes) -> list[Why]:
        taken = self.books.take(self.venue, frames(messages), 1)
        assert taken.consumed_bytes == len(frames(messages))
        return self.told(taken)

    def snapshot(self, body: bytes) -> list[Why]:
        return self.told(self.books.snapshot(self.venue, self.symbol, body, 1))

    def told(self, taken: Taken) -> list[Why]:
        assert {(fault.venue, fault.symbol) for fault in taken.faults} <= {(self.venue, self.symbol)}
        return [fault.why for fault in taken.faults]

    @property
    def bids(self) -> list[tuple[int, int]]:
        return self.books.levels(self.venue, self.symbol, Side.BID, 100)

    @property
    def asks(self) -> list[tuple[int, int]]:
        return self.books.levels(self.venue, self.symbol, Side.ASK, 100)

    @property
    def is_synced(self) -> bool:
        return self.books.book(self.venue, self.symbol).is_synced

    @property
    def last_id(self) -> int:
        return self.books.book(self.venue, self.symbol).last_id
