"""A part of the benchmark whose rows are functions, in the files of one folder.

Law: a row returns one value per round (a ratio is taken between two runs that stand beside each other), or raises
Absent with what it lacks, or TrialError where what came out is wrong: then it has no figure.
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import TrialError
from harness.results import Spread, spread


class Absent(Exception):
    """What the row needs and is not here."""


@dataclass(frozen=True)
class Terms:
    """seconds: how long the feed of one run lasts. build: where the C programs are, and room for a run's files.
    centrifugo: its program, where one is given."""

    rounds: int
    seconds: float
    quick: bool
    build: Path
    centrifugo: Path | None = None


Measure = Callable[[Terms], list[float]]


@dataclass
class RowResults:
    """Values by row."""

    values: dict[str, list[float]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def spread(self, name: str) -> Spread | None:
        return spread(self.values[name]) if self.values.get(name) else None


class Rows:
    """Those in the files of the package."""

    def __init__(self, package: str, files: Sequence[str]) -> None:
        self._modules = [f"{package}.{file}" for file in files]
        self._rows: dict[str, Measure] = {}

    def row(self, name: str) -> Callable[[Measure], Measure]:
        """Marks the function that measures the row of this name."""

        def add(measure: Measure) -> Measure:
            self._rows[name] = measure
            return measure

        return add

    def measure(self, terms: Terms, say: Callable[[str], None]) -> RowResults:
        """All of them."""
        for name in self._modules:
            importlib.import_module(name)
        results = RowResults()
        for name, measure_row in self._rows.items():
            say(f"measuring {name}")
            try:
                results.values[name] = measure_row(terms)
            except Absent as reason:
                results.absent[name] = str(reason)
            except TrialError as error:
                results.failures.append(f"{name}: {error}")
                say(f"FAILED  {results.failures[-1]}")
        return results
