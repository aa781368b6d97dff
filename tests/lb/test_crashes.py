"""Whether the workers of a slot end too often."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lb.slots.crashes import WINDOW_S, Crashes


def told(most: int, *ends_s: float) -> list[bool]:
    crashes = Crashes(most)
    return [crashes.add(int(at_s * 1e9)) for at_s in ends_s]


def test_so_many_within_a_minute_are_too_many() -> None:
    assert WINDOW_S == 60
    assert told(3, 0, 30, 60) == [False, False, True]
    assert told(3, 0, 30, 60.001) == [False, False, False]
    assert told(3, 0, 100, 130, 160) == [False, False, False, True]


def test_it_is_said_once_for_so_many_more() -> None:
    assert told(2, 0, 1, 2, 3, 4) == [False, True, False, True, False]
    assert told(1, 0, 1) == [True, True]


def test_0_is_off() -> None:
    assert told(0, *[0.0] * 100) == [False] * 100


@given(st.lists(st.floats(0, 50), max_size=60), st.integers(1, 6))
def test_against_the_list_of_all_ends(pauses_s: list[float], most: int) -> None:
    crashes = Crashes(most)
    now_ns = 0
    ends_ns: list[int] = []
    for pause_s in pauses_s:
        now_ns += int(pause_s * 1e9)
        ends_ns.append(now_ns)
        is_too_many = sum(now_ns - end_ns <= 60e9 for end_ns in ends_ns) >= most
        assert crashes.add(now_ns) == is_too_many
        if is_too_many:
            ends_ns = []
