"""The topics wanted, and what a feed has said to them."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from lb.feed.doubts import MOST_BARRED, Doubts
from lb.feed.subscriptions import MOST_REJECTED, Subscriptions


def test_a_topic_named_twice_is_wanted_once() -> None:
    assert Subscriptions(["T.A", "Q.*", "T.A"]).wanted == ("T.A", "Q.*")


def test_what_is_not_acknowledged_is_named_in_its_order() -> None:
    subscriptions = Subscriptions(["T.A", "T.B", "T.C"])
    subscriptions.acknowledge("T.B")
    subscriptions.acknowledge("T.unasked")
    assert subscriptions.unacknowledged == ["T.A", "T.C"]


def test_a_new_session_has_acknowledged_and_rejected_nothing() -> None:
    subscriptions = Subscriptions(["T.A"])
    subscriptions.acknowledge("T.A")
    subscriptions.reject("not authorized", None)
    subscriptions.reject("unknown", "T.B")
    subscriptions.reject("not authorized", None)
    assert subscriptions.rejected == ["not authorized", "T.B: unknown"]
    subscriptions.begin_session()
    assert (subscriptions.unacknowledged, subscriptions.rejected) == (["T.A"], [])


def test_of_a_feed_that_talks_on_and_on_little_is_kept() -> None:
    subscriptions = Subscriptions(["T.A"])
    for number in range(1000):
        subscriptions.reject(f"not authorized {number}", None)
    assert subscriptions.rejected == [f"not authorized {number}" for number in range(MOST_REJECTED)]


TOPICS = [f"s{number}@trade" for number in range(12)]


@given(
    wanted=st.lists(st.sampled_from(TOPICS), min_size=1, unique=True),
    bad=st.sets(st.sampled_from(TOPICS)),
    closes=st.booleans(),
    names=st.booleans(),
)
def test_whichever_topics_a_feed_refuses_requests_for_all_others_come(
    wanted: list[str], bad: set[str], closes: bool, names: bool
) -> None:
    """It takes a request as a whole or not at all, may say for which topic, and may end the session."""
    subscriptions = Subscriptions(wanted)
    good, found = set(wanted) - bad, bad.intersection(wanted)
    request = list(subscriptions.certain)
    requests, sessions = 0, 1
    while request:
        requests += 1
        wrong = sorted(bad.intersection(request))
        if wrong:
            subscriptions.refuse(request, "invalid", wrong[0] if names else None)
        for topic in [] if wrong else request:
            subscriptions.acknowledge(topic)
        if wrong and closes:
            sessions += 1
            subscriptions.begin_session()
            request = list(subscriptions.certain)
            if request:
                continue
        request, over = subscriptions.changes()
        assert not over
    assert subscriptions.acknowledged == good
    assert set(subscriptions.wanted) == good
    assert subscriptions.status()["barred"] == dict.fromkeys(found, "invalid")
    steps = 1 if names else math.ceil(math.log2(len(wanted)) + 1)
    assert sessions - 1 <= len(found) * steps
    assert requests <= 1 + (3 if closes else 2) * len(found) * steps


def test_what_nobody_wants_any_more_is_not_in_doubt() -> None:
    subscriptions = Subscriptions(TOPICS[:4])
    subscriptions.refuse(TOPICS[:4], "invalid", None)
    assert subscriptions.certain == ()
    subscriptions.want(TOPICS[2:5])
    assert subscriptions.changes() == ([TOPICS[4]], [])
    assert subscriptions.changes() == ([], []), "the first is not there yet"
    subscriptions.acknowledge(TOPICS[4])
    assert subscriptions.changes() == (TOPICS[2:4], [])
    subscriptions.want(TOPICS[2:5])
    assert subscriptions.changes() == ([], [])


def test_a_topic_that_is_barred_is_not_asked_for_again_by_who_comes_back() -> None:
    subscriptions = Subscriptions(TOPICS[:2])
    subscriptions.refuse(TOPICS[:2], "invalid", TOPICS[0])
    assert subscriptions.rejected == [f"{TOPICS[0]}: invalid"]
    assert subscriptions.changes() == (TOPICS[1:2], [])
    subscriptions.want(())
    subscriptions.want(TOPICS[:2])
    assert subscriptions.wanted == (TOPICS[1],)


def test_of_barred_topics_no_more_than_many_are_remembered() -> None:
    doubts = Doubts()
    for number in range(MOST_BARRED + 1):
        doubts.refused([f"s{number}"], "invalid")
    assert list(doubts.barred) == [f"s{number}" for number in range(1, MOST_BARRED + 1)]
