"""When one session has brought what another has brought first: a venue sends both the same, in one order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lb.feed.overlap import Overlap

STREAMS = "abc"


def record(stream: str, number: int) -> bytes:
    return f"{stream} {number}".encode()


def place_of(record: bytes) -> tuple[bytes, int] | None:
    stream, _, number = record.partition(b" ")
    return (stream, int(number)) if number else None


@given(
    streams=st.lists(st.sampled_from(STREAMS), min_size=1, max_size=30),
    begin=st.integers(0, 30),
    steps=st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 5)), max_size=30),
)
def test_a_proof_is_one(streams: list[str], begin: int, steps: list[tuple[int, bool, int]]) -> None:
    """Each step: how far the first goes, whether that is seen, how far the second goes."""
    sent = [record(stream, streams[: at + 1].count(stream)) for at, stream in enumerate(streams)]
    overlap = Overlap(place_of)
    first, second = 0, min(begin, len(sent))
    begun = second
    for first_more, is_seen, second_more in steps:
        first = min(first + first_more, len(sent))
        if first and is_seen:
            overlap.see(sent[first - 1])
        for at in range(second, min(second + second_more, len(sent))):
            overlap.bring(sent[at])
        second = min(second + second_more, len(sent))
        if overlap.is_proven:
            assert first > begun, "the first has come no further than to where the second begins"


def test_it_is_proven_whichever_comes_first() -> None:
    for is_first_ahead in (True, False):
        overlap = Overlap(place_of)
        overlap.begin(record("a", 1))
        if is_first_ahead:
            overlap.see(record("a", 3))
        overlap.bring(record("a", 2))
        if not is_first_ahead:
            overlap.see(record("b", 9))
            assert not overlap.is_proven
            overlap.see(record("a", 2))
        assert overlap.is_proven


def test_it_is_expected_where_either_has_spoken_and_the_first_has_places() -> None:
    overlap = Overlap(place_of)
    overlap.bring(record("a", 2))
    assert not overlap.can_be_proven, "nothing tells how far the first is"
    overlap.begin(record("a", 1))
    assert not overlap.can_be_proven, "both are silent"
    overlap.see(record("a", 1))
    overlap.see(b"none")
    assert not overlap.can_be_proven
    overlap.bring(record("b", 1))
    assert overlap.can_be_proven
    assert not overlap.is_proven
