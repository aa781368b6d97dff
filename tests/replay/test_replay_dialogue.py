"""What the server says, byte for byte, without any connection."""

import pytest

from lb.replay import dialogue
from lb.replay.dialogue import Answer, Dialogue
from lb.replay.topics import Topic, Topics


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (dialogue.CONNECTED, b'[{"ev":"status","status":"connected","message":"Connected Successfully"}]'),
        (dialogue.AUTHENTICATED, b'[{"ev":"status","status":"auth_success","message":"authenticated"}]'),
        (dialogue.AUTH_FAILED, b'[{"ev":"status","status":"auth_failed","message":"authentication failed"}]'),
        (
            dialogue.AUTH_TIMEOUT,
            b'[{"ev":"status","status":"auth_timeout","message":"No authentication request received."}]',
        ),
        (dialogue.INVALID_JSON, b'[{"ev":"status","status":"error","message":"Invalid JSON"}]'),
        (
            dialogue.MAX_CONNECTIONS,
            b'[{"ev":"status","status":"max_connections",'
            b'"message":"Maximum number of websocket connections exceeded. "}]',
        ),
    ],
)
def test_the_feeds_own_texts(text: bytes, expected: bytes) -> None:
    assert text == expected


def authenticated() -> Dialogue:
    talk = Dialogue("secret")
    assert talk.hear(b'{"action":"auth","params":"secret"}') == Answer(dialogue.AUTHENTICATED)
    return talk


def test_wrong_key_is_refused() -> None:
    talk = Dialogue("secret")
    assert talk.hear(b'{"action":"auth","params":"guess"}') == Answer(dialogue.AUTH_FAILED, refused=True)
    assert not talk.authenticated


@pytest.mark.parametrize("action", [b"subscribe", b"unsubscribe"])
def test_nothing_is_subscribed_before_authentication(action: bytes) -> None:
    talk = Dialogue("secret")
    answer = talk.hear(b'{"action":"%s","params":"T.*"}' % action)
    assert answer == Answer(b'[{"ev":"status","status":"auth_required","message":"authentication required"}]')
    assert talk.topics == Topics()


def test_one_acknowledgement_per_parameter_in_their_order() -> None:
    answer = authenticated().hear(b'{"action": "subscribe", "params": "T.MSFT, T.AAPL,Q.*"}')
    assert answer.retuned
    assert answer.text == (
        b'[{"ev":"status","status":"success","message":"subscribed to: T.MSFT"},'
        b'{"ev":"status","status":"success","message":"subscribed to: T.AAPL"},'
        b'{"ev":"status","status":"success","message":"subscribed to: Q.*"}]'
    )


def test_unsubscribing() -> None:
    talk = authenticated()
    talk.hear(b'{"action":"subscribe","params":"T.MSFT,T.AAPL"}')
    answer = talk.hear(b'{"action":"unsubscribe","params":"T.MSFT,T.NVDA"}')
    assert answer.text == b'[{"ev":"status","status":"success","message":"unsubscribed to: T.MSFT"}]'
    assert talk.topics == Topics([Topic("T", "AAPL")])


@pytest.mark.parametrize("params", ["ZZ.*", "T", "", "T.", ".AAPL", "T.AAPL"])
def test_unknown_and_held_topics_get_no_answer(params: str) -> None:
    talk = authenticated()
    talk.hear(b'{"action":"subscribe","params":"T.AAPL"}')
    assert talk.hear(b'{"action":"subscribe","params":"%s"}' % params.encode()) == Answer()


def test_an_event_type_of_the_tape_is_known() -> None:
    talk = Dialogue("k", frozenset({"lagg"}))
    talk.hear(b'{"action":"auth","params":"k"}')
    assert talk.hear(b'{"action":"subscribe","params":"lagg.*"}').retuned


@pytest.mark.parametrize(
    "text", [b"", b"hello", b"{", b"[]", b'"auth"', b'{"action":"auth"}', b'{"params":1}', b"\xff"]
)
def test_what_is_no_request_is_invalid_json(text: bytes) -> None:
    assert Dialogue("k").hear(text) == Answer(dialogue.INVALID_JSON)


def test_unknown_action_gets_no_answer() -> None:
    assert authenticated().hear(b'{"action":"dance","params":"T.*"}') == Answer()


@pytest.mark.parametrize(
    ("topic", "record", "selected"),
    [
        ("T.*", {"ev": "T", "sym": "AAPL"}, True),
        ("T.*", {"ev": "Q", "sym": "AAPL"}, False),
        ("A.*", {"ev": "AM", "sym": "AAPL"}, False),
        ("T.AAPL", {"ev": "T", "sym": "AAPL"}, True),
        ("T.AAPL", {"ev": "T", "sym": "AAP"}, False),
        ("T.BRK.B", {"ev": "T", "sym": "BRK.B"}, True),
        ("XQ.BTC-USD", {"ev": "XQ", "pair": "BTC-USD"}, True),
        ("LULD.ATHR", {"ev": "LULD", "T": "ATHR"}, True),
        ("C.EUR/USD", {"ev": "C", "p": "EUR/USD"}, True),
        ("T.AAPL", {"ev": "T"}, False),
        ("T.*", {"sym": "AAPL"}, False),
        ("T.*", {"ev": "status", "status": "success"}, False),
    ],
)
def test_topics_select_records(topic: str, record: dict[str, object], selected: bool) -> None:
    parsed = Topic.parse(topic)
    assert parsed is not None
    assert Topics([parsed]).select(record) is selected
