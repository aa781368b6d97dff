"""How a venue's book keeps in step: each rule, and each way in which a venue breaks it. Counts and checksums:
test_books_in_step_checked.py."""

from __future__ import annotations

import pytest
from one_book import ASKS, BIDS, DECIMALS, OneBook
from wire import (
    PRICE_DECIMALS,
    binance_best,
    binance_difference,
    binance_snapshot,
    binance_whole,
    bitstamp,
    bitstamp_snapshot,
    frames,
    polygon,
)

from trade_balancer.books.books import Books, Form, Rule, Why
from trade_balancer.books.summary import Decimals, State


def binance() -> OneBook:
    return OneBook(Form.BINANCE, Rule.IDS)


@pytest.mark.parametrize(
    "first_ids",
    [(101, 103), (98, 103), (100, 101)],
    ids=["begins with the next", "straddles the snapshot", "begins with the snapshot's own"],
)
def test_the_first_difference_behind_a_snapshot(first_ids: tuple[int, int]) -> None:
    book = binance()
    book.take(binance_difference(*first_ids, [(100, 1)], []))
    assert not book.is_synced
    assert book.snapshot(binance_snapshot(100, BIDS, ASKS)) == []
    assert (book.bids, book.asks) == ([(100, 1), *BIDS], ASKS)
    assert book.last_id == first_ids[1]


def test_differences_that_the_snapshot_has_in_it_change_nothing() -> None:
    book = binance()
    book.take(binance_difference(95, 97, [(90, 1)], []), binance_difference(98, 100, [(91, 1)], []))
    book.snapshot(binance_snapshot(100, BIDS, ASKS))
    assert (book.bids, book.asks, book.last_id) == (BIDS, ASKS, 100)


def test_a_snapshot_older_than_what_was_kept_is_refused_and_a_newer_one_finds_all_that_was_kept() -> None:
    book = binance()
    book.take(binance_difference(103, 104, [(100, 1)], []))
    assert book.snapshot(binance_snapshot(101, BIDS, ASKS)) == [Why.OLD]
    book.take(binance_difference(105, 106, [], [(101, 0)]))
    assert book.snapshot(binance_snapshot(102, BIDS, ASKS)) == []
    assert (book.bids, book.asks, book.last_id) == ([(100, 1), *BIDS], ASKS[1:], 106)


def synced() -> OneBook:
    book = binance()
    assert book.snapshot(binance_snapshot(100, BIDS, ASKS)) == []
    return book


@pytest.mark.parametrize("is_synced", [True, False])
@pytest.mark.parametrize("rule", [Rule.IDS, Rule.WHOLE_EACH_TIME])
def test_a_stretch_that_comes_once_more_changes_nothing(rule: Rule, is_synced: bool) -> None:
    """As where lb goes on with a second session: messages of one stream go back, and on again."""
    made = binance_difference if rule is Rule.IDS else lambda _, last_id, *sides: binance_whole(last_id, *sides)
    messages = [made(at, at, [(98, at)], [(101, at)]) for at in range(101, 121)]
    once, again = OneBook(Form.BINANCE, rule), OneBook(Form.BINANCE, rule)
    parts = {id(once): [messages[:12], messages[12:]], id(again): [messages[:12], messages[4:12], messages[8:]]}
    for book in (once, again):
        if is_synced and rule is Rule.IDS:
            book.snapshot(binance_snapshot(100, BIDS, ASKS))
        for part in parts[id(book)]:
            assert book.take(*part) == []
        if not is_synced and rule is Rule.IDS:
            assert book.snapshot(binance_snapshot(105, BIDS, ASKS)) == []
    assert (again.bids, again.asks, again.last_id) == (once.bids, once.asks, 120)
    assert again.is_synced


def test_a_gap_puts_the_book_out_and_what_came_with_it_is_kept_for_the_snapshot() -> None:
    book = synced()
    assert book.take(binance_difference(102, 103, [(100, 1)], [])) == [Why.GAP]
    assert (book.bids, book.asks, book.is_synced) == ([], [], False)
    assert book.take(binance_difference(104, 104, [(97, 2)], [])) == []
    assert book.snapshot(binance_snapshot(101, BIDS, ASKS)) == []
    assert book.bids == [(100, 1), *BIDS, (97, 2)]


def test_a_hole_among_those_kept_makes_the_ones_before_it_worthless() -> None:
    book = binance()
    book.take(binance_difference(101, 102, [(97, 1)], []), binance_difference(110, 111, [(96, 1)], []))
    assert book.snapshot(binance_snapshot(100, BIDS, ASKS)) == [Why.OLD]
    assert book.snapshot(binance_snapshot(109, BIDS, ASKS)) == []
    assert book.bids == [*BIDS, (96, 1)]


def test_a_repeated_difference_changes_nothing() -> None:
    book = synced()
    again = binance_difference(101, 102, [(100, 1)], [])
    book.take(again, binance_difference(103, 103, [(100, 2)], []), again)
    assert (book.bids[0], book.last_id, book.is_synced) == ((100, 2), 103, True)


def test_a_difference_without_levels_counts() -> None:
    book = synced()
    assert book.take(binance_difference(101, 105, [], []), binance_difference(106, 106, [(99, 0)], [])) == []
    assert book.bids == BIDS[1:]


def test_both_sides_may_be_empty() -> None:
    book = binance()
    assert book.snapshot(binance_snapshot(100, [], [])) == []
    assert (book.is_synced, book.bids, book.asks) == (True, [], [])
    book.take(binance_difference(101, 101, BIDS, []))
    assert (book.bids, book.asks) == (BIDS, [])


def test_a_level_that_is_not_there_can_be_taken_out() -> None:
    book = synced()
    assert book.take(binance_difference(101, 101, [(50, 0)], [(500, 0)])) == []
    assert (book.bids, book.asks) == (BIDS, ASKS)


def test_where_a_price_stands_twice_in_a_difference_the_last_counts() -> None:
    book = synced()
    book.take(binance_difference(101, 101, [(99, 1), (99, 0), (99, 3)], [(101, 4), (101, 0)]))
    assert (book.bids, book.asks) == ([(99, 3), BIDS[1]], ASKS[1:])


def test_a_book_that_is_crossed_in_itself_is_out() -> None:
    book = synced()
    assert book.take(binance_difference(101, 101, [(101, 1)], [])) == [Why.CROSSED]
    assert (book.is_synced, book.bids) == (False, [])


def test_what_is_kept_for_a_snapshot_is_bounded_and_begins_anew() -> None:
    book = binance()
    many = [(price, 1) for price in range(1, 2000)]
    whys: list[Why] = []
    for number in range(1, 100):
        whys += book.take(binance_difference(number, number, many, []))
        assert book.books.memory_bytes < 2 << 20
    assert set(whys) == {Why.OVERFLOW}
    assert book.snapshot(binance_snapshot(98, BIDS, [(5000, 1)])) == []
    assert (len(book.bids), book.last_id) == (100, 99)


def test_a_reset_forgets_and_keeps_from_then_on() -> None:
    book = synced()
    book.books.reset(book.venue, book.symbol)
    book.take(binance_difference(501, 502, [(100, 1)], []))
    assert book.snapshot(binance_snapshot(500, BIDS, ASKS)) == []
    assert book.bids == [(100, 1), *BIDS]


def test_more_decimals_than_the_symbol_has_are_never_rounded() -> None:
    book = synced()
    exact = binance_difference(101, 101, [(100, 1)], [])
    assert book.take(exact.replace(b'"1.00"', b'"1.001"')) == [Why.INEXACT]
    assert not book.is_synced


def test_a_number_that_does_not_fit_puts_the_book_out() -> None:
    book = synced()
    assert book.take(binance_difference(101, 101, [(100, 10**19)], [])) == [Why.TOO_LARGE]


def test_a_level_that_is_none_puts_the_book_out() -> None:
    book = synced()
    assert book.take(binance_difference(101, 101, [(100, 1)], []).replace(b'"1.00"', b'"1.x"')) == [Why.MALFORMED]


def test_a_message_without_an_end_is_missed_by_the_book_that_it_was_for() -> None:
    book = synced()
    books = book.books
    (fault,) = books.take(book.venue, frames([binance_difference(101, 101, BIDS, ASKS)[:-30]]), 1).faults
    assert (fault.symbol, fault.why) == (-1, Why.MALFORMED)
    assert book.take(binance_difference(102, 102, [], [])) == [Why.GAP]


def test_a_message_without_an_end_puts_all_books_out_that_would_not_miss_it() -> None:
    book = OneBook(Form.BITSTAMP, Rule.TIMES)
    book.snapshot(bitstamp_snapshot(20, BIDS, ASKS))
    taken = book.books.take(book.venue, frames([bitstamp("diff_order_book_btcusd", 30, BIDS, ASKS)[:-30]]), 1)
    assert {fault.symbol for fault in taken.faults} == {-1, book.symbol}
    assert taken.changed == [book.symbol]


def test_what_is_no_message_of_a_book_puts_none_out() -> None:
    book = synced()
    books = book.books
    assert books.take(book.venue, frames([b'{"result":null,"id":1}']), 1).faults == []
    (fault,) = books.take(book.venue, frames([b"["]), 1).faults
    assert (fault.venue, fault.symbol, fault.why) == (book.venue, -1, Why.MALFORMED)
    assert book.is_synced


def test_a_rest_of_a_frame_is_left() -> None:
    book = synced()
    whole = frames([binance_difference(101, 101, [(100, 1)], [])])
    for cut in range(len(whole)):
        assert book.books.take(book.venue, whole + whole[:cut], 1).consumed_bytes == len(whole)


def test_a_book_is_cut_at_its_far_end() -> None:
    book = OneBook(Form.BINANCE, Rule.IDS, levels_max=10)
    book.snapshot(binance_snapshot(1, [(price, 1) for price in range(99, 79, -1)], []))
    assert [price for price, _ in book.bids] == list(range(99, 89, -1))
    for number, price in enumerate(range(100, 200), 2):
        book.take(binance_difference(number, number, [(price, 1)], []))
        assert [price for price, _ in book.bids] == list(range(price, price - 10, -1))


def whole() -> OneBook:
    return OneBook(Form.BINANCE, Rule.WHOLE_EACH_TIME)


def test_a_whole_book_replaces_the_one_before_and_an_older_one_does_not() -> None:
    book = whole()
    book.take(binance_whole(10, BIDS, ASKS))
    assert (book.bids, book.asks, book.is_synced) == (BIDS, ASKS, True)
    book.take(binance_whole(12, [(97, 1)], []))
    assert (book.bids, book.asks) == ([(97, 1)], [])
    book.take(binance_whole(11, BIDS, ASKS))
    assert (book.bids, book.asks) == ([(97, 1)], [])


@pytest.mark.parametrize("rule", [Rule.WHOLE_EACH_TIME, Rule.IDS])
def test_the_best_comes_before_the_levels_until_these_are_newer(rule: Rule) -> None:
    book = OneBook(Form.BINANCE, rule)

    def levels(last_id: int, asks: list[tuple[int, int]]) -> None:
        if rule is Rule.WHOLE_EACH_TIME:
            book.take(binance_whole(last_id, BIDS, asks))
        elif not book.is_synced:
            book.snapshot(binance_snapshot(last_id, BIDS, asks))
        else:
            book.take(binance_difference(book.last_id + 1, last_id, [], asks))

    levels(10, ASKS)
    book.take(binance_best(9, (100, 1), (101, 1)))
    assert (book.bids, book.asks) == (BIDS, ASKS), "it is older"
    book.take(binance_best(12, (98, 3), (102, 9)))
    assert (book.bids, book.asks) == ([(98, 3)], [(102, 9)])
    book.take(binance_best(14, (100, 4), (101, 9)))
    assert (book.bids, book.asks) == ([(100, 4), *BIDS], [(101, 9), ASKS[1]])
    levels(13, ASKS)
    assert book.bids == [(100, 4), *BIDS], "the levels are older"
    levels(14, ASKS)
    assert (book.bids, book.asks) == (BIDS, ASKS)


def test_of_several_best_prices_within_a_millisecond_the_last_counts() -> None:
    book = OneBook(Form.POLYGON, Rule.WHOLE_EACH_TIME)
    book.take(polygon("XQ", 5, 0, [(98, 1)], [(103, 1)]), polygon("XQ", 5, 0, [(99, 1)], [(103, 2)]))
    assert (book.bids, book.asks) == ([(99, 1)], [(103, 2)])
    book.take(polygon("XL2", 5, 0, BIDS, ASKS))
    assert (book.bids, book.asks) == (BIDS, ASKS)
    book.take(polygon("XQ", 5, 0, [(99, 9)], [(101, 9)]), polygon("XQ", 4, 0, [(90, 1)], [(110, 1)]))
    assert (book.bids, book.asks) == ([(99, 9), BIDS[1]], [(101, 9), ASKS[1]])
    book.take(polygon("XL2", 5, 0, ASKS, [(200, 1)]))
    assert (book.bids, book.asks) == (ASKS[::-1], [(200, 1)]), "bids in no order"


def test_of_a_venue_with_the_best_first_no_more_is_read_than_asked_for_unless_it_is_not_so() -> None:
    book = OneBook(Form.BINANCE, Rule.WHOLE_EACH_TIME, depth=3)
    rising = [(price, 1) for price in range(101, 121)]
    book.take(binance_whole(1, [], rising))
    assert book.asks == rising[:3]
    book.take(binance_whole(2, [], rising[::-1]))
    assert book.asks == rising[:3]


def test_one_crossed_book_of_bitstamp_is_held_back_and_the_second_is_a_fault() -> None:
    book = OneBook(Form.BITSTAMP, Rule.WHOLE_EACH_TIME)
    good, crossed = ([(99, 1)], [(100, 1)]), ([(101, 1)], [(100, 1)])
    channel = "order_book_btcusd"
    assert book.take(bitstamp(channel, 1, *good), bitstamp(channel, 2, *crossed)) == []
    assert (book.bids, book.asks) == good
    assert book.take(bitstamp(channel, 3, [(98, 1)], []), bitstamp(channel, 4, *crossed)) == []
    assert book.bids == [(98, 1)]
    assert book.take(bitstamp(channel, 5, *crossed)) == [Why.CROSSED]
    assert not book.is_synced
    assert book.take(bitstamp(channel, 6, *good)) == []
    assert (book.bids, book.asks, book.is_synced) == (*good, True)


def test_bitstamp_s_differences_go_by_time() -> None:
    book = OneBook(Form.BITSTAMP, Rule.TIMES)
    channel = "diff_order_book_btcusd"
    book.take(bitstamp(channel, 20, [(90, 1)], []), bitstamp(channel, 30, [(100, 1)], []))
    assert book.snapshot(bitstamp_snapshot(19, BIDS, ASKS)) == [Why.OLD]
    assert book.snapshot(bitstamp_snapshot(20, BIDS, ASKS)) == []
    assert (book.bids, book.asks) == ([(100, 1), *BIDS], ASKS)
    book.take(bitstamp(channel, 40, [], [(101, 0)]), bitstamp(channel, 35, [(100, 0)], []))
    assert (book.bids, book.asks) == ([(100, 1), *BIDS], ASKS[1:])


def test_what_the_keeper_says_of_a_book_decides_whether_it_is_live() -> None:
    book = binance()
    books, at = book.books, (book.venue, book.symbol)
    assert (books.book(*at).state, books.book(*at).is_live) == (State.SYNCING, False)
    book.snapshot(binance_snapshot(1, BIDS, ASKS))
    assert (books.book(*at).state, books.book(*at).is_live) == (State.LIVE, True)
    assert books.set_state(*at, State.STALE)
    assert not books.set_live(*at, False)
    assert (books.book(*at).state, books.book(*at).is_synced) == (State.STALE, True)
    assert books.set_live(*at, True)


def test_books_that_there_are_not_are_refused() -> None:
    books = Books()
    venue = books.add_venue("binance", Form.BINANCE)
    symbol = books.add_symbol("BTC-USDT", DECIMALS)
    with pytest.raises(ValueError, match="venue 0 has no book of symbol 0"):
        books.book(venue, symbol)
    for wrong in (-1, 1, 2**31):
        with pytest.raises(ValueError, match="no"):
            books.open_book(wrong, symbol, b"btcusdt", Rule.IDS, DECIMALS)
        with pytest.raises(ValueError, match="no"):
            books.open_book(venue, wrong, b"btcusdt", Rule.IDS, DECIMALS)
        with pytest.raises(ValueError, match="no"):
            books.reset(venue, wrong)
        with pytest.raises(ValueError, match="no"):
            books.take(wrong, b"", 1)
        with pytest.raises(ValueError, match="no"):
            books.merge(wrong, 1)
    books.open_book(venue, symbol, b"btcusdt", Rule.IDS, DECIMALS)
    other = books.add_symbol("ETH-USDT", DECIMALS)
    with pytest.raises(ValueError, match="has a book of b'btcusdt'"):
        books.open_book(venue, other, b"btcusdt", Rule.IDS, DECIMALS)
    with pytest.raises(ValueError, match="not within those of the symbol"):
        books.open_book(venue, other, b"ethusdt", Rule.IDS, Decimals(PRICE_DECIMALS + 1, 0))
    with pytest.raises(ValueError, match="there is a venue 'binance'"):
        books.add_venue("binance", Form.BITSTAMP)
    for number in range(15):
        books.add_venue(f"venue {number}", Form.BINANCE)
    with pytest.raises(ValueError, match="there are 16 venues"):
        books.add_venue("one more", Form.BINANCE)


def test_the_memory_of_a_book_is_bounded_and_given_back() -> None:
    """500 symbols at 4 venues, each 5,000 levels deep on both sides, are to take no more than 500 MiB."""
    book = binance()
    books = book.books
    empty = books.memory_bytes

    def side(begin: int, step: int) -> list[tuple[int, int]]:
        return [(begin + step * number, 1) for number in range(6000)]

    book.snapshot(binance_snapshot(1, side(1_000_000, -1), side(1_000_001, 1)))
    for number in range(2, 12):  # prices move away: levels are put in at the one end and cut off at the other
        book.take(binance_difference(number, number, [], [(1_000_000 + 300 * number - i, 0) for i in range(300, 600)]))
        book.take(binance_difference(number, number, side(1_000_000 + 300 * (number - 1), -1)[:300], []))
        state = books.book(book.venue, book.symbol)
        assert state.bid_levels <= 5000
        assert state.ask_levels <= 5000
    assert state.bid_levels == 5000
    shared = books.memory_bytes
    books.close_book(book.venue, book.symbol)
    of_the_book = shared - books.memory_bytes
    assert of_the_book * 500 * 4 < 500 << 20
    assert books.memory_bytes - empty < 1 << 20, "what all books share"
