"""Two clients on one key evict each other: were the back-off reset with every session, they would do so for ever."""

from __future__ import annotations

from harness import Feed, Lb
from harness.feed import CONNECTED

from lb.feed import keeper
from lb.slots import supervisor

LEAST_S = 0.002
QUICK = {"lb.feed.keeper.LEAST_DELAY_S": LEAST_S, "lb.feed.keeper.MOST_DELAY_S": 0.2}


def delays_s(lb: Lb, feed: Feed, sessions: int) -> list[float]:
    found = []
    for _ in range(sessions):
        with feed.session() as peer:
            lb.await_line("session open")
            peer.close(1000)
            found.append(lb.await_line("next session")["delay_s"])
    return found


def test_short_sessions_let_the_delays_grow() -> None:
    with Feed() as feed, Lb(feed.url, constants=QUICK) as lb:
        assert max(delays_s(lb, feed, 10)) > 2 * LEAST_S, "10 draws up to 0.004, 0.008 .. 0.2 s"


def test_a_session_of_stable_s_ends_the_growth() -> None:
    with Feed() as feed, Lb(feed.url, constants=QUICK | {"lb.feed.keeper.STABLE_S": 0.0}) as lb:
        assert max(delays_s(lb, feed, 10)) <= 2 * LEAST_S, "every delay is a first one"


def test_stable_is_10_s() -> None:
    assert keeper.STABLE_S == 10
    assert supervisor.STABLE_S == 10
    assert (keeper.LEAST_DELAY_S, keeper.MOST_DELAY_S) == (0.25, 30)


def test_a_session_that_never_began_is_not_a_healthy_one() -> None:
    """Neither when it is refused, nor when what was said before it is against the protocol."""
    found = []
    with Feed() as feed, Lb(feed.url, constants=QUICK) as lb:
        for _ in range(10):
            with feed.connection().upgrade() as peer:
                peer.say(CONNECTED)
                peer.receive_action("auth")
                peer.say(b'["\xff"]')
                peer.receive_to_end()
            found.append(lb.await_line("next session")["delay_s"])
    assert max(found) > 2 * LEAST_S
