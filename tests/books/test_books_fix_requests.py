"""What may be asked for by FIX, what comes of it, and that a client's book is the market's."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from fractions import Fraction

import pytest
from fix_client import BOTH, Client, Field, Received, accepted, connected, request, symbols
from serving import LIMIT_S, run, until
from test_books_fix import SYMBOL, a_book, a_market, subscribed
from test_books_merge import Venues, side

from trade_balancer.books.fix.client import MOST_VIEWS
from trade_balancer.books.market import Market
from trade_balancer.books.summary import Level

Row = tuple[str, Fraction, Fraction]
"""Venue, price, size."""
Sides = tuple[list[Row], list[Row]]


class Book:
    """A client's, of one request: from 35=W and 35=X alone, by ids."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[str, Row]] = {}

    def take(self, message: Received) -> Sides:
        if message[35] == "W":
            self._entries.clear()
            for entry in message.groups(268, 269):
                self._put(f"{message[55]}/{entry[269]}/{entry[282]}/{entry[270]}", entry, is_there=False)
        else:
            assert message[35] == "X"
            for entry in message.groups(268, 279):
                if entry[279] == "2":
                    assert 271 not in entry
                    del self._entries[entry[278]]
                else:
                    self._put(entry[278], entry, is_there=entry[279] == "1")
        bids, asks = ([row for kind, row in self._entries.values() if kind == side] for side in "01")
        order = [(bids, -1), (asks, 1)]
        for rows, sign in order:
            rows.sort(key=lambda row: (sign * row[1], -row[2], row[0]))
        return bids, asks

    def _put(self, name: str, entry: dict[int, str], *, is_there: bool) -> None:
        assert (name in self._entries) == is_there
        self._entries[name] = entry[269], (entry[282], Fraction(entry[270]), Fraction(entry[271]))


def rows(levels: Sequence[Level], depth: int) -> list[Row]:
    return [(level.venue, Fraction(level.price, 100), Fraction(level.size, 10**8)) for level in levels[: depth or None]]


class Wanted:
    """A request, and what its client has of it."""

    def __init__(self, name: str, depth: int, update: int, entries: str) -> None:
        self.name = name
        self.depth = depth
        self.entries = entries
        self.kind = "WX"[update]
        self.book = Book()
        self.seen = -1
        """Which of the summaries that were offered it has shown last."""
        kinds: list[Field] = [(267, len(entries)), *((269, entry) for entry in entries)]
        self.fields: list[Field] = [(262, name), (263, 1), (264, depth), (265, update), *kinds, *symbols(SYMBOL)]

    def of(self, bids: Sequence[Level], asks: Sequence[Level]) -> Sides:
        return (
            rows(bids, self.depth) if "0" in self.entries else [],
            rows(asks, self.depth) if "1" in self.entries else [],
        )


@pytest.mark.parametrize("seed", range(2))
def test_a_book_made_of_what_has_come_is_one_that_was_offered_and_in_the_end_the_last(seed: int) -> None:
    of = random.Random(seed)

    async def scene() -> None:
        market = a_market()
        venues = Venues("here", "there", "yonder", symbol=SYMBOL, depth=5)
        wanted = {
            name: Wanted(name, depth, update, entries)
            for name, depth, update, entries in (
                ("all", 0, 1, "01"), ("best", 1, 1, "01"), ("bids", 3, 1, "0"), ("whole", 0, 0, "10")
            )
        }  # fmt: skip
        async with accepted(market, depth=5) as (_, port), connected(port) as client:
            await client.log_on((141, "Y"))
            for each in wanted.values():
                await client.say("V", each.fields)
            await client.say("1", [(112, "asked")])
            await client.expect("0")
            offered: list[tuple[list[Level], list[Level]]] = []
            for _ in range(40):
                for _ in range(of.randint(1, 4)):
                    book = side(of, are_bids=True, most=6), side(of, are_bids=False, most=6)
                    venues.send(of.choice(("here", "there", "yonder")), *book)
                    if summary := venues.merge():
                        offered.append((summary.bids, summary.asks))
                        market.offer(summary)
                while any(each.of(*offered[-1]) != _shown(each, offered) for each in wanted.values()):
                    _take(await client.next(), wanted, offered)

    run(scene())


def _shown(each: Wanted, offered: Sequence[tuple[list[Level], list[Level]]]) -> Sides | None:
    return None if each.seen < 0 else each.of(*offered[each.seen])


def _take(message: Received | None, wanted: dict[str, Wanted], offered: list[tuple[list[Level], list[Level]]]) -> None:
    assert message is not None
    each = wanted[message[262]]
    assert message[35] == ("W" if each.seen < 0 else each.kind)
    book = each.book.take(message)
    each.seen = next(at for at in range(each.seen + 1, len(offered)) if each.of(*offered[at]) == book)


def test_several_symbols_of_one_request_and_what_ends_them() -> None:
    async def scene() -> None:
        market = Market([SYMBOL, "ETH-USD"], grace_s=0)
        first, second = a_book(), Venues("here", symbol="ETH-USD")
        async with accepted(market) as (_, port), connected(port) as client:
            await client.log_on((141, "Y"))
            asked: list[Field] = [(262, "two"), (263, 1), (264, 1), (265, 1), *BOTH, *symbols(SYMBOL, "ETH-USD")]
            await client.say("V", asked)
            await until(lambda: market.watchers("ETH-USD") == 1)
            market.offer(first.now())
            assert (await client.expect("W"))[55] == SYMBOL
            second.send("here", [], [(5_00, 10**8)])
            market.offer(second.now())
            book = await client.expect("W")
            assert (book[55], book[268]) == ("ETH-USD", "1")
            second.send("here", [], [(6_00, 10**8)])
            market.offer(second.now())
            change = await client.expect("X")
            assert [(entry[279], entry[278], entry[55]) for entry in change.groups(268, 279)] == [
                ("2", "ETH-USD/1/here/5.00", "ETH-USD"), ("0", "ETH-USD/1/here/6.00", "ETH-USD")
            ]  # fmt: skip
            await client.say("V", request("two", 2))
            await until(lambda: market.watched() == [])
            await client.say("V", request("two", 1))
            await until(lambda: market.watchers(SYMBOL) == 1)
            first.send("here", [], [])
            market.offer(first.now())
            assert (await client.expect("W"))[262] == "two", "its id is free again"

    run(scene())


REFUSED: list[tuple[str, list[Field], str | None, str]] = [
    ("unknown symbol", request("r", 1, "BTC-USDX"), "0", "there is BTC-USD"),
    ("one of several", [*request("r", 1)[:-2], *symbols(SYMBOL, "NOPE")], "0", "NOPE"),
    ("no symbol", [*request("r", 1)[:-2], (146, 0)], "0", "no symbol"),
    ("the same id", request("used", 1), "1", "in use"),
    ("type", request("r", 3), "4", "263=3"),
    ("too deep", request("r", 1, depth=11), "5", "from 1 to 10"),
    ("no depth", request("r", 1, depth="-1"), "5", "264=-1"),
    ("update", request("r", 1, update=2), "6", "265=2"),
    ("no update", [field for field in request("r", 1) if field[0] != 265], "6", "263=1 needs one"),
    ("added up", [*request("r", 1)[:4], (266, "Y"), *BOTH, *symbols(SYMBOL)], "7", "266=Y"),
    ("trades", [*request("r", 1)[:4], (267, 1), (269, 2), *symbols(SYMBOL)], "8", "0 (bid) and 1 (offer)"),
    ("nothing to end", request("r", 2), None, "there is no request r"),
    ("long id", request("r" * 65, 1), None, "65 characters"),
]


def test_what_cannot_be_had_is_refused_with_the_reason() -> None:
    async def scene() -> None:
        market = a_market()
        async with accepted(market) as (_, port), connected(port) as client:
            await client.log_on((141, "Y"))
            await client.say("V", request("used", 1))
            for name, fields, reason, text in REFUSED:
                await client.say("V", fields)
                refusal = await client.expect("Y")
                assert (refusal[262], refusal.get(281)) == (fields[0][1], reason), name
                assert text in refusal[58], name
            assert market.watched() == [SYMBOL]
            assert market.watchers(SYMBOL) == 1
            await _is_rejected(client)

    run(scene())


async def _is_rejected(client: Client) -> None:
    """What is no request of FIX 4.4, and what is no request of ours."""
    await client.say("V", [field for field in request("r", 1) if field[0] != 264])
    rejected = await client.expect("3")
    assert (rejected[45], rejected[371], rejected[372], rejected[373]) == (str(client.sent), "264", "V", "1")
    now = "20260101-00:00:00"
    await client.say("D", [(11, "order"), (55, SYMBOL), (54, 1), (60, now), (38, 1), (40, 1)])
    rejected = await client.expect("j")
    assert (rejected[45], rejected[372], rejected[380]) == (str(client.sent), "D", "3")


def test_more_symbols_than_one_client_may_have_are_refused() -> None:
    async def scene() -> None:
        names = [f"S{number}-USD" for number in range(MOST_VIEWS)]
        market = Market(names, grace_s=0)
        async with accepted(market) as (_, port), connected(port) as client:
            await client.log_on((141, "Y"))
            await client.say("V", [*request("all", 1)[:-2], *symbols(*names)])
            await client.say("V", request("more", 0, names[0]))
            refusal = await client.expect("Y")
            assert (refusal[262], refusal[281]) == ("more", "2")
            assert len(market.watched()) == MOST_VIEWS

    run(scene())


def test_a_snapshot_of_what_nobody_has_live_is_refused_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trade_balancer.books.fix.client.SNAPSHOT_S", 0.05)

    async def scene() -> None:
        market = a_market()
        async with accepted(market) as (_, port), connected(port) as client:
            await client.log_on((141, "Y"))
            await client.say("V", request("one", 0))
            refusal = await client.expect("Y")
            assert (refusal[262], refusal.get(281)) == ("one", None)
            assert "no venue has a live book of BTC-USD" in refusal[58]
            assert market.watchers(SYMBOL) == 0

    run(scene())


def test_a_client_that_reads_slowly_sees_the_newest_and_not_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trade_balancer.books.fix.connection.BLOCKED_S", LIMIT_S)

    async def scene() -> None:
        market, venues = a_market(), a_book()
        async with subscribed(market) as (_, client):
            price = 0
            while market.skipped_total < 1500:
                price += 1
                venues.send("here", [(price, 1)], [(10**6, 1)])
                market.offer(venues.now())
                await asyncio.sleep(0)
            book, last = Book(), f"{price // 100}.{price % 100:02d}"
            messages = 0
            while Fraction(last) not in [row[1] for row in book.take((await client.next()) or _never())[0]]:
                messages += 1
            assert messages < price - 500

    run(scene())


def _never() -> Received:
    raise AssertionError("it was cut off")
