"""One feed, two clients: an ordinary Python client beside lb. The feed cuts off who reads too slowly.

How fast the feed is depends on the machine: twice as fast as the ordinary client can read here.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table

from demo.programs import PIPES, Program, balancer, feed, ordinary_client

MEASURED_S = 2
FASTER = 2
PATIENCE_S = 1
"""Of the feed, with who is behind."""


@dataclass(frozen=True)
class View:
    """How far one of the two is."""

    records: int
    per_s: float
    state: str


def show(duration_s: int) -> int:
    console = Console(highlight=False)
    console.print("an ordinary client (websockets, json) counts trades, as fast as it can ...")
    able_per_s = measured_per_s()
    rate = round(able_per_s * FASTER, -4)
    console.print(f"{able_per_s:,.0f} records/s. lb-replay makes up a market of {rate:,.0f} trades/s ...")
    options = ("--rate", f"{rate:.0f}", "--connections", "2", "--slow-consumer-after", f"{PATIENCE_S}s")
    worker = ("lb-count", "--output", "counts.jsonl", "--summary", "summary.json")
    with tempfile.TemporaryDirectory(prefix="lb-demo-") as name, feed(*options) as source:
        console.print(f"for {duration_s} s it is read by that client, and by lb, whose {PIPES} pipes a worker counts")
        with ordinary_client(source) as client, balancer(source, Path(name), *worker) as lb:
            watch(client, lb, console, duration_s)
            at_the_end = view_of_client(client)
            lb.end()
        summary = json.loads((Path(name) / "summary.json").read_text())
    balance = lb.last("balance")
    console.print(outcome(rate, at_the_end, view_of_lb(lb), summary["records"]))
    is_complete = balance["exact"] and balance["received"] == summary["records"] > 0
    console.print("lb: every record accounted for" if is_complete else "lb: RECORDS MISSING")
    return 0 if is_complete else 1


def measured_per_s() -> float:
    """What the ordinary client takes when the feed waits for it."""
    with feed("--speed", "max", "--duration", str(MEASURED_S)) as source, ordinary_client(source) as client:
        client.wait()
    first, last = client.lines[0], client.lines[-1]
    return float((last["records"] - first["records"]) / (last["time_s"] - first["time_s"]))


def watch(client: Program, lb: Program, console: Console, duration_s: float) -> None:
    """Show how far both are, for so long, or until lb ends by itself."""
    until_s = time.monotonic() + duration_s
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        while lb.runs and time.monotonic() < until_s:
            table = Table(box=SIMPLE_HEAD)
            table.add_column("")
            table.add_column("records", justify="right", min_width=11)
            table.add_column("records/s", justify="right", min_width=9)
            table.add_column("", min_width=36)
            for name, view in ("ordinary client", view_of_client(client)), ("lb", view_of_lb(lb)):
                table.add_row(name, f"{view.records:,}", f"{view.per_s:,.0f}", view.state)
            live.update(table)
            time.sleep(0.1)


def view_of_client(client: Program) -> View:
    if not client.lines:
        return View(0, 0, "connecting")
    first, last = client.lines[0], client.lines[-1]
    elapsed_s = last["time_s"] - first["time_s"]
    if client.runs:
        return View(last["records"], last["records"] / max(elapsed_s, 1), "reading")
    return View(last["records"], 0, f"cut off after {elapsed_s:.1f} s: {last['last_word']}")


def view_of_lb(lb: Program) -> View:
    if not lb.has("statistics"):
        return View(0, 0, "connecting")
    statistics = lb.last("statistics")
    reconnects = statistics["reconnects"]
    state = "reading" if not reconnects else f"cut off {reconnects} times: this machine is too busy"
    return View(statistics["records"], statistics["records_per_s"], state)


def outcome(rate: float, client: View, lb: View, counted: int) -> Table:
    title = f"one feed, {rate:,.0f} trades/s, cuts off who is {PATIENCE_S} s behind"
    table = Table("", "ordinary client", "lb", title=title)
    table.add_row("received", f"{client.records:,}", f"{lb.records:,}")
    table.add_row("counted", f"{client.records:,}", f"{counted:,}")
    table.add_row("at the end", client.state, lb.state)
    return table
