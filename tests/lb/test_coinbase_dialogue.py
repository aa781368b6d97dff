"""The dialogue with Coinbase, without a socket: heartbeats first, a message per channel, and what its answers mean."""

from __future__ import annotations

import json

import pytest

from lb.feed.dialogue import Acknowledged, Action, Left, Ready, Rejected, Said, Send
from lb.feed.venues.coinbase import MOST_PRODUCTS, VENUE, Dialogue

TOPICS = ["level2:BTC-USD", "ticker:BTC-USD", "level2:ETH-USD"]


def begun(topics: list[str] = TOPICS) -> Dialogue:
    dialogue = Dialogue("", topics)
    dialogue.begin()
    return dialogue


def requests_of(actions: list[Action]) -> list[dict[str, object]]:
    return [json.loads(action.text) for action in actions if isinstance(action, Send)]


def answer(**subscriptions: list[str]) -> bytes:
    events = [{"subscriptions": subscriptions}]
    return json.dumps({"channel": "subscriptions", "sequence_num": 1, "events": events}).encode()


def test_heartbeats_come_first_and_each_channel_takes_a_message() -> None:
    *sent, last = Dialogue("", TOPICS).begin()
    assert requests_of(sent) == [
        {"type": "subscribe", "channel": "heartbeats"},
        {"type": "subscribe", "product_ids": ["BTC-USD", "ETH-USD"], "channel": "level2"},
        {"type": "subscribe", "product_ids": ["BTC-USD"], "channel": "ticker"},
    ]
    assert last == Ready()


def test_a_session_without_topics_is_opened_by_the_heartbeats() -> None:
    assert requests_of(Dialogue("", []).begin()) == [{"type": "subscribe", "channel": "heartbeats"}]


def test_many_products_take_few_messages() -> None:
    topics = [f"level2:A{number}-USD" for number in range(250)]
    _, *asked = requests_of(Dialogue("", topics).begin())
    assert [len(request["product_ids"]) for request in asked] == [MOST_PRODUCTS, MOST_PRODUCTS, 50]  # type: ignore[arg-type]


def test_an_answer_lists_all_that_is_subscribed_and_each_topic_is_acknowledged_once() -> None:
    dialogue = begun()
    first, second = answer(heartbeats=["heartbeats"]), answer(level2=["BTC-USD", "ETH-USD"])
    assert [type(action) for action in dialogue.receive(first)] == [Said]
    assert dialogue.receive(second)[:-1] == [Acknowledged(TOPICS[0]), Acknowledged(TOPICS[2])]
    third = answer(l2_data=["BTC-USD", "ETH-USD"], ticker=["BTC-USD"])
    assert dialogue.receive(third)[:-1] == [Acknowledged(TOPICS[1])]
    assert [type(action) for action in dialogue.receive(third)] == [Said]


def test_topics_go_and_may_come_back() -> None:
    dialogue = begun()
    dialogue.receive(answer(level2=["BTC-USD", "ETH-USD"], ticker=["BTC-USD"]))
    assert requests_of(dialogue.change([], TOPICS[:1])) == [
        {"type": "unsubscribe", "product_ids": ["BTC-USD"], "channel": "level2"}
    ]
    assert dialogue.receive(answer(level2=["ETH-USD"], ticker=["BTC-USD"]))[:-1] == [Left(TOPICS[0])]
    dialogue.change([], TOPICS[2:])
    dialogue.change(TOPICS[2:], [])
    assert dialogue.receive(answer(level2=["ETH-USD"], ticker=["BTC-USD"]))[:-1] == [Acknowledged(TOPICS[2])]


def test_the_heartbeats_are_there_whoever_asks_for_them() -> None:
    actions = begun().change(["heartbeats"], [])
    assert actions == [Acknowledged("heartbeats")]
    assert begun().change([], ["heartbeats"]) == []


def test_an_error_is_about_the_only_topic_that_waits() -> None:
    error = b'{"type":"error","message":"unknown product"}'
    assert begun().receive(error) == [Rejected("unknown product")]
    dialogue = begun(["level2:FOO-USD"])
    assert dialogue.receive(error) == [Rejected("unknown product", "level2:FOO-USD")]
    assert dialogue.receive(error) == [Rejected("unknown product")]


OTHERS = [b"{}", b"{\xff}", b'{"type":"error","message":{"a":1}}', b'{"a":"' + b"x" * 9999 + b'"}']
OTHERS += [b'{"channel":"subscriptions"}', b'{"channel":"subscriptions","events":[{"subscriptions":{"level2":7}}]}']
OTHERS += [b'{"channel":"subscriptions","events":[]}', b'{"channel":"subscriptions","events":{"subscriptions":[]}}']


@pytest.mark.parametrize("words", OTHERS)
def test_other_words_are_for_the_log(words: bytes) -> None:
    (action,) = begun().receive(words)
    assert isinstance(action, Said | Rejected)
    assert len(action.text) <= 500


@pytest.mark.parametrize("topic", ["level2:BTC-USD", "market_trades:1INCH-USD", "status", "heartbeats", "ticker:A-B-C"])
def test_topics(topic: str) -> None:
    assert VENUE.is_topic(topic)


@pytest.mark.parametrize("topic", ["", "*", "level2:", "level2:btc-usd", "level2:BTC", ":BTC-USD", "level2 :BTC-USD"])
def test_what_is_no_topic(topic: str) -> None:
    assert not VENUE.is_topic(topic)


def test_what_a_topic_means_and_when_a_record_was_made() -> None:
    assert VENUE.topic("level2:BTC-USD") == (b"l2_data", b"BTC-USD")
    assert VENUE.topic("ticker") == (b"ticker", None)
    assert VENUE.topic("*") == (None, None)
    record = b'{"channel":"l2_data","timestamp":"2026-11-27T10:00:00.5Z","events":[{"product_id":"BTC-USD"}]}'
    assert VENUE.topics_of(record) == ["level2", "level2:BTC-USD"]
    assert VENUE.topics_of(b"{}") == []
    assert VENUE.sent_ns(record) == 1_795_773_600_500_000_000
    assert VENUE.sent_ns(record.replace(b"00.5Z", b"00Z")) == 1_795_773_600_000_000_000
    assert VENUE.sent_ns(record.replace(b"11-27", b"02-31")) is None
