"""Topics that have gone mute, from samples of the records."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from lb.config import Config
from lb.endpoint import Endpoint
from lb.feed.mute import Mute
from lb.feed.venues.polygon import topics_of
from lb.hours import Hours
from lb.key import Key
from lb.pump import Arrival

CONFIG = Config(
    Key("k"), Endpoint.parse("ws://h/"), 1, ".", "w", (), subscribe=("T.*", "Q.*", "LULD.*"), quiet_after_s=60
)
PERIOD_NS = 20_000_000


def samples(kinds: str, begin: int = 0) -> list[Arrival]:
    """One every 20 ms: T, Q, or L for LULD."""
    events = {"T": b'{"ev":"T","sym":"A"}', "Q": b'{"ev":"Q","sym":"A"}', "L": b'{"ev":"LULD","h":1,"T":"A"}'}
    return [Arrival(0, (begin + at) * PERIOD_NS, events[kind]) for at, kind in enumerate(kinds)]


def told(kinds: str, config: Config = CONFIG, now_s: float = 0.0, step: int = 100) -> list[str]:
    """The topics, in the order they were told."""
    mute = Mute(config, topics_of)
    return [
        topic
        for begin in range(0, len(kinds), step)
        for topic, for_s in mute.look(samples(kinds[begin : begin + step], begin), now_s)
        if for_s >= config.quiet_after_s
    ]


def test_one_that_others_outlive_is_told_once_each_time() -> None:
    assert told("TQQQ" * 200 + "Q" * 4000) == ["T.*"]
    assert told("TQQQ" * 200 + "Q" * 9000) == ["T.*"]
    assert told("TQQQ" * 200 + "Q" * 4000 + "T" + "Q" * 9000) == ["T.*", "T.*"]


def test_not_before_its_time_and_not_where_it_was_rare() -> None:
    assert told("TQQQ" * 200 + "Q" * 2900) == [], "less than a minute"
    assert told("Q" * 2000 + "L" + "Q" * 30_000) == []
    assert told("TQQQ" * 2000) == []
    assert told("Q" * 9000) == [], "what never came may never come"


def test_of_a_steady_mixture_none_is_told() -> None:
    random = Random(1)
    for share in (0.5, 0.05, 0.005, 0.0005):
        kinds = "".join(random.choices("TQ", [share, 1 - share], k=50_000))
        assert told(kinds) == []


def test_silence_of_all_is_another_matter() -> None:
    mute = Mute(CONFIG, topics_of)
    assert mute.look(samples("TQQQ" * 200), 0.0) == []
    assert mute.look([], 0.0) == []
    assert mute.look(samples("Q" * 10, begin=100_000), 0.0) == []


def test_nothing_is_told_where_it_is_off_or_the_market_is_closed() -> None:
    saturday_s, friday_s = 1_795_867_200.0, 1_795_796_000.0
    kinds = "TQQQ" * 200 + "Q" * 9000
    with_hours = replace(CONFIG, hours=Hours.parse("Mon-Fri 09:30-16:00 America/New_York"))
    assert told(kinds, replace(CONFIG, quiet_after_s=0.0)) == []
    assert told(kinds, with_hours, saturday_s) == []
    assert told(kinds, with_hours, friday_s) == ["T.*"]


@pytest.mark.parametrize(
    ("record", "topics"),
    [
        (b'{"ev":"T","sym":"AAPL","i":"1"', ["T.*", "T.AAPL"]),
        (b'{"ev":"XT","pair":"BTC-USD","p":1}', ["XT.*", "XT.BTC-USD"]),
        (b'{"ev":"LULD","h":3.63,"T":"ATHR"}', ["LULD.*", "LULD.ATHR"]),
        (b'{"ev":"C","p":"EUR/USD","x":1}', ["C.*", "C.EUR/USD"]),
        (b'{"ev":"T","x":1}', ["T.*"]),
        (b'{"sym":"AAPL"}', []),
    ],
)
def test_the_topics_of_a_record(record: bytes, topics: list[str]) -> None:
    assert topics_of(record) == topics
