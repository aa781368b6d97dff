"""What is counted, in memory that all processes of an lb-emit share: whichever of them is asked answers for all.

Law: each process writes its own row alone, so that nothing is to be locked; a row outlives its process, so that no
counter falls when one is started again.
"""

from __future__ import annotations

import mmap
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

COUNTERS = (
    *("records", "others", "ticks", "frames", "frame_bytes", "values", "skipped"),
    *("clients_opened", "refused_full", "refused_address", "refused_origin", "refused_token", "refused_words"),
    *("closed_slow", "source_losses"),
)
GAUGES = ("clients", "clients_behind", "topics_groups", "source_here", "draining")
HOPS = ("exchange", "receive", "produce", "consume", "emit", "tick", "screen")
"""From a record's own time to its reading here; what lies between where that is a topic of Kafka's: from its own time
to its reading by lb-kafka, from there to the broker's log, and from there to here. From its reading here to its tick;
from a tick to its last write; from a tick to the screen, as pages tell."""
BOUNDS_MS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
RECENT_S = 10

_CELLS = len(COUNTERS) + len(GAUGES) + len(HOPS) * (len(BOUNDS_MS) + 2)


class Hop:
    """A histogram: `samples` by bounds, the last without one, and `sum_ms`."""

    def __init__(self, cells: NDArray[np.float64]) -> None:
        self.samples = cells[:-1]
        self._sum = cells[-1:]

    @property
    def sum_ms(self) -> float:
        return float(self._sum[0])

    def note(self, ms: NDArray[np.float64]) -> None:
        """Of clocks that disagree, what has come before it went counts as 0."""
        ms = np.maximum(ms, 0.0)
        self.samples += np.bincount(np.searchsorted(BOUNDS_MS, ms), minlength=len(BOUNDS_MS) + 1)
        self._sum += ms.sum()


class Counters:
    """One process's row, as numbers by name."""

    def __init__(self, cells: NDArray[np.float64]) -> None:
        self._cells = cells
        self._place = {name: number for number, name in enumerate((*COUNTERS, *GAUGES))}
        begin, size = len(self._place), len(BOUNDS_MS) + 2
        self.hops = {
            name: Hop(cells[begin + number * size : begin + (number + 1) * size]) for number, name in enumerate(HOPS)
        }

    def add(self, name: str, count: float = 1) -> None:
        self._cells[self._place[name]] += count

    def set(self, name: str, value: float) -> None:
        self._cells[self._place[name]] = value

    def __getitem__(self, name: str) -> float:
        return float(self._cells[self._place[name]])

    @classmethod
    def alone(cls) -> Counters:
        """A row that nobody reads but who has it."""
        return cls(np.zeros(_CELLS))

    def forget(self) -> None:
        """The process has ended: what it was like is over."""
        for name in GAUGES:
            self.set(name, 0)


class Rows:
    """Of all processes. To be made before they are forked."""

    def __init__(self, processes: int) -> None:
        memory = mmap.mmap(-1, processes * _CELLS * 8)
        cells = np.frombuffer(memory, np.float64).reshape(processes, _CELLS)
        self.processes = [Counters(row) for row in cells]


class Recent:
    """The hops' percentiles within the last seconds."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._before: deque[dict[str, NDArray[np.float64]]] = deque([self._now()], maxlen=RECENT_S + 1)

    def turn(self) -> Mapping[str, tuple[float, float] | None]:
        """To be called each second. By hop: p50 and p99 in ms, as the bounds below which they are; None: no samples."""
        now = self._now()
        found = {name: _percentiles(samples - self._before[0][name]) for name, samples in now.items()}
        self._before.append(now)
        return found

    def _now(self) -> dict[str, NDArray[np.float64]]:
        return {name: hop.samples.copy() for name, hop in self._counters.hops.items()}


def _percentiles(samples: NDArray[np.float64]) -> tuple[float, float] | None:
    below = np.cumsum(samples)
    if not below[-1]:
        return None
    bounds = (*BOUNDS_MS, 2 * BOUNDS_MS[-1])
    p50, p99 = (bounds[int(np.searchsorted(below, part * below[-1]))] for part in (0.5, 0.99))
    return p50, p99
