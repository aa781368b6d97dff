"""What was measured, and the few ways of summing it up.

Law: a ratio is taken within a round, between runs that stood beside each other in time, and then summed up over the
rounds: a machine that was slow for a minute was slow for both.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from harness.plan import Pace, Point
from harness.trial import Trial

PUMP = "the pump alone"
"""The name under which Results.absent explains a missing instruction count."""

Metric = Callable[[Trial], float]


@dataclass(frozen=True)
class Spread:
    """Median, minimum and maximum over the rounds."""

    median: float
    low: float
    high: float

    def text(self, digits: int) -> str:
        return f"{self.median:.{digits}f} ({self.low:.{digits}f}-{self.high:.{digits}f})"


def spread(values: list[float]) -> Spread:
    return Spread(median(values), min(values), max(values))


@dataclass
class Results:
    """Trials per place and candidate, round by round; a candidate that failed anywhere in a place has no trials
    there.
    """

    throughput: dict[Point, dict[str, list[Trial]]] = field(default_factory=dict)
    latency: dict[Pace, dict[str, list[Trial]]] = field(default_factory=dict)
    memory: Trial | None = None
    starts: list[Trial] = field(default_factory=list)
    pump_instructions: dict[str, float] = field(default_factory=dict)
    """By vectors, the widest that the CPU has last."""
    absent: dict[str, str] = field(default_factory=dict)
    """What could not be measured here -> why."""
    failures: list[str] = field(default_factory=list)

    def trials(self, place: Point | Pace, candidate: str) -> list[Trial]:
        places = self.throughput.get(place, {}) if isinstance(place, Point) else self.latency.get(place, {})
        return places.get(candidate, [])

    def spread(self, place: Point | Pace, candidate: str, metric: Metric) -> Spread | None:
        values = [metric(trial) for trial in self.trials(place, candidate)]
        return spread(values) if values else None

    def ratio(self, place: Point | Pace, candidate: str, to: str, metric: Metric) -> Spread | None:
        """candidate / to, round by round; None where one of them was not measured."""
        pairs = zip(self.trials(place, candidate), self.trials(place, to), strict=False)
        values = [metric(one) / metric(other) for one, other in pairs if metric(other)]
        return spread(values) if values else None
