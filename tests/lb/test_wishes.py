"""What the feed is asked for, whoever wants what: all that is wanted, nothing twice, nothing that is over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lb.feed.subscriptions import Subscriptions
from lb.feed.venues.polygon import topic as meaning
from lb.feed.wishes import Wishes

TOPICS = ["T.*", "T.A", "T.B", "Q.*", "Q.A", "AM.*", "*"]
S = 1_000_000_000

steps = st.lists(
    st.one_of(
        st.tuples(st.just("want"), st.integers(0, 3), st.lists(st.sampled_from(TOPICS), max_size=3)),
        st.tuples(st.just("release"), st.integers(0, 3), st.just([])),
    ),
    max_size=12,
)


def agreed(wishes: Wishes, subscriptions: Subscriptions, asked: set[str], refused: set[str]) -> set[str]:
    """What the feed sends once all has been said: it acknowledges all but `refused`, and is asked again."""
    while True:
        subscriptions.want(wishes.of_all(subscriptions.acknowledged))
        fresh, over = subscriptions.changes()
        assert not asked.intersection(fresh)
        assert asked.issuperset(over)
        asked = asked.union(fresh).difference(over)
        if not fresh and not over:
            return asked
        for topic in asked - refused:
            subscriptions.acknowledge(topic)


@given(
    base=st.lists(st.sampled_from(TOPICS[:-1]), max_size=3),
    steps=steps,
    refused=st.sets(st.sampled_from(TOPICS[:-1]), max_size=2),
)
def test_all_that_is_wanted_is_asked_for_once(
    base: list[str], steps: list[tuple[str, int, list[str]]], refused: set[str]
) -> None:
    wishes, model, subscriptions = Wishes(base, 5.0, meaning), {}, Subscriptions(())
    asked: set[str] = set()
    for now_s, (step, who, topics) in enumerate(steps):
        wishes.tend(now_s * S)
        if step == "want":
            wishes.want(who, topics)
            model[who] = topics
        else:
            wishes.release(who, now_s * S)
            model.pop(who, None)
        asked = agreed(wishes, subscriptions, asked, refused)
        for party in [base, *model.values()]:
            for topic in party:
                is_refused = not {topic, f"{topic.partition('.')[0]}.*"}.isdisjoint(refused.intersection(party))
                assert topic == "*" or is_refused or wishes.is_covered(topic, asked - refused)
        for topic in asked:
            assert not wishes.is_covered(topic, asked - refused - {topic}), "a wider one brings it"
    for who in list(model):
        wishes.release(who, 100 * S)
    wishes.tend(106 * S)
    assert agreed(wishes, subscriptions, asked, refused) == set(Wishes(base, 0, meaning).of_all())


def test_what_the_feed_refuses_one_costs_no_other() -> None:
    wishes, subscriptions = Wishes(["T.A"], 0, meaning), Subscriptions(["T.A"])
    wishes.want("one", ["T.*"])
    assert agreed(wishes, subscriptions, {"T.A"}, {"T.*"}) == {"T.A", "T.*"}
    assert agreed(wishes, Subscriptions([]), set(), set()) == {"T.*"}


def test_a_topic_lingers() -> None:
    wishes = Wishes(["T.A"], 5.0, meaning)
    wishes.want("one", ["Q.A"])
    wishes.want("two", ["Q.A"])
    wishes.release("one", 1 * S)
    wishes.tend(100 * S)
    assert wishes.of_all() == ("T.A", "Q.A")
    wishes.release("two", 100 * S)
    assert wishes.deadline_ns == 105 * S
    wishes.tend(105 * S - 1)
    assert wishes.of_all() == ("T.A", "Q.A")
    wishes.tend(105 * S)
    assert wishes.of_all() == ("T.A",)


def test_workers_get_all_until_the_feed_may_send_more_than_is_theirs() -> None:
    wishes, subscriptions = Wishes(["T.*"], 0, meaning), Subscriptions(["T.*"])
    assert not wishes.exceed(subscriptions.brought)
    subscriptions.want(["T.*", "Q.A"])
    assert subscriptions.changes() == (["Q.A"], [])
    assert wishes.exceed(subscriptions.brought)
    subscriptions.want(["T.*"])
    assert subscriptions.changes() == ([], ["Q.A"])
    assert wishes.exceed(subscriptions.brought), "until the feed says that it is over"
    subscriptions.left("Q.A")
    assert not wishes.exceed(subscriptions.brought)
    assert not wishes.exceed(["T.A"])


def test_what_a_topic_means() -> None:
    assert meaning("T.*") == (b"T", None)
    assert meaning("T.BRK.B") == (b"T", b"BRK.B")
    assert meaning("C.EUR/USD") == (b"C", b"EUR/USD")
    assert meaning("*") == (None, None)
