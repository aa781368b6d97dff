"""The dialogue with Kraken, without a socket: a message per channel and depth, and an answer for each symbol."""

from __future__ import annotations

import json

import pytest

from lb.feed.dialogue import Acknowledged, Action, Left, Ready, Rejected, Said, Send
from lb.feed.venues.kraken import MOST_SYMBOLS, VENUE, Dialogue

TOPICS = ["book:BTC/USD", "book-25:ETH/USD", "trade:BTC/USD", "book:ETH/BTC"]


def begun(topics: list[str] = TOPICS) -> Dialogue:
    dialogue = Dialogue("", topics)
    dialogue.begin()
    return dialogue


def requests_of(actions: list[Action]) -> list[dict[str, object]]:
    return [json.loads(action.text) for action in actions if isinstance(action, Send)]


def answer(number: int, symbol: str, method: str = "subscribe") -> bytes:
    result = {"channel": "book", "symbol": symbol}
    return json.dumps({"method": method, "result": result, "success": True, "req_id": number}).encode()


def test_a_message_for_each_channel_and_depth_and_nothing_is_waited_for() -> None:
    *sent, last = Dialogue("", TOPICS).begin()
    book = {"channel": "book", "snapshot": True}
    assert [request["params"] for request in requests_of(sent)] == [
        {**book, "symbol": ["BTC/USD", "ETH/BTC"], "depth": 10},
        {**book, "symbol": ["ETH/USD"], "depth": 25},
        {"channel": "trade", "symbol": ["BTC/USD"]},
    ]
    assert {request["method"] for request in requests_of(sent)} == {"subscribe"}
    assert [request["req_id"] for request in requests_of(sent)] == [1, 2, 3]
    assert last == Ready()
    assert Dialogue("", []).begin() == [Ready()]


def test_many_symbols_take_few_messages() -> None:
    asked = requests_of(begun([]).change([f"book:A{number}/USD" for number in range(250)], []))
    assert [len(request["params"]["symbol"]) for request in asked] == [MOST_SYMBOLS, MOST_SYMBOLS, 50]  # type: ignore[index]


def test_each_symbol_is_acknowledged_by_an_answer_of_its_own() -> None:
    dialogue = begun()
    assert dialogue.receive(answer(1, "ETH/BTC"))[0] == Acknowledged("book:ETH/BTC")
    assert dialogue.receive(answer(2, "ETH/USD"))[0] == Acknowledged("book-25:ETH/USD")
    assert [type(action) for action in dialogue.receive(answer(1, "ETH/BTC"))] == [Said]
    assert dialogue.receive(answer(1, "BTC/USD"))[0] == Acknowledged("book:BTC/USD")


def test_what_is_over_is_taken_back_first_so_that_a_book_may_change_its_depth() -> None:
    over, fresh = requests_of(begun().change(["book-100:BTC/USD"], ["book:BTC/USD"]))
    assert (over["method"], over["params"]) == ("unsubscribe", {"channel": "book", "symbol": ["BTC/USD"], "depth": 10})
    assert (fresh["method"], fresh["params"]["depth"]) == ("subscribe", 100)  # type: ignore[index]
    dialogue = begun()
    (request,) = requests_of(dialogue.change([], TOPICS[:1]))
    assert dialogue.receive(answer(int(str(request["req_id"])), "BTC/USD", "unsubscribe"))[0] == Left(TOPICS[0])


def test_an_error_names_its_symbol_or_its_request_has_one_alone() -> None:
    dialogue = begun(["book:BTC/USD", "book:FOO/USD", "trade:BTC/USD"])
    words = {"error": "Currency pair not supported FOO/USD", "method": "subscribe", "success": False, "req_id": 1}
    assert dialogue.receive(json.dumps({**words, "symbol": "FOO/USD"}).encode()) == [
        Rejected("Currency pair not supported FOO/USD", "book:FOO/USD")
    ]
    for number, topic in ((2, "trade:BTC/USD"), (2, None), (9, None), (1, "book:BTC/USD")):
        words = {"error": "no", "method": "subscribe", "success": False, "req_id": number}
        assert dialogue.receive(json.dumps(words).encode()) == [Rejected("no", topic)]


@pytest.mark.parametrize("words", [b'{"channel":"heartbeat"}', b'{"method":"pong","req_id":1}'])
def test_signs_of_life_are_not_worth_a_word(words: bytes) -> None:
    assert begun().receive(words) == []


OTHERS = [b"{}", b"{\xff}", b'{"channel":"status","data":[{"system":"online"}]}', b'{"a":"' + b"x" * 9999 + b'"}']
OTHERS += [b'{"method":"subscribe","success":true}', b'{"method":"subscribe","success":true,"req_id":1,"result":7}']
OTHERS += [b'{"error":7}', b'{"method":"subscribe","success":true,"req_id":[]}']


@pytest.mark.parametrize("words", OTHERS)
def test_other_words_are_for_the_log(words: bytes) -> None:
    (action,) = begun().receive(words)
    assert isinstance(action, Said)
    assert len(action.text) <= 500


@pytest.mark.parametrize(
    "topic", ["book:BTC/USD", "book-1000:1INCH/EUR", "ohlc-5:BTC/USD", "instrument", "trade:AAPLx/USD"]
)
def test_topics(topic: str) -> None:
    assert VENUE.is_topic(topic)


@pytest.mark.parametrize("topic", ["", "*", "book", "book-11:BTC/USD", "trade-10:BTC/USD", "book:BTC-USD", "book:BTC/"])
def test_what_is_no_topic(topic: str) -> None:
    assert not VENUE.is_topic(topic)


def test_what_a_topic_means() -> None:
    assert VENUE.topic("book:BTC/USD") == VENUE.topic("book-100:BTC/USD") == (b"book", b"BTC/USD")
    assert VENUE.topic("instrument") == (b"instrument", None)
    assert VENUE.topic("*") == (None, None)
    record = b'{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[]}]}'
    assert {"book:BTC/USD", "book-100:BTC/USD"} <= set(VENUE.topics_of(record))
    assert VENUE.topics_of(b'{"channel":"heartbeat"}') == []
