"""A made-up market -> lb -> 4 pipes -> lb-bars; and beside them programs that join while it runs: lb-tap and lbctl."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from demo.programs import PIPES, Failed, Line, Program, balancer, beside, feed, tap

RATE = 100_000
TOPIC = "T.AAPL"
_SHOWN = 3
_LONGEST_WAIT_S = 30


def show(duration_s: int) -> int:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"lb deals a made-up market of {RATE:,} trades/s to {PIPES} pipes of lb-bars, for {duration_s} s:")
    console.print("$ lb --control lb.sock ...")
    with (
        tempfile.TemporaryDirectory(prefix="lb-demo-") as name,
        feed("--rate", str(RATE), "--stamp") as source,
    ):
        folder = Path(name)
        worker = ("lb-bars", "--output", "bars.jsonl", "--summary", "summary.json")
        with balancer(source, folder, *worker, options=("--control", str(folder / "lb.sock"))) as lb:
            await_session(lb)
            until_s = time.monotonic() + duration_s
            console.print(
                f"\nAnother program wants {TOPIC}, and gets it from the same session:\n$ lb-tap lb.sock {TOPIC}"
            )
            with tap(folder, TOPIC) as tapping:
                show_first(folder / "tapped.jsonl", tapping, console)
                for verb in (["subscribe", "Q.AAPL"], ["status"]):
                    console.print(f"\n$ lbctl lb.sock {' '.join(verb)}")
                    beside(folder, "lbctl", "lb.sock", *verb)
                while lb.runs and time.monotonic() < until_s:
                    time.sleep(0.1)
                tapping.end()
            lb.end()
        summary = json.loads((folder / "summary.json").read_text())
        tapped = (folder / "tapped.jsonl").read_bytes().count(b"\n")
    balance, left = lb.last("balance"), lb.last("reader left")
    console.print(outcome(balance, summary, left, tapped))
    is_exact = balance["exact"] and balance["received"] == summary["records"] > 0
    is_complete = is_exact and 0 < tapped == left["offered"] - left["dropped"]
    console.print("every record accounted for" if is_complete else "RECORDS MISSING")
    return 0 if is_complete else 1


def await_session(lb: Program) -> None:
    until_s = time.monotonic() + _LONGEST_WAIT_S
    while lb.runs and not lb.has("session open") and time.monotonic() < until_s:
        time.sleep(0.01)
    lb.last("session open")


def show_first(tapped: Path, tapping: Program, console: Console) -> None:
    """What the tap has printed at first, as soon as it is there."""
    until_s = time.monotonic() + _LONGEST_WAIT_S
    while tapping.runs and time.monotonic() < until_s:
        lines = tapped.read_text().splitlines()[:-1]
        if len(lines) >= _SHOWN:
            console.print(*lines[:_SHOWN], "...", sep="\n", markup=False)
            return
        time.sleep(0.05)
    raise Failed("lb-tap has printed nothing")


def outcome(balance: Line, summary: Line, left: Line, tapped: int) -> Table:
    table = Table(title="one session, two programs", show_header=False)
    table.add_row("received by lb", f"{balance['received']:,}")
    table.add_row("handled by lb-bars", f"{summary['records']:,}")
    table.add_row(f"{TOPIC} while lb-tap was there", f"{left['offered']:,}")
    table.add_row("printed by lb-tap", f"{tapped:,}")
    table.add_row("dropped, for it was too slow", f"{left['dropped']:,}")
    return table
