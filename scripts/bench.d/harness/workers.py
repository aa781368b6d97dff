"""The part `workers`: how many records a second one core takes with the SDK and the ready-made workers (sdk/rows.py).

Law: rows take their turn (A B C A B C), each in a process of its own with one pipe of 1 MiB, which the runner fills
with passes of a feed from memory; for a row that is marked as moving, each pass is later than the one before, as a
market is. A row that took another number of records than were sent has no figure.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any

from harness.errors import TrialError
from harness.feed import Feed
from harness.programs import BENCH, ROOT
from harness.results import Spread, spread
from lb.slots.pipes import enlarge

ROWS = BENCH / "sdk" / "rows.py"
_PIPE_BYTES = 1 << 20
_END_S = 60.0
_STAMP = re.compile(rb'(?<="t":)\d{13}(?=[,}])')  # ms since 1970


@dataclass(frozen=True)
class WorkerTrial:
    """One run of a row. cpu_s is the worker's user and system time, from its first read to its end."""

    records: int
    wall_s: float
    cpu_s: float

    @property
    def per_core(self) -> float:
        """Records per second of a core's time: what the machine's other tenants do not change."""
        return self.records / self.cpu_s

    @property
    def per_second(self) -> float:
        return self.records / self.wall_s


@dataclass
class WorkerResults:
    """Trials by feed and row, round by round; a row that failed on a feed has none there."""

    trials: dict[str, dict[str, list[WorkerTrial]]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def rate(self, feed: str, row: str) -> Spread | None:
        """Million records per second and core."""
        values = [trial.per_core / 1e6 for trial in self.trials[feed].get(row, [])]
        return spread(values) if values else None

    def ratio(self, feed: str, row: str, to: str) -> Spread | None:
        """row / to, round by round."""
        pairs = zip(self.trials[feed].get(row, []), self.trials[feed].get(to, []), strict=False)
        values = [one.per_core / other.per_core for one, other in pairs]
        return spread(values) if values else None


def measure(
    feeds: Mapping[str, Feed], rounds: int, seconds: float, build: Path, say: Callable[[str], None]
) -> WorkerResults:
    """Every row on every feed, round by round. seconds: how long the feed of one run lasts."""
    rows = json.loads(subprocess.run(_command(), env=_environment(), check=True, capture_output=True).stdout)
    results = WorkerResults(
        absent={name: f"{row['lacks']} is not installed" for name, row in rows.items() if row["lacks"]}
    )
    for feed_name, feed in feeds.items():
        path = build / f"{feed.name}.frames"
        path.write_bytes(b"".join(len(record).to_bytes(4, "little") + record for record in feed.records))
        trials = results.trials[feed_name] = {name: [] for name in rows if name not in results.absent}
        say(f"measuring workers, {len(trials)} rows, {feed_name}")
        for name in list(trials) * rounds:
            if name not in trials:
                continue
            try:
                trials[name].append(_trial(name, rows[name], feed, path, seconds))
            except TrialError as error:
                del trials[name]
                results.failures.append(f"{feed_name}, {name}: {error}")
                say(f"FAILED  {results.failures[-1]}")
    return results


def _trial(name: str, row: Mapping[str, Any], feed: Feed, path: Path, seconds: float) -> WorkerTrial:
    read_end, write_end = os.pipe()
    enlarge(write_end, _PIPE_BYTES)
    worker = subprocess.Popen(
        _command(name, str(path), str(seconds), str(read_end)),
        env=_environment(), pass_fds=[read_end], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(read_end)
    passes = 0
    one_pass = path.read_bytes()
    try:
        if not row["in_memory"]:
            passes = _send(_later_and_later(one_pass) if row["moving"] else repeat(one_pass), write_end, seconds)
    except BrokenPipeError:
        pass  # its end says why
    finally:
        os.close(write_end)
    try:
        out, words = worker.communicate(timeout=_END_S)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.communicate()
        raise TrialError(f"has not ended {_END_S:.0f} s after its pipe") from None
    if worker.returncode:
        raise TrialError(f"ended with status {worker.returncode}\n{words[-2000:]}".rstrip())
    trial = WorkerTrial(**json.loads(out))
    expected = trial.records // len(feed.records) if row["in_memory"] else passes
    if not trial.records or trial.records != expected * len(feed.records):
        raise TrialError(f"took {trial.records} records, expected {expected * len(feed.records)}")
    return trial


def _send(feed: Iterator[bytes], fd: int, seconds: float) -> int:
    """Writes whole passes until `seconds` after the end of the first; returns how many."""
    passes = 0
    end_s = float("inf")
    while time.monotonic() < end_s:
        left = memoryview(next(feed))
        while left:
            left = left[os.write(fd, left) :]
        passes += 1
        if passes == 1:
            end_s = time.monotonic() + seconds
    return passes


def _later_and_later(one_pass: bytes) -> Iterator[bytes]:
    """Passes in which every t is later than in the one before, by the length of a pass in full seconds."""
    import numpy  # only here: an extra

    starts = numpy.array([stamp.start() for stamp in _STAMP.finditer(one_pass)])
    stamps_ms = numpy.array([int(stamp) for stamp in _STAMP.findall(one_pass)])
    length_ms = ((stamps_ms.max() - stamps_ms.min()) // 1000 + 1) * 1000
    text = numpy.frombuffer(one_pass, numpy.uint8).copy()
    while True:
        yield text.tobytes()
        stamps_ms += length_ms
        rest = stamps_ms.copy()
        for digit in reversed(range(13)):
            text[starts + digit] = rest % 10 + ord("0")
            rest //= 10


def _command(*words: str) -> list[str]:
    return [sys.executable, str(ROWS), *words]


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}
