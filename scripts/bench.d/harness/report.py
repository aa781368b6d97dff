"""The results as text tables and as JSON."""

import dataclasses
import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from harness import processes
from harness.candidates import LIMIT, ONE_WRITE, TLS_LIMIT
from harness.goals import Figure
from harness.plan import Point
from harness.results import Results, spread
from harness.rows import RowResults
from harness.summary import Summary
from harness.trial import Trial
from harness.workers import WorkerResults

_BUSY_HEADS = ("feeder", "balancer", "worker", "others")
_NEIGHBOURS_CORES = 0.5
"""Less than that shows up beside the fast candidates anyhow: ksoftirqd's network work is charged to no process."""


@dataclasses.dataclass(frozen=True)
class Everything:
    """What all parts have found; of a part that was not asked for, nothing."""

    results: Results
    workers: WorkerResults
    rows: Mapping[str, RowResults]
    """Of each of ROW_PARTS."""

    @property
    def absent(self) -> dict[str, str]:
        return {name: reason for part in self._parts for name, reason in part.absent.items()}

    @property
    def failures(self) -> list[str]:
        return [failure for part in self._parts for failure in part.failures]

    @property
    def _parts(self) -> list[Results | WorkerResults | RowResults]:
        return [self.results, self.workers, *self.rows.values()]


def machine() -> dict[str, str]:
    """What the figures depend on."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M %z"),
        "kernel": f"{platform.system()} {platform.release()}",
        "cpu": processes.cpu_model(),
        "python": platform.python_version(),
    }


def throughput(results: Results) -> str:
    """Per place: rate, its ratio to the limit, CPU of the candidate, and how busy each of the three processes was."""
    rows = [["", "M records/s", "to limit", "CPU ms/M", "to limit", *_BUSY_HEADS]]
    for point, candidates in results.throughput.items():
        rows.append([f"{point}"])
        rows += [_throughput_row(results, point, name, trials) for name, trials in candidates.items()]
    return _table(rows)


def _throughput_row(results: Results, point: Point, name: str, trials: Sequence[Trial]) -> list[str]:
    limit = TLS_LIMIT if point.tls else LIMIT
    rate = spread([trial.records_per_second / 1e6 for trial in trials])
    cpu = spread([trial.cpu_ms_per_million for trial in trials])
    rate_ratio = results.ratio(point, name, limit, lambda trial: trial.records_per_second)
    cpu_ratio = results.ratio(point, name, limit, lambda trial: trial.cpu_ms_per_million)
    return [
        f"  {name}",
        rate.text(2),
        f"{rate_ratio.median:.2f}" if rate_ratio else "",
        cpu.text(0),
        f"{cpu_ratio.median:.2f}" if cpu_ratio else "",
        *_busy(trials),
    ]


def _busy(trials: Sequence[Trial]) -> list[str]:
    """Of feeder, balancer, worker and everybody else: the share of a core, medians over the rounds."""
    shares = zip(*((*trial.busy, trial.foreign_cores) for trial in trials), strict=True)
    return [f"{median(column):.0%}" for column in shares]


def latency(results: Results) -> str:
    """Per pace: receive-to-worker time in ms, medians over the rounds, and p99 against one write per record."""
    rows = [["", "p50 ms", "p99 ms", "p99.9 ms", "max ms", "p99 to 1 write", *_BUSY_HEADS]]
    for pace, candidates in results.latency.items():
        rows.append([f"{pace}"])
        for name, trials in candidates.items():
            figures = [spread([trial.latency_ms[key] for trial in trials]) for key in ("p50", "p99", "p99.9", "max")]
            ratio = results.ratio(pace, name, ONE_WRITE, lambda trial: trial.latency_ms["p99"])
            rows.append(
                [
                    f"  {name}",
                    *(figure.text(3) for figure in figures),
                    f"{ratio.median:.2f}" if ratio else "",
                    *_busy(trials),
                ]
            )
    return _table(rows)


def workers(results: WorkerResults) -> str:
    """Per feed: what each row takes per second of its core's time, and by the clock on the wall."""
    rows = [["", "M records/s and core", "by the clock", "load of its core"]]
    for feed, trials_by_row in results.trials.items():
        rows.append([feed])
        for row, trials in trials_by_row.items():
            per_core = spread([trial.per_core / 1e6 for trial in trials])
            clock = spread([trial.per_second / 1e6 for trial in trials])
            load = median(trial.cpu_s / trial.wall_s for trial in trials)
            rows.append([f"  {row}", per_core.text(2), clock.text(2), f"{load:.0%}"])
    return _table(rows)


def neighbours(results: Results) -> str:
    """A warning where others kept the machine busy while it was measured; empty where they did not."""
    everybody = [trials for candidates in results.throughput.values() for trials in candidates.values()]
    everybody += [trials for candidates in results.latency.values() for trials in candidates.values()]
    busy = sum(median(trial.foreign_cores for trial in trials) > _NEIGHBOURS_CORES for trials in everybody)
    if not busy:
        return ""
    return (
        f"In {busy} of {len(everybody)} rows other processes took more than {_NEIGHBOURS_CORES:.0%} of a core "
        "(column `others`): what is judged by them is worth repeating on a quiet machine."
    )


def goals(figures: Sequence[Figure], judged: bool) -> str:
    """The figures to reach. judged: whether the run was long enough for met or missed to mean anything."""
    rows = [["figures to reach", "goal", "measured", ""]]
    for figure in figures:
        verdict = "-" if figure.met is None else "not judged" if not judged else "met" if figure.met else "MISSED"
        rows.append([figure.what, figure.goal, figure.measured, verdict])
    return _table(rows, str.ljust)


def write_json(
    path: Path,
    machine: dict[str, str],
    terms: dict[str, Any],
    everything: Everything,
    figures: Sequence[Figure],
) -> None:
    """Every trial as it was, beside the figures drawn from them."""
    results = everything.results
    document = {
        "machine": machine,
        "terms": terms,
        "figures": [dataclasses.asdict(figure) for figure in figures],
        "throughput": [
            {"place": dataclasses.asdict(point), "trials": _trials(candidates)}
            for point, candidates in results.throughput.items()
        ],
        "latency": [
            {"place": dataclasses.asdict(pace), "trials": _trials(candidates)}
            for pace, candidates in results.latency.items()
        ],
        "memory": dataclasses.asdict(results.memory) if results.memory else None,
        "starts": [_trial(each) for each in results.starts],
        "pump_instructions": results.pump_instructions,
        "workers": dataclasses.asdict(everything.workers)["trials"],
        **{part: rows.values for part, rows in everything.rows.items()},
        "absent": everything.absent,
        "failures": everything.failures,
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


def write_summary(path: Path, summary: Summary) -> None:
    """A row of its lists on a line."""
    parts = []
    for key, value in summary.items():
        text = json.dumps(value)
        if isinstance(value, list):
            text = "[\n" + ",\n".join(f"  {json.dumps(row)}" for row in value) + "\n ]"
        parts.append(f" {json.dumps(key)}: {text}")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n")


def _trials(candidates: dict[str, list[Trial]]) -> list[dict[str, Any]]:
    return [_trial(trial) for trials in candidates.values() for trial in trials]


def _trial(trial: Trial) -> dict[str, Any]:
    return dataclasses.asdict(trial) | {
        "records_per_second": trial.records_per_second,
        "cpu_ms_per_million": trial.cpu_ms_per_million,
        "resident_bytes": max(trial.resident_bytes, default=0),
    }


def _table(rows: Sequence[Sequence[str]], align: Callable[[str, int], str] = str.rjust) -> str:
    """Columns as wide as their widest cell; a row of one cell is a heading and widens nothing."""
    full = [row for row in rows if len(row) > 1]
    widths = [max(len(row[column]) for row in full) for column in range(len(full[0]))]
    lines = []
    for row in rows:
        first, *others = row
        cells = [first.ljust(widths[0]), *(align(cell, width) for cell, width in zip(others, widths[1:], strict=False))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
