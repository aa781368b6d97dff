"""The dialogue with a Polygon/Massive feed, without a socket: what is answered to which status."""

from __future__ import annotations

import json

import pytest

from lb.errors import Evicted, Refused
from lb.feed.venues.polygon import Dialogue, Status, Step, ending_of, statuses_of

AUTH = b'{"action":"auth","params":"KEY"}'
SUBSCRIBE = b'{"action":"subscribe","params":"T.AAPL,Q.*"}'


def played(*statuses: tuple[str, str]) -> tuple[Step, list[bytes]]:
    """Where the dialogue stands after these statuses, and what was answered."""
    dialogue = Dialogue("KEY", ["T.AAPL", "Q.*"])
    answers = [dialogue.receive(Status(*status)) for status in statuses]
    return dialogue.step, [answer for answer in answers if answer is not None]


def test_connected_auth_auth_success_subscribe() -> None:
    assert played(("connected", "Connected Successfully")) == (Step.AWAIT_AUTHENTICATED, [AUTH])
    assert played(("connected", ""), ("auth_success", "authenticated")) == (Step.SUBSCRIBED, [AUTH, SUBSCRIBE])


def test_nothing_is_sent_before_its_turn() -> None:
    assert played(("auth_success", "")) == (Step.AWAIT_CONNECTED, [])
    assert played(("connected", ""), ("connected", "")) == (Step.AWAIT_AUTHENTICATED, [AUTH])
    assert played(("connected", ""), ("auth_success", ""), ("success", "subscribed to: T.*"))[1] == [AUTH, SUBSCRIBE]


def test_the_words_of_2019() -> None:
    assert played(("connected", ""), ("success", "authenticated")) == (Step.SUBSCRIBED, [AUTH, SUBSCRIBE])


def test_the_failure_of_2021() -> None:
    with pytest.raises(Refused, match="authentication failed"):
        played(("connected", ""), ("error", "authentication failed"))


def test_a_key_with_quotes_stays_one_string() -> None:
    answer = Dialogue('a"b\\c', ["T.*"]).receive(Status("connected", ""))
    assert answer is not None
    assert json.loads(answer) == {"action": "auth", "params": 'a"b\\c'}


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
    with pytest.raises(Evicted):
        played(("connected", ""), (status, ""))


@pytest.mark.parametrize("status", ["connected", "auth_success", "success", "error", "", "lagging"])
def test_any_other_status_ends_nothing(status: str) -> None:
    assert ending_of(Status(status, "")) is None


def test_the_message_decides_nothing() -> None:
    assert ending_of(Status("success", "auth_failed: max_connections exceeded")) is None


def test_statuses_are_found_among_data() -> None:
    text = (
        b'[{"ev":"T","sym":"A"},{"ev":"status","status":"auth_success","message":"a"},'
        b' {"status":"success","message":"b } ] ","ev":"status"},{"ev":"Q","status":"no"}]'
    )
    assert statuses_of(text) == [Status("auth_success", "a"), Status("success", "b } ] ")]


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"[1,[2]]", b'{"ev":"status"}', b"[{", b"\xff", b"null"])
def test_a_message_that_is_no_array_of_objects_has_no_status(text: bytes) -> None:
    assert statuses_of(text) == []


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
