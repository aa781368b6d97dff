"""The dialogue with a Polygon/Massive feed, without a socket: what is answered to which status."""

from __future__ import annotations

import json

import pytest

from lb.errors import Evicted, Refused
from lb.feed.dialogue import Acknowledged, Action, Ended, Ready, Rejected, Said, Send
from lb.feed.venues.polygon import VENUE, Dialogue, Status, Step, ending_of

AUTH = Send(b'{"action":"auth","params":"KEY"}')
SUBSCRIBE = Send(b'{"action":"subscribe","params":"T.AAPL,Q.*"}')


def notice(status: str, message: str) -> bytes:
    return json.dumps({"ev": "status", "status": status, "message": message}).encode()


def played(*statuses: tuple[str, str]) -> tuple[Step, list[Action]]:
    """Where the dialogue stands after these statuses, and all that is to be done."""
    dialogue = Dialogue("KEY", ["T.AAPL", "Q.*"])
    actions = [*dialogue.begin(), *(action for status in statuses for action in dialogue.receive(notice(*status)))]
    return dialogue.step, actions


def test_connected_auth_auth_success_subscribe() -> None:
    assert played() == (Step.AWAIT_CONNECTED, [])
    assert played(("connected", "Connected Successfully")) == (Step.AWAIT_AUTHENTICATED, [AUTH])
    assert played(("connected", ""), ("auth_success", "authenticated")) == (
        Step.SUBSCRIBED,
        [AUTH, SUBSCRIBE, Ready()],
    )


def test_nothing_is_sent_before_its_turn() -> None:
    assert played(("auth_success", "")) == (Step.AWAIT_CONNECTED, [Said("auth_success", "")])
    assert played(("connected", ""), ("connected", "")) == (Step.AWAIT_AUTHENTICATED, [AUTH, Said("connected", "")])


def test_the_words_of_2019() -> None:
    assert played(("connected", ""), ("success", "authenticated")) == (Step.SUBSCRIBED, [AUTH, SUBSCRIBE, Ready()])


def test_the_failure_of_2021() -> None:
    step, (auth, ended) = played(("connected", ""), ("error", "authentication failed"))
    assert (step, auth) == (Step.AWAIT_AUTHENTICATED, AUTH)
    assert isinstance(ended, Ended)
    assert isinstance(ended.error, Refused)
    assert "authentication failed" in str(ended.error)


def test_an_acknowledgement_names_its_topic_where_the_words_are_the_documented_ones() -> None:
    begun = (("connected", ""), ("auth_success", ""))
    for words, topic in [("subscribed to: T.AAPL", "T.AAPL"), ("subscribed to: Q.* ", "Q.*")]:
        assert played(*begun, ("success", words))[1][3:] == [Acknowledged(topic), Said("success", words)]
    assert played(*begun, ("success", "done"))[1][3:] == [Said("success", "done")]


def test_a_rejection_names_no_topic() -> None:
    actions = played(("connected", ""), ("auth_success", ""), ("error", "not authorized"))[1]
    assert actions[3:] == [Rejected("not authorized")]


def test_a_key_with_quotes_stays_one_string() -> None:
    (answer,) = Dialogue('a"b\\c', ["T.*"]).receive(notice("connected", ""))
    assert isinstance(answer, Send)
    assert json.loads(answer.text) == {"action": "auth", "params": 'a"b\\c'}


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ("auth_failed", "authentication failed"),
        ("auth_failed", "Your plan doesn't include websocket access."),
    ],
)
def test_a_refusal_is_final_and_in_the_feeds_own_words(status: str, message: str) -> None:
    ending = ending_of(Status(status, message))
    assert isinstance(ending, Refused)
    assert not ending.retry
    assert ending.exit_code == 77
    assert message in str(ending)


@pytest.mark.parametrize(
    ("status", "least_delay_s"),
    [
        ("max_connections", 10),
        ("disconnected", 10),
        ("auth_timeout", 0),
        ("force_disconnect", 0),
        ("slow_consumer", 0),
    ],
)
def test_an_eviction_is_followed_by_a_new_session(status: str, least_delay_s: float) -> None:
    ending = ending_of(Status(status, "in its own words"))
    assert isinstance(ending, Evicted)
    assert ending.retry
    assert ending.least_delay_s == least_delay_s
    assert "in its own words" in str(ending)
    *_, ended = played(("connected", ""), (status, ""))[1]
    assert isinstance(ended, Ended)
    assert isinstance(ended.error, Evicted)


@pytest.mark.parametrize("status", ["connected", "auth_success", "success", "error", "", "lagging"])
def test_any_other_status_ends_nothing(status: str) -> None:
    assert ending_of(Status(status, "")) is None


def test_the_message_decides_nothing() -> None:
    assert ending_of(Status("success", "auth_failed: max_connections exceeded")) is None


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b'{"ev":"status","status":"success","message":"subscribed to: T.*"}', Status("success", "subscribed to: T.*")),
        (b'{"ev":"status"}', Status("", "")),
        (b'{"ev":"status","status":null,"message":7}', Status("None", "7")),
        (b'{"ev":"status",\xff', Status("", '{"ev":"status",\ufffd')),
    ],
)
def test_a_status_record_is_parsed_whatever_it_is(text: bytes, status: Status) -> None:
    assert Status.parse(text) == status


@pytest.mark.parametrize(("topic", "event"), [("XL2.BTC-USD", "XL2"), ("XQ.BTC-USD", "XQ")])
def test_books_and_quotes_of_a_pair_have_topics_of_their_own(topic: str, event: str) -> None:
    record = b'{"ev":"%s","pair":"BTC-USD","t":1690409119847,"x":1,"r":1690409119856,"b":[[1.5,2]]}' % event.encode()
    assert VENUE.topic(topic) == (event.encode(), b"BTC-USD")
    assert VENUE.topics_of(record) == [f"{event}.*", topic]
    assert VENUE.sent_ns(record) == 1690409119847 * 10**6
