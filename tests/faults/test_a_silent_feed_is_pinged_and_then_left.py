"""A half-open connection: no byte comes, and no end. 15 s and 30 s, shortened here."""

from __future__ import annotations

import os
import signal

import pytest
from harness import SOON, Authority, Feed, Flood, Lb, message
from harness.feed import PING, PONG, frame
from harness.flood import numbers_of, record

from lb.feed.venue import Health
from lb.feed.venues import DEFAULT

HEALTH = "lb.feed.venues.polygon.VENUE.health"
SHORT = SOON | {f"{HEALTH}.ping_after_s": 0.3, f"{HEALTH}.lost_after_s": 1.3}


def test_the_limits_are_15_s_and_30_s() -> None:
    assert DEFAULT.health == Health(ping_after_s=15, lost_after_s=30)


@pytest.mark.parametrize("tls", [False, True])
def test_one_ping_goes_out_and_then_the_session_is_lost(authority: Authority, tls: bool) -> None:
    context = authority.server_context("127.0.0.1") if tls else None
    with Feed(tls=context) as feed, Lb(feed.url, 1, "--ca-file", authority.ca_file, constants=SHORT) as lb:
        with feed.session() as peer:
            assert [said.opcode for said in peer.receive_to_end()] == [PING]
            line = lb.await_line("session lost")
            assert "no byte from the feed for 1." in line["reason"]
            assert line["age_s"] >= 1.3
        with feed.session() as peer:
            peer.say(message([record(0)]))
            lb.await_records(1)


def test_any_byte_is_life() -> None:
    """A pong as well as one byte of a frame that goes on later."""
    text = frame(message([record(0)]))
    with Feed() as feed, Lb(feed.url, constants=SHORT) as lb, feed.session() as peer:
        for byte in text[:3]:
            assert peer.receive().opcode == PING
            peer.send(bytes([byte]))
        peer.send(text[3:])
        for _ in range(2):
            assert peer.receive().opcode == PING
            peer.send(frame(b"", PONG))
        assert lb.await_records(1).pipes == {0: [record(0)]}
        assert lb.stop().statistics["reconnects"] == 0


def test_a_feed_that_talks_is_not_pinged() -> None:
    """Also where no ping was ever needed before."""
    with Feed() as feed, Lb(feed.url, constants={f"{HEALTH}.ping_after_s": 5.0}) as lb, feed.session() as peer:
        for number in range(20):
            peer.say(message([record(number)]))
            lb.await_records(number + 1)
        peer.send(frame(b"mine", PING))
        answer = peer.receive()
        assert (answer.opcode, answer.payload) == (PONG, b"mine"), "no ping of lb's stands before it"


def test_a_feed_that_is_not_read_is_not_silent() -> None:
    """While a full pipe stops the reading, the silence is lb's own."""
    options = ("--pipe-size", "4096", "--stats-interval", "0.25")
    constants = SHORT | {"lb.balancer.WAITING_BYTES": 1 << 16}
    with Feed() as feed, Lb(feed.url, 1, *options, constants=constants) as lb, feed.session() as peer:
        (worker,) = lb.await_recorders(1)
        os.kill(worker, signal.SIGSTOP)
        with Flood(peer, limit=50_000) as flood:
            while lb.await_line("statistics")["full"] == 0:
                pass
            for _ in range(7):  # by then it would be lost
                lb.await_line("statistics")
            os.kill(worker, signal.SIGCONT)
            flood.wait()
        lb.await_records(50_000)
        assert lb.stop().statistics["reconnects"] == 0, lb.log
        assert numbers_of(lb.recording.pipes[0]) == list(range(50_000))
