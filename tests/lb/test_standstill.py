"""For how long a worker has left bytes in its pipes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lb.slots.standstill import Standstill

S = 1_000_000_000


def still_s(*looks: tuple[float, int, int], most_s: float = 2.0) -> list[float]:
    """Of one pipe, after each look: the time, what it held, what had been taken from it."""
    standstill = Standstill([0], int(most_s * S))
    return [standstill.look({0: held}, {0: taken}, int(at_s * S)).still_ns / S for at_s, held, taken in looks]


def test_bytes_that_stay_are_counted_from_the_look_that_saw_them_first() -> None:
    assert still_s((0, 0, 0), (1, 5, 0), (2, 5, 0), (3.5, 9, 0)) == [0, 0, 1, 2.5]


def test_an_empty_pipe_stands_still_for_no_time() -> None:
    assert still_s((0, 0, 7), (1, 0, 7), (2, 0, 7)) == [0, 0, 0]


def test_a_byte_that_is_read_begins_it_anew() -> None:
    assert still_s((0, 5, 0), (1, 5, 0), (2, 4, 1), (3, 4, 1), (4, 400, 2)) == [0, 1, 0, 1, 0]


def test_a_full_pipe_that_is_read_and_filled_again_does_not_stand_still() -> None:
    assert still_s((0, 64, 0), (1, 64, 10), (2, 64, 20)) == [0, 0, 0]


def test_time_in_which_nobody_looked_does_not_count() -> None:
    """lb was stopped together with the worker."""
    assert still_s((0, 5, 0), (1000, 5, 0), (1001, 5, 0), most_s=2.0) == [0, 2, 3]


def test_of_several_pipes_it_is_the_one_that_stands_longest() -> None:
    standstill = Standstill([3, 8], 10 * S)
    for at_s, held, taken in ((0, (1, 0), 0), (1, (1, 6), 0), (2, (1, 7), 1)):
        longest = standstill.look(dict(zip((3, 8), held, strict=True)), {3: taken, 8: 0}, at_s * S)
    assert (longest.pipe, longest.held_bytes, longest.still_ns) == (8, 7, S)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 9), st.integers(0, 9)), max_size=40))
def test_it_is_never_longer_than_since_the_pipe_was_empty_or_read_last(steps: list[tuple[float, int, int]]) -> None:
    """Against the whole history of a pipe into which is written, and of which is read, between two looks."""
    standstill = Standstill([0], S)
    now_ns = held = taken = moved_ns = 0
    for pause_s, written, wanted in steps:
        if held == 0:
            moved_ns = now_ns
        held += written
        read = min(held, wanted)
        held, taken = held - read, taken + read
        now_ns += int(pause_s * S)
        if read or not held:
            moved_ns = now_ns
        assert 0 <= standstill.look({0: held}, {0: taken}, now_ns).still_ns <= now_ns - moved_ns
