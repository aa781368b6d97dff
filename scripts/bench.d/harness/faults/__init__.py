"""The part `faults`: what a fault, or the guard against one, costs: a function for each row, in the files beside this.

To add a row: a function marked with @row in a file here that _FILES names; and its goal, a line in fault_figures of
harness/goals.py, which knows the row by its name.

Law: a row returns one value per round (a ratio is taken between two runs that stand beside each other), or raises
Absent with what it lacks, or TrialError where what came out is wrong: then it has no figure.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import TrialError
from harness.results import Spread, spread

_FILES = ("restart", "frozen", "spill", "redeliver")


class Absent(Exception):
    """What the row needs and is not here."""


@dataclass(frozen=True)
class Terms:
    """seconds: how long the feed of one run lasts. build: where the C programs are, and room for a run's files."""

    rounds: int
    seconds: float
    quick: bool
    build: Path


Measure = Callable[[Terms], list[float]]
_ROWS: dict[str, Measure] = {}


def row(name: str) -> Callable[[Measure], Measure]:
    def add(measure: Measure) -> Measure:
        _ROWS[name] = measure
        return measure

    return add


@dataclass
class FaultResults:
    """Values by row."""

    values: dict[str, list[float]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def spread(self, name: str) -> Spread | None:
        return spread(self.values[name]) if self.values.get(name) else None


def measure(terms: Terms, say: Callable[[str], None]) -> FaultResults:
    for name in _FILES:
        importlib.import_module(f"{__name__}.{name}")
    results = FaultResults()
    for name, measure_row in _ROWS.items():
        say(f"measuring {name}")
        try:
            results.values[name] = measure_row(terms)
        except Absent as reason:
            results.absent[name] = str(reason)
        except TrialError as error:
            results.failures.append(f"{name}: {error}")
            say(f"FAILED  {results.failures[-1]}")
    return results
