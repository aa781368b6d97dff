"""The dialogue with Bitstamp, without a socket: a message per channel, and what its answers mean."""

from __future__ import annotations

import json

import pytest

from lb.errors import Evicted
from lb.feed.dialogue import Acknowledged, Action, Left, Ready, Rejected, Renew, Said, Send
from lb.feed.venues.bitstamp import VENUE, Dialogue

TOPICS = ["order_book_btcusd", "live_trades_btcusd"]
ERROR = b'{"event":"bts:error","channel":"","data":{"code":null,"message":"Bad subscription string."}}'


def begun() -> Dialogue:
    dialogue = Dialogue("", TOPICS)
    dialogue.begin()
    return dialogue


def requests_of(actions: list[Action]) -> list[tuple[str, str]]:
    said = [json.loads(action.text) for action in actions if isinstance(action, Send)]
    return [(request["event"], request["data"]["channel"]) for request in said]


def answer(event: str, channel: str) -> bytes:
    return json.dumps({"event": event, "channel": channel, "data": {}}).encode()


def test_each_channel_is_asked_for_by_a_message_of_its_own_and_nothing_is_waited_for() -> None:
    *sent, last = Dialogue("", TOPICS).begin()
    assert requests_of(sent) == [("bts:subscribe", topic) for topic in TOPICS]
    assert last == Ready()


def test_channels_come_and_go() -> None:
    dialogue = begun()
    assert requests_of(dialogue.change(["order_book_ethusd"], TOPICS[:1])) == [
        ("bts:subscribe", "order_book_ethusd"),
        ("bts:unsubscribe", TOPICS[0]),
    ]
    assert dialogue.receive(answer("bts:subscription_succeeded", TOPICS[1]))[0] == Acknowledged(TOPICS[1])
    assert dialogue.receive(answer("bts:unsubscription_succeeded", TOPICS[0]))[0] == Left(TOPICS[0])


def test_an_error_is_about_the_channel_that_has_waited_the_longest() -> None:
    dialogue = begun()
    dialogue.receive(answer("bts:subscription_succeeded", TOPICS[0]))
    assert dialogue.receive(ERROR) == [Rejected("Bad subscription string.", TOPICS[1])]
    assert dialogue.receive(ERROR) == [Rejected("Bad subscription string.")]


@pytest.mark.parametrize("data", ['""', "null", "{}"])
def test_a_request_to_reconnect_in_all_its_forms_asks_for_another_session(data: str) -> None:
    (renew,) = begun().receive(b'{"event":"bts:request_reconnect","channel":"","data":%s}' % data.encode())
    assert isinstance(renew, Renew)
    assert isinstance(renew.error, Evicted)
    assert renew.error.retry


WORDS = [b"{}", b"{\xff}", b'{"event":7}', b'{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}']


@pytest.mark.parametrize("words", WORDS)
def test_other_words_are_for_the_log(words: bytes) -> None:
    assert [type(action) for action in begun().receive(words)] == [Said]


@pytest.mark.parametrize("words", [b'{"event":"bts:error"}', b'{"event":"bts:error","data":[1]}'])
def test_an_error_without_words_is_told_as_it_is(words: bytes) -> None:
    assert begun().receive(words) == [Rejected(words.decode(), TOPICS[0])]


@pytest.mark.parametrize("topic", ["order_book_btcusd", "diff_order_book_ethbtc", "order_book_btcusd-perp"])
def test_names_of_channels(topic: str) -> None:
    assert VENUE.is_topic(topic)


NO_NAMES = ["", "*", "order_book_", "order_book_BTCUSD", "order_book_btc/usd", "btcusd", "order_book_" + "x" * 400]


@pytest.mark.parametrize("topic", NO_NAMES)
def test_what_the_venue_would_refuse(topic: str) -> None:
    assert not VENUE.is_topic(topic)


def test_what_a_topic_means_and_when_a_record_was_made() -> None:
    assert VENUE.topic("diff_order_book_btcusd") == (b"diff_order_book_", b"btcusd")
    assert VENUE.topic("order_book_") == (b"order_book_", None)
    assert VENUE.topic("*") == (None, None)
    book = b'{"data":{"timestamp":"1641343691","microtimestamp":"1641343691244908","bids":[]},"channel":"order_book_x"}'
    assert VENUE.sent_ns(book) == 1641343691244908000
    assert VENUE.sent_ns(b"{}") is None
    assert VENUE.topics_of(book) == ["order_book_x"]
