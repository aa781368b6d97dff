"""Whether the workers of a slot end too often. Law: pure; the clock is the caller's."""

from __future__ import annotations

from lb.recurrence import Recurrence

WINDOW_S = 60.0
"""Long enough for a few rounds of the back-off, which grows to 30 s; short enough that a death a day is none."""


class Crashes(Recurrence):
    """`most`: how many ends within WINDOW_S are too many; 0: none are."""

    def __init__(self, most: int) -> None:
        super().__init__(most, WINDOW_S)
