"""The command line: bench [OPTIONS]. Exit status 0 when everything ran and every output was right, 1 otherwise."""

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness import certificate, feed, options, picture, programs, report
from harness.candidates import Candidate, all_candidates
from harness.certificate import Certificate
from harness.comparison import PARTS, Comparison
from harness.errors import SetupError
from harness.feed import REAL_SECOND
from harness.goals import MEMORY_RECORDS, Figure, figures, worker_figures
from harness.options import SCRATCH, WORKERS
from harness.parts import ROW_PARTS
from harness.plan import Plan
from harness.report import Everything
from harness.results import Results
from harness.rows import RowResults, Terms
from harness.summary import Summary, summarize
from harness.workers import WorkerResults, measure

_QUICK_PLAN = Plan(
    layouts=("160", "112", REAL_SECOND), batches=(20, 1), pipes=(4,), rates=(10_000,), arrivals=("bursty",)
)
_QUICK_SECONDS = 0.1
_QUICK_MEMORY_RECORDS = 1_000_000

SUMMARY = "summary.json"


def main(words: list[str] | None = None) -> int:
    asked = options.parse(words)
    try:
        if asked.redraw:
            return _redraw(asked.redraw)
        SCRATCH.mkdir(parents=True, exist_ok=True)
        asked.output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=SCRATCH, prefix="run-") as build:
            return _bench(asked, Path(build))
    except (SetupError, OSError, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1


def _bench(asked: argparse.Namespace, build: Path) -> int:
    started_s = time.monotonic()
    terms = {
        "rounds": asked.rounds or (1 if asked.quick else 5),
        "seconds": asked.seconds or (_QUICK_SECONDS if asked.quick else 1.2),
        "quick": asked.quick,
    }
    of_lb = [part for part in asked.parts if part in PARTS]
    of_rows = {name: part for name, part in ROW_PARTS.items() if name in asked.parts}
    if of_lb or any(part.needs_programs for part in of_rows.values()):
        programs.build(build)
    results = _compare(asked, of_lb, terms, build) if of_lb else Results()
    workers = _measure_workers(asked, terms, build) if WORKERS in asked.parts else WorkerResults()
    rows = {name: RowResults() for name in ROW_PARTS}
    for name, part in of_rows.items():
        rows[name] = part.measure(Terms(**terms, build=build, centrifugo=asked.centrifugo), _say)
    found = [
        *(figures(results) if of_lb else ()),
        *(worker_figures(workers) if WORKERS in asked.parts else ()),
        *(figure for name, part in of_rows.items() for figure in part.figures(rows[name], results)),
    ]
    everything = Everything(results, workers, rows)
    _report(asked, terms, everything, found)
    print(f"{time.monotonic() - started_s:.0f} s in all")
    for failure in everything.failures:
        print(f"FAILED  {failure}", file=sys.stderr)
    return 1 if everything.failures else 0


def _compare(asked: argparse.Namespace, parts: Sequence[str], terms: dict[str, Any], build: Path) -> Results:
    issued = certificate.issue(build)
    comparison = Comparison(
        plan=_plan(asked),
        candidates=_candidates(asked, issued, build),
        parts=parts,
        rounds=terms["rounds"],
        seconds=terms["seconds"],
        build=build,
        certificate=issued.server_pem,
        real=asked.real,
        say=_say,
        memory_records=_QUICK_MEMORY_RECORDS if asked.quick else MEMORY_RECORDS,
    )
    return comparison.run()


def _measure_workers(asked: argparse.Namespace, terms: dict[str, Any], build: Path) -> WorkerResults:
    feeds = {"synthetic market, 160 bytes": feed.synthetic(build, "160", 20)}
    if asked.real:
        feeds["real opening second"] = feed.from_messages(build, asked.real)
    results = measure(feeds, terms["rounds"], terms["seconds"], build, _say)
    if not asked.real:
        results.absent["workers on the real opening second"] = "no file was given with --real"
    return results


def _say(line: str) -> None:
    print(line, flush=True)


def _report(
    asked: argparse.Namespace,
    terms: dict[str, Any],
    everything: Everything,
    found: Sequence[Figure],
) -> None:
    results, workers = everything.results, everything.workers
    machine = report.machine()
    caption = f"{machine['cpu']}, {machine['kernel']}, {machine['date']}; medians of {terms['rounds']} rounds"
    tables = [report.throughput(results)] if results.throughput else []
    tables += [report.latency(results)] if results.latency else []
    tables += [report.workers(workers)] if workers.trials else []
    for text in (*tables, report.goals(found, judged=not asked.quick)):
        print(f"\n{text}")
    print(f"\n{caption}\n{report.neighbours(results)}".rstrip())
    for name, reason in everything.absent.items():
        print(f"not measured: {name}: {reason}")
    report.write_json(asked.output / "bench.json", machine, terms, everything, found)
    print(f"written to {asked.output}: bench.json")
    if results.throughput or results.latency:
        summary = summarize(_plan(asked), results, caption)
        report.write_summary(asked.output / SUMMARY, summary)
        print(f"written to {asked.output}: {SUMMARY}")
        _draw(asked.output, summary)


def _redraw(folder: Path) -> int:
    _draw(folder, json.loads((folder / SUMMARY).read_text()))
    return 0


def _draw(folder: Path, summary: Summary) -> None:
    try:
        print(f"drawn into {folder}: {', '.join(picture.draw(folder, summary))}")
    except ImportError:
        print("no picture: Python package 'matplotlib' is not installed")


def _plan(asked: argparse.Namespace) -> Plan:
    plan = _QUICK_PLAN if asked.quick else Plan()
    axes = {name: getattr(asked, name) for name in ("layouts", "batches", "pipes", "rates", "arrivals")}
    return dataclasses.replace(plan, **{name: values for name, values in axes.items() if values})


def _candidates(asked: argparse.Namespace, issued: Certificate, build: Path) -> list[Candidate]:
    """All of them, or those asked for and the peers."""
    everybody = all_candidates(build, issued, asked.peer)
    names = [each.name for each in everybody]
    if unknown := set(asked.candidates) - set(names):
        raise SetupError(f"no candidate '{min(unknown)}'; there are {', '.join(names)}")
    return [each for each in everybody if not asked.candidates or each.name in asked.candidates or each.is_peer]


if __name__ == "__main__":
    sys.exit(main())
