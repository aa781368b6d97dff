"""What is told of something that comes and goes."""

from __future__ import annotations

from lb.episodes import CALM_S, Begun, Episodes, Over

S = 1_000_000_000


def test_one_that_wavers_is_told_once_and_once_that_it_is_over() -> None:
    episodes = Episodes([7])
    totals = [7, 10, 10, 15, 15, 15, 15, 15, 15, 15, 15]
    told = [(second, change) for second, total in enumerate(totals) for change in episodes.look([total], second * S)]
    assert told == [(1, Begun(0)), (3 + CALM_S, Over(0, amount=8, lasted_s=2.0))]


def test_each_number_has_its_own() -> None:
    episodes = Episodes([0, 0])
    assert episodes.look([0, 1], 0) == [Begun(1)]
    assert episodes.look([2, 1], 3 * S) == [Begun(0)]
    assert episodes.look([2, 1], 6 * S) == [Over(1, amount=1, lasted_s=0.0)]
    assert episodes.finish() == [Over(0, amount=2, lasted_s=0.0)]
    assert episodes.finish() == []
