"""Lines of one kind: how many in a second, and how many were left out."""

from __future__ import annotations

from lb.ration import Ration

SECOND_NS = 1_000_000_000


def test_so_many_in_a_second_and_the_rest_is_counted() -> None:
    ration = Ration(lines=3)
    assert [ration.allows(now_ns) for now_ns in range(5)] == [True, True, True, False, False]
    assert ration.allows(SECOND_NS)
    assert ration.left_out() == 2
    assert ration.left_out() == 0
