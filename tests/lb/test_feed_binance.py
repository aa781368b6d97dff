"""lb --feed binance: no key, one message for all topics, the venue's pace, and what other programs join."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from harness import SOON, Feed, Lb, run_lb
from harness.feed import CLOSE, PING, PONG, Peer, asked, frame
from harness.joining import Joined

from lb.errors import EX_UNAVAILABLE, EX_USAGE
from trade_balancer import attach, batches

TOPICS = ["btcusdt@trade", "ethusdt@depth@100ms"]
OPTIONS = ("--feed", "binance", "--subscribe", ",".join(TOPICS))


def event(stream: str, number: int) -> bytes:
    return b'{"stream":"%s","data":{"e":"x","E":1672515782136,"n":%d}}' % (stream.encode(), number)


def converse(peer: Peer) -> list[str]:
    assert asked(peer, "SET_PROPERTY") == ["combined", True]
    return asked(peer, "SUBSCRIBE")


def test_events_are_records_and_the_venues_own_words_are_none() -> None:
    with Feed() as feed, Lb(feed.url, 2, *OPTIONS, "--route", "symbol", key="none") as lb, feed.connection() as peer:
        assert converse(peer.upgrade()) == TOPICS
        lb.await_line("the feed says", text='{"result":null,"id":2}')
        events = [event(stream, number) for stream in TOPICS for number in range(50)]
        for text in events:
            peer.say(text)
        pipes = lb.await_records(len(events)).pipes
        for stream in TOPICS:
            of_stream = [text for text in events if stream.encode() in text]
            assert any([text for text in records if stream.encode() in text] == of_stream for records in pipes.values())
        end = lb.stop()
        assert end.exit_code == 0
        assert end.balance["received"] == len(events)


def test_a_ping_is_answered_before_what_has_to_wait() -> None:
    """A pong within a minute, or the venue ends the session; a sixth message within a second, and it does, too."""
    with Feed() as feed, Lb(feed.url, 1, *OPTIONS, key="none") as lb, feed.connection() as peer:
        peer.upgrade()
        peer.send(frame(b"1672515782136", PING))
        received = [peer.receive() for _ in range(3)]
        assert received[-1].opcode != PONG, "the pong came last"
        assert [answer.payload for answer in received if answer.opcode == PONG] == [b"1672515782136"]
        lb.await_line("session open")


def test_what_readers_want_while_something_waits_is_asked_for_in_one_message(tmp_path: Path) -> None:
    path = str(tmp_path / "lb.sock")
    names = [f"s{number}@trade" for number in range(20)]
    with (
        Feed() as feed,
        Lb(feed.url, 1, *OPTIONS, "--control", path, key="none") as lb,
        feed.connection() as peer,
        ExitStack() as stack,
    ):
        converse(peer.upgrade())
        lb.await_line("session open")
        sources = [stack.enter_context(attach(path, [name])) for name in names]
        requests: list[list[str]] = []
        while sum(map(len, requests)) < len(names):
            requests.append(asked(peer, "SUBSCRIBE"))
        assert sorted(name for request in requests for name in request) == sorted(names)
        assert len(requests) <= 5, "one for each would be 20"
        peer.say(event(names[0], 1))
        assert next(iter(batches(sources[0].fds)))[1] == [event(names[0], 1)]


def test_what_a_session_has_not_been_asked_yet_is_not_asked_twice_of_the_next() -> None:
    names = [f"s{number}@trade" for number in range(401)]
    options = ("--feed", "binance", "--subscribe", ",".join(names))
    with Feed() as feed, Lb(feed.url, 1, *options, key="none", constants=SOON):
        with feed.connection() as peer:
            assert asked(peer.upgrade(), "SET_PROPERTY") == ["combined", True]
        with feed.connection() as successor:
            assert asked(successor.upgrade(), "SET_PROPERTY") == ["combined", True]
            assert [name for _ in range(3) for name in asked(successor, "SUBSCRIBE")] == names


def refused(peer: Peer, bad: str) -> list[str]:
    """As `asked`, of a venue that takes no request with this name in it, and ends the session at it."""
    request = peer.receive_json()
    assert request["method"] == "SUBSCRIBE"
    if bad in request["params"]:
        peer.say(b'{"error":{"code":2,"msg":"Invalid request: invalid stream"},"id":%d}' % request["id"])
        peer.send(frame((1008).to_bytes(2), CLOSE))
    else:
        peer.say(b'{"result":null,"id":%d}' % request["id"])
    return list(request["params"])


def test_a_name_that_the_venue_ends_sessions_at_costs_nobody_else_his_topic() -> None:
    names = [f"s{number}@trade" for number in range(5)]
    bad, good = names[2], [*names[:2], *names[3:]]
    options = ("--feed", "binance", "--subscribe", ",".join(names))
    requests: list[list[str]] = []
    with Feed() as feed, Lb(feed.url, 1, *options, key="none", constants=SOON) as lb:
        served: list[str] = []
        while sorted(served) != good:
            with feed.connection() as peer:
                assert asked(peer.upgrade(), "SET_PROPERTY") == ["combined", True]
                served = []
                while sorted(served) != good:
                    requests.append(refused(peer, bad))
                    if bad in requests[-1]:
                        break
                    served += requests[-1]
                else:
                    peer.say(event(good[0], 1))
                    assert lb.await_records(1).pipes == {0: [event(good[0], 1)]}
        assert [request for request in requests if bad in request] == [names, names[2:], [bad]]
        lb.await_line("the feed refuses topics", topics=[bad], text="Invalid request: invalid stream (code 2)")


def test_with_once_a_shutdown_that_is_announced_is_the_end() -> None:
    constants = {"lb.feed.keeper.ENDING_S": 0.1}
    with (
        Feed() as feed,
        Lb(feed.url, 1, *OPTIONS, "--once", key="none", constants=constants) as lb,
        feed.connection() as peer,
    ):
        converse(peer.upgrade())
        peer.say(b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}')
        peer.say(event(TOPICS[0], 1))
        assert lb.await_records(1).pipes == {0: [event(TOPICS[0], 1)]}
        assert lb.wait().exit_code == EX_UNAVAILABLE


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--feed", "binance", "--subscribe", "btcusdt@trade", "k3y-of-another"), "wants no key"),
        (("--feed", "binance", "none"), "names no topic"),
        (("--feed", "binance", "--subscribe", "a@trade,BTCUSDT@trade", "none"), "topic 2 of 2"),
        (("--feed", "kraken9", "none"), "kraken9"),
    ],
)
def test_what_can_not_be_asked_for(words: tuple[str, ...], text: str) -> None:
    ended = run_lb(*words, "ws://127.0.0.1:1/stream", "1", ".", "true")
    assert ended.returncode == EX_USAGE
    assert text in ended.stderr
    assert "k3y-of-another" not in ended.stderr


def test_a_reader_s_topic_that_no_stream_can_have_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lb.sock"
    with Feed() as feed, Lb(feed.url, 1, *OPTIONS, "--control", str(path), key="none") as lb, feed.connection() as peer:
        converse(peer.upgrade())
        lb.await_line("session open")
        with Joined(path) as client:
            answer = client.ask("subscribe", topics=["BTCUSDT@trade"])
            assert answer["error"]["name"] == "bad-argument"
