"""The pace at which a venue is talked to: for any order of messages and answers to pings, and any clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lb.feed.pace import Pace

GAP_NS = 300_000_000


@given(st.lists(st.tuples(st.sampled_from(["want", "pong", "look"]), st.integers(0, GAP_NS * 2))))
def test_no_two_messages_are_nearer_than_the_gap_and_all_are_said_in_their_order(steps: list[tuple[str, int]]) -> None:
    pace, now_ns, wanted, said, sent_ns = Pace(0.3), 1, 0, [], [-GAP_NS]
    for what, later_ns in steps:
        now_ns += later_ns
        if what == "want":
            pace.want(b"%d" % wanted)
            wanted += 1
        elif what == "pong":
            pace.sent(now_ns)
            sent_ns.append(now_ns)
        elif (text := pace.take(now_ns)) is not None:
            assert now_ns - sent_ns[-1] >= GAP_NS
            pace.sent(now_ns)
            sent_ns.append(now_ns)
            said.append(text)
    while pace.is_busy:
        now_ns = max(now_ns, pace.deadline_ns)
        text = pace.take(now_ns)
        assert text is not None, "what is due at the deadline is said then"
        pace.sent(now_ns)
        said.append(text)
    assert said == [b"%d" % number for number in range(wanted)]


def test_many_pongs_are_paid_for_later() -> None:
    """The venue counts them: five within a second leave no room for a message of ours."""
    pace = Pace(0.3)
    for _ in range(5):
        pace.sent(0)
    pace.want(b"x")
    assert pace.take(5 * GAP_NS - 1) is None
    assert pace.take(5 * GAP_NS) == b"x"


def test_without_a_gap_nothing_waits() -> None:
    pace = Pace(0)
    pace.sent(10)
    pace.want(b"x")
    assert pace.take(10) == b"x"


def test_a_new_session_owes_nothing() -> None:
    pace = Pace(0.3)
    pace.sent(10)
    pace.want(b"x")
    pace.begin()
    assert not pace.is_busy
    pace.want(b"y")
    assert pace.take(11) == b"y"
