"""A session that its venue ends at some age: a second one, opened beside it, goes on where it ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
from harness import Feed, Lb
from harness.feed import CLOSE, PING, PONG, Peer, asked, frame
from harness.joining import Joined
from harness.lb_process import hold
from harness.takeover import NEVER_DUE, VENUE, assert_taken_over_without_a_hole

from lb.feed.session import frames
from trade_balancer import attach

TOPICS = ["btcusdt@trade", "ethusdt@depth@100ms"]
OPTIONS = ("--feed", "binance", "--subscribe", ",".join(TOPICS))


def trade(number: int) -> bytes:
    """Of which the place in its stream is known."""
    return b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1672515782136,"s":"BTCUSDT","t":%d}}' % number


def numbers(records: Sequence[bytes]) -> list[int]:
    return [orjson.loads(record)["data"]["t"] for record in records]


def converse(peer: Peer) -> Peer:
    asked(peer.upgrade(), "SET_PROPERTY")
    assert asked(peer, "SUBSCRIBE") == TOPICS
    return peer


def assert_another_goes_on(feed: Feed, lb: Lb, first: Peer) -> None:
    """Where the first has brought record 1: it ends behind the next, with which the other begins."""
    with feed.connection() as other:
        converse(other)
        other.say(trade(2))
        first.say(trade(2))
        assert first.receive().close_code == frames.NORMAL_CLOSURE
        first.fin()
        lb.await_line("session taken over")
        assert numbers(lb.await_records(3).pipes[0]) == [1, 2, 2]
        assert lb.stop().statistics["takeovers"] == 1


@contextmanager
def two_sessions(constants: Mapping[str, object], *options: str) -> Iterator[tuple[Feed, Lb, Peer, Peer]]:
    """`lb`, with its session and the one beside it, which has not been upgraded yet."""
    with (
        Feed() as feed,
        Lb(feed.url, 1, *OPTIONS, *options, key="none", constants=constants, start_new_session=True) as lb,
        feed.connection() as first,
    ):
        converse(first)
        with feed.connection() as second:
            yield feed, lb, first, second


def test_the_second_goes_on_where_the_first_ends() -> None:
    """Neither what the first sends behind our close frame is lost, nor what the second has sent before."""
    with two_sessions(NEVER_DUE) as (feed, lb, first, second):
        converse(second)
        second.say(trade(2))
        first.say(trade(1))
        lb.await_records(1)
        first.say(trade(2))  # it has come to where the second begins
        assert first.receive().close_code == frames.NORMAL_CLOSURE
        second.say(trade(3))
        first.say(trade(3))
        first.close(frames.NORMAL_CLOSURE)
        assert lb.await_line("session taken over")["reason"] == "a second session goes on in its place"
        second.say(trade(4))
        assert numbers(lb.await_records(6).pipes[0]) == [1, 2, 3, 2, 3, 4]
        with feed.connection() as third:  # that one gets old, too
            converse(third)
            third.say(trade(5))
            second.say(trade(5))
            second.receive()
            second.close(frames.NORMAL_CLOSURE)
            assert numbers(lb.await_records(8).pipes[0]) == [1, 2, 3, 2, 3, 4, 5, 5]
            end = lb.stop()
    counted = [end.statistics[name] for name in ("takeovers", "reconnects", "gaps_total")]
    assert counted == [2, 0, 0]
    assert end.balance["exact"]
    assert end.exit_code == 0


def test_it_is_not_taken_while_a_full_pipe_holds_up_what_the_first_has_brought(tmp_path: Path) -> None:
    """That is still to be dealt; where the second begins, what is left of the input is forgotten."""
    constants = {**NEVER_DUE, "lb.feed.keeper.LONGEST_ENDING_S": 0.3, "lb.balancer.STALLED_AFTER_S": 0.01}
    words = ("--pipe-size", "4096", "--backlog", "8192", "--control", str(tmp_path / "lb.sock"))
    with two_sessions(constants, *words) as (_, lb, first, second), Joined(tmp_path / "lb.sock") as client:
        converse(second)
        second.say(trade(2))
        first.say(trade(1))
        lb.await_records(1)
        first.say(trade(2))
        assert first.receive().close_code == frames.NORMAL_CLOSURE
        (pid,) = lb.await_workers(1)
        hold(pid)
        hold(lb.pid)  # so that it reads all of this at once
        first.send(b"".join(frame(trade(number)) for number in range(3, 400)))
        lb.send_signal(signal.SIGCONT)
        lb.await_line("a full pipe stops the reading")
        first.send(frame(trade(400)))  # is not read
        while client.result("status")["session"]["socket_bytes"]:
            pass  # the first session is not over yet
        os.kill(pid, signal.SIGCONT)
        lb.await_line("session taken over")
        second.say(trade(401))
        assert numbers(lb.await_records(401).pipes[0]) == [*range(1, 400), 2, 401]


def test_it_is_not_taken_before_it_brings_all_that_the_first_does() -> None:
    with two_sessions(NEVER_DUE) as (_, lb, first, second):
        asked(second.upgrade(), "SET_PROPERTY")
        request = second.receive_json()
        second.say(trade(1))
        first.say(trade(1))
        second.send(frame(b"?", PING))
        assert second.receive().opcode == PONG
        lb.await_records(1)
        second.say(b'{"result":null,"id":%d}' % request["id"])
        second.say(trade(2))
        lb.await_line("a second session brings all that this one does")
        first.say(trade(2))
        assert first.receive().opcode == CLOSE
        first.fin()
        assert numbers(lb.await_records(3).pipes[0]) == [1, 2, 2]


def test_where_nothing_tells_how_far_the_first_is_it_is_left_after_a_while() -> None:
    with two_sessions({**NEVER_DUE, "lb.feed.successor.OVERLAP_S": 0.1}) as (_, lb, first, second):
        converse(second)
        assert first.receive().opcode == CLOSE
        first.fin()
        lb.await_line("session taken over")


@pytest.mark.parametrize("fault", ["refused", "ends"])
def test_one_that_comes_to_nothing_costs_nothing(fault: str) -> None:
    with two_sessions(NEVER_DUE) as (feed, lb, first, second):
        if fault == "refused":
            second.read_request()
            second.send(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
        else:
            converse(second)
            second.fin()
        lb.await_line("no second session; this one goes on")
        first.say(trade(1))
        lb.await_records(1)
        assert_another_goes_on(feed, lb, first)


def test_one_that_does_not_bring_all_is_given_up() -> None:
    with two_sessions({**NEVER_DUE, "lb.feed.successor.TIMEOUT_S": 2.0}) as (_, lb, first, second):
        asked(second.upgrade(), "SET_PROPERTY")
        second.say(b'{"error":{"code":4,"msg":"Too many subscriptions"},"id":2}')
        lb.await_line("no second session; this one goes on")
        first.say(trade(1))
        assert numbers(lb.await_records(1).pipes[0]) == [1]


def test_where_the_first_ends_before_the_second_brings_all_there_is_a_gap_and_the_second_goes_on() -> None:
    with two_sessions(NEVER_DUE) as (_, lb, first, second):
        first.say(trade(1))
        lb.await_records(1)
        asked(second.upgrade(), "SET_PROPERTY")
        request = second.receive_json()
        first.fin()
        lb.await_line("session lost")
        second.say(trade(2))
        second.say(b'{"result":null,"id":%d}' % request["id"])
        lb.await_line("session open")
        second.say(trade(3))
        assert numbers(lb.await_records(3).pipes[0]) == [1, 2, 3]
        lb.await_line("gap between sessions")
        end = lb.stop()
    assert [end.statistics[name] for name in ("takeovers", "reconnects", "gaps_total")] == [0, 1, 1]


def test_where_the_first_ends_while_both_bring_all_nothing_is_missing() -> None:
    with two_sessions(NEVER_DUE) as (_, lb, first, second):
        converse(second)
        second.say(trade(2))
        second.send(frame(b"?", PING))  # not answered before it is taken
        lb.await_line("a second session brings all that this one does")
        first.say(trade(1))
        first.fin()
        line = lb.await_line("session taken over")
        assert line["reason"] == "connection closed without a close frame"
        assert second.receive().opcode == PONG
        assert numbers(lb.await_records(2).pipes[0]) == [1, 2]


def test_topics_that_change_meanwhile_are_asked_of_both(tmp_path: Path) -> None:
    path = tmp_path / "lb.sock"
    with two_sessions(NEVER_DUE, "--control", str(path)) as (_, lb, first, second):
        asked(second.upgrade(), "SET_PROPERTY")
        request = second.receive_json()
        with attach(str(path), ["solusdt@trade"]):
            assert asked(first, "SUBSCRIBE") == ["solusdt@trade"]
            second.say(b'{"result":null,"id":%d}' % request["id"])
            assert asked(second, "SUBSCRIBE") == ["solusdt@trade"]
            lb.await_line("a second session brings all that this one does")
            with attach(str(path), ["xrpusdt@trade"]):  # too late for the second, and soon for the next
                first.fin()
                lb.await_line("session taken over")
                assert asked(second, "SUBSCRIBE") == ["xrpusdt@trade"]


def test_a_venue_that_asks_for_another_session_gets_it_beside_this_one() -> None:
    constants = {**NEVER_DUE, f"{VENUE}.renew_after_s": None}
    with (
        Feed() as feed,
        Lb(feed.url, 1, *OPTIONS, key="none", constants=constants) as lb,
        feed.connection() as first,
    ):
        converse(first)
        first.say(trade(1))
        first.say(b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}')
        with feed.connection() as second:
            converse(second)
            second.say(trade(2))
            first.say(trade(2))
            assert first.receive().opcode == CLOSE
            first.fin()
            second.say(trade(3))
            assert numbers(lb.await_records(4).pipes[0]) == [1, 2, 2, 3]
            assert lb.stop().statistics["takeovers"] == 1


def test_an_upgrade_in_place_leaves_the_second_for_later() -> None:
    with two_sessions(NEVER_DUE) as (feed, lb, first, second):
        converse(second)
        lb.await_line("a second session brings all that this one does")
        lb.send_signal(signal.SIGHUP)
        assert second.receive().close_code == frames.NORMAL_CLOSURE
        assert lb.await_line("upgraded")["session"] == "kept"
        first.say(trade(1))
        lb.await_records(1)
        assert_another_goes_on(feed, lb, first)


def test_a_stop_ends_both() -> None:
    with two_sessions(NEVER_DUE) as (_, lb, first, second):
        converse(second)
        lb.await_line("a second session brings all that this one does")
        assert lb.stop().exit_code == 0
        assert first.receive().close_code == second.receive().close_code == frames.NORMAL_CLOSURE


def test_under_traffic_nothing_is_lost() -> None:
    assert_taken_over_without_a_hole("none")
