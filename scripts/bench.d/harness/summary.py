"""The medians that the pictures show, as data: a picture can be drawn again without measuring again.

The form, as JSON: {"caption": text, "feed": text, "pipes": the centre's,
"throughput": [{"candidate", "pipes", "million_records_per_s": {"median", "low", "high"}}],
"latency": [{"candidate", "records_per_s", "arrival": "steady" or "bursty", "p50_ms", "p99_ms"}]}.
"""

import dataclasses
from collections.abc import Iterator
from statistics import median
from typing import Any

from harness.plan import Plan, Point
from harness.results import Results, spread

Summary = dict[str, Any]


def summarize(plan: Plan, results: Results, caption: str) -> Summary:
    """Throughput along the pipes, at the centre's layout and batch over ws; and all of the latency."""
    centre = plan.centre
    return {
        "caption": caption,
        "feed": f"{centre.layout}-byte records, {centre.batch} per frame, ws",
        "pipes": centre.pipes,
        "throughput": list(_throughput(centre, results)),
        "latency": list(_latency(results)),
    }


def _throughput(centre: Point, results: Results) -> Iterator[dict[str, Any]]:
    for point, candidates in results.throughput.items():
        if dataclasses.replace(point, pipes=centre.pipes) != centre:
            continue
        for name, trials in candidates.items():
            rate = spread([trial.records_per_second / 1e6 for trial in trials])
            yield {"candidate": name, "pipes": point.pipes, "million_records_per_s": dataclasses.asdict(rate)}


def _latency(results: Results) -> Iterator[dict[str, Any]]:
    for pace, candidates in results.latency.items():
        for name, trials in candidates.items():
            yield {
                "candidate": name,
                "records_per_s": pace.rate,
                "arrival": "bursty" if pace.bursty else "steady",
                "p50_ms": median(trial.latency_ms["p50"] for trial in trials),
                "p99_ms": median(trial.latency_ms["p99"] for trial in trials),
            }
