"""A made-up market over wss -> lb -> 4 pipes -> lb-bars, with a live view, and a table at the end."""

from __future__ import annotations

import json
import tempfile
import time
from datetime import datetime
from itertools import islice
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table

from demo.programs import PIPES, Line, Program, balancer, feed

RATE = 100_000


def show(duration_s: int) -> int:
    console = Console(highlight=False)
    console.print(f"lb-replay makes up a market of {RATE:,} trades/s ...")
    with (
        tempfile.TemporaryDirectory(prefix="lb-demo-") as name,
        feed("--rate", str(RATE), "--stamp", "--self-signed") as source,
    ):
        folder = Path(name)
        console.print(f"lb deals {source.url} to {PIPES} pipes of lb-bars, for {duration_s} s")
        worker = ("lb-bars", "--output", "bars.jsonl", "--summary", "summary.json")
        with balancer(source, folder, *worker) as lb:
            watch(lb, console, duration_s)
            lb.end()
        summary = json.loads((folder / "summary.json").read_text())
        with (folder / "bars.jsonl").open() as bars:
            first_bars = list(islice(bars, 2))
    balance, statistics = lb.last("balance"), lb.last("statistics")
    console.print(outcome(statistics, balance, summary, session_s(lb)))
    console.print("two of the bars:", *map(str.rstrip, first_bars), sep="\n", soft_wrap=True)
    is_complete = balance["exact"] and balance["received"] == summary["records"] > 0
    console.print("\nevery record accounted for" if is_complete else "\nRECORDS MISSING")
    console.print("scripts/demo --plain shows lb beside an ordinary client, on a faster feed")
    return 0 if is_complete else 1


def watch(lb: Program, console: Console, duration_s: float) -> None:
    """Show the statistics for so long, or until lb ends by itself."""
    until_s = time.monotonic() + duration_s
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        while lb.runs and time.monotonic() < until_s:
            if lb.has("statistics"):
                live.update(rates(lb.last("statistics")))
            time.sleep(0.1)


def rates(statistics: Line) -> Table:
    table = Table(box=SIMPLE_HEAD)
    values = {name: statistics[name] for name in ("records", "reads", "frames")}
    values |= {"records/s": statistics["records_per_s"], "bytes in the pipes": sum(statistics["backlog_bytes"])}
    for heading in values:
        table.add_column(heading, justify="right", min_width=11)
    table.add_row(*(f"{value:,}" for value in values.values()))
    return table


def session_s(lb: Program) -> float:
    """How long it had a session, by the times of its own lines."""
    began, ended = (datetime.fromisoformat(lb.last(message)["time"]) for message in ("session open", "stopping"))
    return (ended - began).total_seconds()


def outcome(statistics: Line, balance: Line, summary: Line, elapsed_s: float) -> Table:
    lag_ms = summary["lag_ms"]
    table = Table(title=f"{elapsed_s:.1f} s of a made-up market at {RATE:,} trades/s", show_header=False)
    for name, value in {
        "received by lb": f"{balance['received']:,}",
        "handled by lb-bars": f"{summary['records']:,}",
        "per pipe": "  ".join(f"{count:,}" for count in balance["per_pipe"]),
        "rate": f"{balance['received'] / elapsed_s:,.0f} records/s",
        "lag p50 / p99": f"{lag_ms['p50']:.1f} / {lag_ms['p99']:.1f} ms (resolution 1 ms)" if lag_ms else "unknown",
        "TLS session": statistics["tls"],
    }.items():
        table.add_row(name, value)
    return table
