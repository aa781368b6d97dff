"""A mute session: the feed answers pings and sends no record, though its market is open."""

from __future__ import annotations

from dataclasses import replace

from harness import SOON, Feed, Lb, message
from harness.feed import PING, frame
from harness.flood import record

from lb.config import Config
from lb.endpoint import Endpoint
from lb.feed.quiet import Quiet
from lb.hours import Hours
from lb.key import Key

S = 1_000_000_000
CONFIG = Config(Key("k"), Endpoint.parse("ws://h/"), 1, ".", "w", (), quiet_after_s=60)


def test_it_is_told_and_goes_on_where_that_is_all_that_is_asked() -> None:
    with Feed() as feed, Lb(feed.url, 1, "--quiet-after", "0.3") as lb, feed.session() as peer:
        lb.await_line("session open")
        peer.send(frame(b"alive", PING))
        assert lb.await_line("no record from a session that lives", level="error")["for_s"] >= 0.3
        peer.say(message([record(0)]))
        assert lb.await_records(1).pipes == {0: [record(0)]}


def test_it_is_followed_by_another_where_that_is_asked() -> None:
    with Feed() as feed, Lb(feed.url, 1, "--quiet-after", "0.3", "--on-quiet", "reconnect", constants=SOON) as lb:
        with feed.session():
            assert "no record for" in lb.await_line("session lost")["reason"]
        with feed.session() as peer:
            peer.say(message([record(0)]))
            lb.await_records(1)


def test_a_topic_that_others_outlive_is_told() -> None:
    options = ("--quiet-after", "0.2", "--subscribe", "T.*,Q.*")
    constants = {"lb.feed.mute.LEAST_EXPECTED": 2.0}
    with Feed() as feed, Lb(feed.url, 1, *options, constants=constants) as lb, feed.session() as peer:
        records = [b'{"ev":"%s","sym":"A"}' % event for event in (b"T", b"Q") * 2]
        while not (mute := [line for line in lb.lines if line["message"].startswith("a topic has gone mute")]):
            peer.say(message([records.pop(0) if records else b'{"ev":"Q","sym":"A"}']))
            lb.balance()  # each comes in a read of its own
        assert mute[0]["topic"] == "T.*"
        assert mute[0]["level"] == "error"
        assert mute[0]["for_s"] >= 0.2


def test_a_record_now_and_then_is_enough() -> None:
    quiet = Quiet(CONFIG)
    quiet.begin(0, 0)
    assert quiet.due_ns == 15 * S
    for minute in range(1, 10):
        assert quiet.look(minute, minute * 60 * S, 0.0, is_ours=False) is None
    assert quiet.look(9, 10 * 60 * S, 0.0, is_ours=False) == 60.0
    assert quiet.look(9, 10 * 60 * S + S, 0.0, is_ours=False) is None, "told once each time"
    assert quiet.look(9, 11 * 60 * S, 0.0, is_ours=False) == 60.0


def test_neither_a_closed_market_nor_our_own_pause_is_the_feeds_fault() -> None:
    saturday_s, friday_s = 1_795_867_200.0, 1_795_796_000.0
    quiet = Quiet(replace(CONFIG, hours=Hours.parse("Mon-Fri 09:30-16:00 America/New_York")))
    quiet.begin(0, 0)
    assert quiet.look(0, 600 * S, saturday_s, is_ours=False) is None
    assert quiet.look(0, 630 * S, friday_s, is_ours=False) is None, "the minute begins with the market"
    assert quiet.look(0, 660 * S, friday_s, is_ours=True) is None
    assert quiet.look(0, 720 * S, friday_s, is_ours=False) == 60.0


def test_it_is_off_unless_asked_for() -> None:
    quiet = Quiet(replace(CONFIG, quiet_after_s=0.0))
    quiet.begin(0, 0)
    assert quiet.due_ns > 10**18
