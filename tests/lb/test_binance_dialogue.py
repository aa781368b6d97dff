"""The dialogue with Binance, without a socket: what is asked for in how few messages, and what its answers mean."""

from __future__ import annotations

import json

import pytest

from lb.errors import Evicted
from lb.feed.dialogue import Acknowledged, Action, Left, Ready, Refused, Rejected, Renew, Said, Send
from lb.feed.venues.binance import MOST_NAMES, VENUE, Dialogue

TOPICS = ["btcusdt@depth@100ms", "ethusdt@trade"]


def begun(topics: list[str] = TOPICS) -> Dialogue:
    dialogue = Dialogue("", topics)
    dialogue.begin()
    return dialogue


def requests_of(actions: list[Action]) -> list[dict[str, object]]:
    return [json.loads(action.text) for action in actions if isinstance(action, Send)]


def test_all_topics_are_asked_for_in_one_message_and_nothing_is_waited_for() -> None:
    *sent, last = Dialogue("", TOPICS).begin()
    assert requests_of(sent) == [
        {"method": "SET_PROPERTY", "params": ["combined", True], "id": 1},
        {"method": "SUBSCRIBE", "params": TOPICS, "id": 2},
    ]
    assert last == Ready()


def test_a_thousand_topics_take_five_messages() -> None:
    topics = [f"s{number}usdt@trade" for number in range(1000)]
    first, *asked = requests_of(Dialogue("", topics).begin())
    assert first["method"] == "SET_PROPERTY"
    assert [len(request["params"]) for request in asked] == [MOST_NAMES] * 5  # type: ignore[arg-type]
    assert [topic for request in asked for topic in request["params"]] == topics  # type: ignore[attr-defined]
    assert len({request["id"] for request in asked}) == 5


def test_no_topic_is_no_message() -> None:
    assert [request["method"] for request in requests_of(Dialogue("", []).begin())] == ["SET_PROPERTY"]
    assert begun().change([], []) == []


def test_an_answer_acknowledges_all_that_its_request_asked_for() -> None:
    words = b'{"result":null,"id":2}'
    assert begun().receive(words) == [*map(Acknowledged, TOPICS), Said("result", words.decode())]


def test_topics_come_and_go_and_each_request_is_answered_once() -> None:
    dialogue = begun()
    subscribe, unsubscribe = requests_of(dialogue.change(["x@trade"], TOPICS[:1]))
    assert (subscribe["method"], subscribe["params"]) == ("SUBSCRIBE", ["x@trade"])
    assert (unsubscribe["method"], unsubscribe["params"]) == ("UNSUBSCRIBE", TOPICS[:1])
    answer = b'{"result":null,"id":%d}' % unsubscribe["id"]
    assert dialogue.receive(answer)[0] == Left(TOPICS[0])
    assert [type(action) for action in dialogue.receive(answer)] == [Said]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ('{"error":{"code":3,"msg":"Invalid JSON"},"id":2}', "Invalid JSON (code 3)"),
        ('{"code": 3, "msg": "Invalid JSON", "id": 2}', "Invalid JSON (code 3)"),
        ('{"error":{"code":2,"msg":"missing field"},"id":null}', "missing field (code 2)"),
        ('{"error":{"code":4,"msg":"Too many subscriptions"},"id":null}', "Too many subscriptions (code 4)"),
        ('{"error":"no","id":2}', '{"error":"no","id":2}'),
    ],
)  # fmt: skip
def test_an_error_nested_or_flat(words: str, text: str) -> None:
    assert begun().receive(words.encode()) == [Rejected(text)]


def test_an_error_about_a_single_topic_names_it() -> None:
    assert begun(["x@trade"]).receive(b'{"error":{"code":4,"msg":"no"},"id":2}') == [Rejected("no (code 4)", "x@trade")]


def test_an_invalid_request_is_refused_as_a_whole() -> None:
    words = b'{"error":{"code":2,"msg":"Invalid request: invalid stream"},"id":2}'
    assert begun().receive(words) == [Refused(TOPICS, "Invalid request: invalid stream (code 2)")]
    dialogue = begun()
    unsubscribe = requests_of(dialogue.change([], TOPICS[:1]))[0]
    answer = b'{"error":{"code":2,"msg":"no"},"id":%d}' % unsubscribe["id"]
    assert dialogue.receive(answer) == [Rejected("no (code 2)", TOPICS[0])]


@pytest.mark.parametrize(
    "words",
    [
        '{"error":{"code":2,"msg":"bad","data":"ethusdt@trade"},"id":2}',
        '{"error":{"code":2,"msg":"bad"},"data":"ethusdt@trade","id":2}',
        '{"code":2,"msg":"bad","data":"ethusdt@trade","id":2}',
        '{"error":{"code":2,"msg":"bad","data":"ethusdt@trade"},"id":null}',
    ],
)
def test_an_error_about_many_topics_may_name_the_one_that_it_is_about(words: str) -> None:
    assert begun().receive(words.encode()) == [Refused(TOPICS, "bad (code 2)", "ethusdt@trade")]
    other = begun().receive(words.replace("ethusdt", "other").encode())
    assert other == [Refused(TOPICS, "bad (code 2)") if '"id":2' in words else Rejected("bad (code 2)")]
    limit = begun().receive(words.replace('"code":2', '"code":4').encode())
    assert limit == [Rejected("bad (code 4)", "ethusdt@trade")]


@pytest.mark.parametrize(
    "words",
    [
        b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}',
        b'{"e":"serverShutdown","E":1770123456789}',
    ],
)
def test_a_shutdown_that_is_announced_asks_for_another_session(words: bytes) -> None:
    (renew,) = begun().receive(words)
    assert isinstance(renew, Renew)
    assert isinstance(renew.error, Evicted)
    assert renew.error.retry


OTHERS = [b"{}", b'{"id":2.5}', b'{"id":[]}', b'{"id":true,"result":null}', b'{"result":null}', b"{\xff}", b'{"id":99}']
OTHERS += [b'{"e":"trade","E":1,"s":"BTCUSDT"}', b'{"a":"' + b"x" * 9999 + b'"}']


@pytest.mark.parametrize("words", OTHERS)
def test_other_words_are_for_the_log(words: bytes) -> None:
    actions = begun().receive(words)
    assert [type(action) for action in actions] == [Said]
    assert isinstance(actions[0], Said)
    assert len(actions[0].text) <= 500


NAMES = ["btcusdt@trade", "btcusdt@depth@100ms", "1000sats@depth20@100ms", "btcusdt@kline_1d@+08:00"]
NAMES += ["!miniTicker@arr", "!bookTicker", "!ticker_1h@arr", "这是测试币456@trade"]


@pytest.mark.parametrize("topic", NAMES)
def test_names_of_streams(topic: str) -> None:
    assert VENUE.is_topic(topic)


@pytest.mark.parametrize(
    "topic", ["", "*", "BTCUSDT@trade", "btcusdt", "@trade", "@@@", "a b@trade", 'a"@trade', "a@", "T.*"]
)
def test_what_the_venue_would_close_the_session_at_or_never_send(topic: str) -> None:
    assert not VENUE.is_topic(topic)


def test_what_a_topic_means_and_when_a_record_was_made() -> None:
    assert VENUE.topic("btcusdt@depth@100ms") == (b"@depth@100ms", b"btcusdt")
    assert VENUE.topic("!miniTicker@arr") == (b"@arr", b"!miniTicker")
    assert VENUE.topic("!bookTicker") == (b"!bookTicker", b"!bookTicker")
    assert VENUE.topic("*") == (None, None)
    trade = b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1672515782136,"s":"BTCUSDT"}}'
    assert VENUE.sent_ns(trade) == 1672515782136 * 10**6
    assert VENUE.sent_ns(trade.replace(b"136,", b"136999,")) == 1672515782136999 * 10**3
    assert VENUE.sent_ns(b'{"stream":"btcusdt@depth20","data":{"lastUpdateId":1}}') is None
    assert VENUE.topics_of(trade) == ["btcusdt@trade"]


@pytest.mark.parametrize(
    ("record", "place"),
    [
        (b'{"stream":"b@depth@100ms","data":{"e":"depthUpdate","E":1,"s":"B","U":5,"u":7,"b":[', (b"b@depth@100ms", 7)),
        (b'{"stream":"b@depth20@100ms","data":{"lastUpdateId":8,"bids":[', (b"b@depth20@100ms", 8)),
        (b'{"stream":"b@bookTicker","data":{"u":9,"s":"B","b":"1"', (b"b@bookTicker", 9)),
        (b'{"stream":"b@trade","data":{"e":"trade","E":1,"s":"B","t":10,"p"', (b"b@trade", 10)),
        (b'{"stream":"b@aggTrade","data":{"e":"aggTrade","E":1,"s":"B","a":11,"p"', (b"b@aggTrade", 11)),
        (b'{"stream":"b@kline_1m","data":{"e":"kline","E":1,"s":"B","k":{"t":12,', None),  # many have the same
        (b'{"result":null,"id":1}', None),
    ],
)
def test_the_place_of_a_record_in_its_stream(record: bytes, place: tuple[bytes, int] | None) -> None:
    assert VENUE.place(record) == place
