"""The demo: lb-replay -> wss -> lb -> 4 pipes -> lb-bars, with a live view of the rates and a table at the end.

Law: shows only what the three programs say themselves: lb's lines of statistics (JSON), the worker's summary, the
replay's report.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

DURATION_S = 10
PIPES = 4
RATE = 100_000
COMMANDS = Path(sys.executable).parent
Line = dict[str, Any]


@contextlib.contextmanager
def replay(folder: Path) -> Iterator[tuple[str, str]]:
    """The feed: its URL and the file of its CA."""
    command = [COMMANDS / "lb-replay", "--synthetic", "--stamp", "--rate", str(RATE), "--tls", "--self-signed"]
    with subprocess.Popen(
        [*command, "--report", folder / "replay.json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1], process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def balancer(folder: Path, url: str, ca_file: str) -> subprocess.Popen[str]:
    options = ["--ca-file", ca_file, "--stats-interval", "0.5", "--log-format", "json"]
    worker = [COMMANDS / "lb-bars", "--output", "bars.jsonl", "--summary", "summary.json"]
    command = [COMMANDS / "lb", *options, "env:LB_DEMO_KEY", url, str(PIPES), folder, *worker]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={"LB_DEMO_KEY": "demo"})


def rates(lines: Line) -> Table:
    table = Table(title="lb, live")
    for heading in ("records", "records/s", "reads", "frames", "backlog, bytes per pipe"):
        table.add_column(heading, justify="right")
    table.add_row(
        *(f"{lines[name]:,}" for name in ("records", "records_per_s", "reads", "frames")),
        "  ".join(f"{backlog:,}" for backlog in lines["backlog_bytes"]),
    )
    return table


def watch(process: subprocess.Popen[str], console: Console) -> list[Line]:
    """Show the statistics until the process ends; return all its lines."""
    lines: list[Line] = []
    assert process.stderr is not None
    with Live(console=console, refresh_per_second=4) as live:
        for text in process.stderr:
            if not text.startswith("{"):
                console.print(text.rstrip())
                continue
            lines.append(json.loads(text))
            if lines[-1]["message"] == "statistics":
                live.update(rates(lines[-1]))
            elif lines[-1]["level"] in ("warning", "error"):
                console.print(f"[dim]lb: {lines[-1]['message']}[/]")
    console.print()
    return lines


def outcome(statistics: Line, balance: Line, summary: Line, elapsed_s: float) -> Table:
    table = Table(title=f"{elapsed_s:.1f} s of a made-up market at {RATE:,} trades/s", show_header=False)
    lag = summary["lag_ms"] or {"p50": float("nan"), "p99": float("nan")}
    for name, value in {
        "records in (lb)": f"{balance['received']:,}",
        "records out (lb)": f"{balance['delivered']:,}",
        "records out (worker)": f"{summary['records']:,}",
        "per pipe": "  ".join(f"{count:,}" for count in balance["per_pipe"]),
        "rate": f"{balance['received'] / elapsed_s:,.0f} records/s",
        "lag p50 / p99": f"{lag['p50']:.1f} / {lag['p99']:.1f} ms (resolution 1 ms)",
        "TLS path": statistics["tls"],
    }.items():
        table.add_row(name, value)
    return table


def last(lines: list[Line], message: str) -> Line:
    return next(line for line in reversed(lines) if line["message"] == message)


def main() -> int:
    console = Console()
    with tempfile.TemporaryDirectory(prefix="lb-demo-") as name:
        folder = Path(name)
        with replay(folder) as (url, ca_file):
            console.print(f"feed: lb-replay at {url}; balancer: lb with {PIPES} pipes; worker: lb-bars")
            process = balancer(folder, url, ca_file)
            started = time.monotonic()
            stop = Timer(DURATION_S, process.terminate)
            stop.start()
            lines = watch(process, console)
            elapsed_s = time.monotonic() - started
            stop.cancel()
            if process.wait() != 0:
                console.print(f"lb ended with exit code {process.returncode}")
                return 1
        summary = json.loads((folder / "summary.json").read_text())
        balance = last(lines, "balance")
        console.print(outcome(last(lines, "statistics"), balance, summary, elapsed_s))
        is_complete = balance["exact"] and balance["received"] == summary["records"] > 0
        console.print("every record accounted for" if is_complete else "RECORDS MISSING")
        return 0 if is_complete else 1


if __name__ == "__main__":
    sys.exit(main())
