"""How a book keeps in step whose venue counts its messages (Coinbase), or sends checksums of the book (Kraken)."""

from __future__ import annotations

import re

from one_book import ASKS, BIDS, DECIMALS, OneBook
from wire import coinbase, frames, kraken, kraken_checksum

from trade_balancer.books.books import Books, Form, Rule, Why
from trade_balancer.books.summary import Decimals


def test_a_message_missing_in_coinbase_s_count_puts_all_its_books_out() -> None:
    book = OneBook(Form.COINBASE, Rule.SEQUENCE)
    books = book.books
    other = books.add_symbol("ETH-USD", DECIMALS)
    waiting = books.add_symbol("LTC-USD", DECIMALS)
    books.open_book(book.venue, other, b"ETH-USD", Rule.SEQUENCE, DECIMALS)
    books.open_book(book.venue, waiting, b"LTC-USD", Rule.SEQUENCE, DECIMALS)

    def take(*messages: bytes) -> list[tuple[int, Why]]:
        taken = books.take(book.venue, frames(messages), 1)
        return sorted((fault.symbol, fault.why) for fault in taken.faults)

    assert take(coinbase("snapshot", 0, BIDS, ASKS), coinbase("snapshot", 1, BIDS, ASKS, "ETH-USD")) == []
    assert take(coinbase("update", 2, [(100, 1)], [])) == []
    assert (book.bids, book.asks) == ([(100, 1), *BIDS], ASKS)
    assert take(coinbase("update", 4, [(97, 1)], [], "ETH-USD")) == [(book.symbol, Why.GAP), (other, Why.GAP)]
    assert take(coinbase("update", 5, [(97, 1)], [])) == []
    assert not books.book(book.venue, book.symbol).is_synced
    assert take(coinbase("snapshot", 6, BIDS, [])) == []
    assert book.bids == BIDS
    assert books.book(book.venue, other).is_synced is False


def test_what_coinbase_sends_twice_is_passed_over_and_counted() -> None:
    book = OneBook(Form.COINBASE, Rule.SEQUENCE)
    bid = (100, 1)
    book.take(coinbase("snapshot", 1, BIDS, ASKS), coinbase("update", 2, [bid], []))
    assert book.take(coinbase("update", 2, [bid], [])) == []
    assert book.take(coinbase("update", 2, [(97, 1)], [], "ETH-USD"), coinbase("snapshot", 2, [], [])) == []
    assert (book.bids, book.books.repeats_total(book.venue)) == ([bid, *BIDS], 3)
    assert book.take(coinbase("update", 3, [(100, 2)], [])) == []
    assert book.bids[0] == (100, 2)
    assert book.take(coinbase("update", 2, [bid], [])) == [Why.GAP], "it goes back: another session, perhaps"


def test_a_session_of_coinbase_that_was_only_begun_is_no_repeat() -> None:
    book = OneBook(Form.COINBASE, Rule.SEQUENCE)
    book.take(coinbase("snapshot", 0, BIDS, ASKS))
    book.books.reset(book.venue, book.symbol)
    assert book.take(coinbase("snapshot", 0, ASKS, [])) == []
    assert (book.bids, book.books.repeats_total(book.venue)) == (ASKS[::-1], 0)


def test_a_new_session_of_coinbase_begins_its_count_anew() -> None:
    book = OneBook(Form.COINBASE, Rule.SEQUENCE)
    book.take(coinbase("snapshot", 57, BIDS, ASKS))
    book.books.reset(book.venue, book.symbol)
    assert book.take(coinbase("snapshot", 0, BIDS, ASKS), coinbase("update", 1, [(100, 1)], [])) == []
    assert book.bids == [(100, 1), *BIDS]


def test_kraken_s_checksum_is_that_of_its_guide() -> None:
    """Levels and result as its guide has them ("Book Checksum (v2)", and the same in v1's)."""
    asks = [f"0.0{price}" for price in (5005, 5010, 5015, 5020, 5025, 5030, 5035, 5040, 5045, 5050)]
    bids = [f"0.0{price}" for price in (5000, 4995, 4990, 4980, 4975, 4970, 4965, 4960, 4955, 4950)]
    books = Books()
    venue = books.add_venue("kraken", Form.KRAKEN)
    symbol = books.add_symbol("XBT-USD", Decimals(7, 10))  # more than the venue writes
    books.open_book(venue, symbol, b"BTC/USD", Rule.CHECKSUM, Decimals(5, 8), depth=10)
    size = "0.00000500"

    def side(prices: list[str]) -> str:
        return ",".join(f'{{"price":{price},"qty":{size}}}' for price in prices)

    def message(checksum: int) -> bytes:
        return (
            f'{{"channel":"book","type":"snapshot","data":[{{"symbol":"BTC/USD","bids":[{side(bids)}],'
            f'"asks":[{side(asks)}],"checksum":{checksum}}}]}}'
        ).encode()

    assert books.take(venue, frames([message(974947235)]), 1).faults == []
    assert books.book(venue, symbol).is_synced
    (fault,) = books.take(venue, frames([message(974947236)]), 1).faults
    assert (fault.symbol, fault.why) == (symbol, Why.CHECKSUM)


def test_kraken_s_book_is_cut_to_what_was_subscribed_before_its_checksum_is_compared() -> None:
    book = OneBook(Form.KRAKEN, Rule.CHECKSUM, depth=10)
    bids = [(price, 100 - price) for price in range(99, 89, -1)]
    asks = [(price, price) for price in range(101, 111)]
    assert book.take(kraken("snapshot", bids, asks, kraken_checksum(bids, asks))) == []
    for price in range(100, 109):
        bids = [(price, 7), *bids][:10]
        asks = asks[1:]
        update = kraken("update", [(price, 7)], [(price + 1, 0)], kraken_checksum(bids, asks))
        assert book.take(update) == []
        assert (book.bids, book.asks) == (bids, asks)
    assert book.take(kraken("update", [(109, 1)], [], 0)) == [Why.CHECKSUM]
    assert not book.is_synced


def test_a_second_snapshot_of_kraken_replaces_the_book_though_it_has_no_time() -> None:
    """Somebody else on the session has subscribed again."""
    book = OneBook(Form.KRAKEN, Rule.CHECKSUM, depth=10)
    update = kraken("update", [(98, 1)], [], kraken_checksum([(99, 1), (98, 1)], []))
    assert book.take(kraken("snapshot", [(99, 1)], [], kraken_checksum([(99, 1)], [])), update) == []
    again = re.sub(rb',"timestamp":"[^"]*"', b"", kraken("snapshot", [(97, 1)], [], kraken_checksum([(97, 1)], [])))
    assert book.take(again) == []
    assert book.bids == [(97, 1)]


def test_a_level_beyond_the_depth_moves_up_within_one_message_of_kraken() -> None:
    """It is cut behind all of a message's updates, and not between them."""
    book = OneBook(Form.KRAKEN, Rule.CHECKSUM, depth=10)
    bids = [(price, 1) for price in range(99, 89, -1)]
    book.take(kraken("snapshot", bids, [], kraken_checksum(bids, [])))
    after = [*bids[1:], (50, 4)]
    assert book.take(kraken("update", [(50, 4), (99, 0)], [], kraken_checksum(after, []))) == []
    assert book.bids == after
