"""Which measurements are made: one axis varied at a time, around one centre.

The full product of the axes would take hours and say little more.
"""

from dataclasses import dataclass
from itertools import product

from harness.candidates import LB_CPU, LB_SYMBOL, PYTHON_CLIENTS, Candidate
from harness.feed import LAYOUTS, REAL_SECOND

_CENTRE_BATCH = 20
_CENTRE_PIPES = 16
_PYTHON_PIPES_MAX = 64


@dataclass(frozen=True)
class Point:
    """One throughput measurement. batch: records per frame, 0 where the layout brings its own."""

    layout: str
    batch: int
    pipes: int
    tls: bool = False

    def __str__(self) -> str:
        records = "real second" if self.layout == REAL_SECOND else f"{self.layout} B x {self.batch} per frame"
        return f"{records}, {self.pipes} pipes, {'wss' if self.tls else 'ws'}"


@dataclass(frozen=True)
class Pace:
    """One latency measurement. rate: records per second, the mean."""

    rate: int
    bursty: bool

    def __str__(self) -> str:
        return f"{self.rate // 1000}k/s {'bursty' if self.bursty else 'steady'}"


@dataclass(frozen=True)
class Plan:
    """The values of each axis; the centre is 160 B x 20 per frame, 16 pipes, or an axis's first value where it lacks
    that.
    """

    layouts: tuple[str, ...] = ("160", "112", REAL_SECOND)
    batches: tuple[int, ...] = (20, 1, 2, 200)
    pipes: tuple[int, ...] = (1, 4, 16, 64, 256, 1024)
    rates: tuple[int, ...] = (1_000, 10_000, 100_000, 500_000)
    arrivals: tuple[str, ...] = ("steady", "bursty")

    @property
    def centre(self) -> Point:
        batch = _CENTRE_BATCH if _CENTRE_BATCH in self.batches else self.batches[0]
        pipes = _CENTRE_PIPES if _CENTRE_PIPES in self.pipes else self.pipes[0]
        return _point(self.layouts[0], batch, pipes)

    def points(self) -> list[Point]:
        centre = self.centre
        along_pipes = [_point(centre.layout, centre.batch, pipes) for pipes in self.pipes]
        along_batches = [_point(centre.layout, batch, centre.pipes) for batch in self.batches]
        along_layouts = [_point(layout, centre.batch, centre.pipes) for layout in self.layouts]
        tls = Point(centre.layout, centre.batch, centre.pipes, tls=True)
        return list(dict.fromkeys([*along_pipes, *along_batches, *along_layouts, tls]))

    def paces(self) -> list[Pace]:
        return [Pace(rate, arrival == "bursty") for arrival, rate in product(self.arrivals, self.rates)]

    def runs_at(self, candidate: Candidate, point: Point) -> bool:
        """The Python clients, the other route and the CPU of one's own are measured along the pipes only, the first up
        to 64 of them.
        """
        if candidate.tls != point.tls:
            return False
        if candidate.name in {*PYTHON_CLIENTS, LB_SYMBOL, LB_CPU}:
            aside = (point.layout, point.batch) != (self.centre.layout, self.centre.batch)
            return not aside and (candidate.name not in PYTHON_CLIENTS or point.pipes <= _PYTHON_PIPES_MAX)
        return True


def _point(layout: str, batch: int, pipes: int) -> Point:
    return Point(layout, batch if layout in LAYOUTS else 0, pipes)
