"""The topics wanted, and what a feed has said to them."""

from __future__ import annotations

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
