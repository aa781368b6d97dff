"""The connection is cut; what the feed sent until the next session is lost, and from when to when is told."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from harness import SOON, Feed, Lb, message

HOUR_MS = 3_600_000


def trade(sent_ms: int) -> bytes:
    return b'{"ev":"T","sym":"AAPL","p":1.5,"t":%d,"q":7}' % sent_ms


def of_log(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_by_our_clock_and_by_the_feeds() -> None:
    """Its length and both its ends, once the first record of the next session has come; sessions without a record
    are part of it."""
    begun_s = time.time()
    with Feed() as feed, Lb(feed.url, 2, constants=SOON) as lb:
        with feed.session() as peer:
            peer.say(message([trade(1781622376036)]))
            lb.await_records(1)
        feed.session().reset()
        last_s = time.time()
        with feed.session() as peer:
            assert not [line for line in lb.lines if line["message"] == "gap between sessions"]
            first_s = time.time()
            peer.say(message([trade(1781622376036 + HOUR_MS)]))
            line = lb.await_line("gap between sessions", level="warning")
            peer.say(message([trade(1781622376036 + 2 * HOUR_MS)]))
            lb.await_records(3)
        with feed.session() as peer:
            peer.say(message([b'{"ev":"A","sym":"AAPL"}']))
            lb.await_records(4)
            second = lb.await_line("gap between sessions")
        end = lb.stop()
    assert line["sent_s"] == 3600
    assert (line["last_sent"], line["first_sent"]) == ("2026-06-16T15:06:16.036Z", "2026-06-16T16:06:16.036Z")
    assert of_log(begun_s) <= line["last_received"] <= of_log(last_s)
    assert of_log(first_s) <= line["first_received"] <= of_log(time.time())
    assert first_s - last_s <= line["received_s"] <= time.time() - begun_s
    assert "sent_s" not in second, "an aggregate tells no time"
    assert end.statistics["gaps_total"] == 2
    assert abs(end.statistics["gap_s"] - line["received_s"] - second["received_s"]) < 0.001


def test_one_that_ends_with_the_stop_is_told_too() -> None:
    constants = SOON | {"lb.feed.pulse.GAP_LOOK_S": 1000}
    with Feed() as feed, Lb(feed.url, 1, constants=constants) as lb:
        with feed.session() as peer:
            peer.say(message([trade(1781622376036)]))
            lb.await_records(1)
        with feed.session() as peer:
            lb.await_line("session open")
            lb.await_line("session open")
            peer.say(message([trade(1781622376037)]))
            lb.await_records(2)
            end = lb.stop()
        lb.await_line("gap between sessions", sent_s=0.001)
    assert end.statistics["gaps_total"] == 1


def test_no_record_before_is_no_gap() -> None:
    with Feed() as feed, Lb(feed.url, 1, constants=SOON) as lb:
        feed.session().fin()
        with feed.session() as peer:
            peer.say(message([trade(1781622376036)]))
            lb.await_records(1)
            end = lb.stop()
    assert (end.statistics["gaps_total"], end.statistics["gap_s"]) == (0, 0)
