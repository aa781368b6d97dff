"""Whatever dies between whichever two steps: each transaction is done once, and no money is lost or made."""

from __future__ import annotations

import pytest
from ledger_simulation import Simulation


@pytest.mark.parametrize("first", range(0, 120, 60))
def test_no_seed_is_wrong(first: int) -> None:
    met = sum(Simulation(seed).run() for seed in range(first, first + 60))
    assert met > 100, "there were few faults"
