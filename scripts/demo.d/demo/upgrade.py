"""A made-up market -> lb -> 4 pipes -> lb-bars, while lb replaces itself again and again; then the market's table."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

from rich.console import Console

from demo.market import RATE, outcome, session_s
from demo.programs import PIPES, Failed, Program, balancer, beside, feed
from demo.tap import await_session

UPGRADES = 3
_LONGEST_WAIT_S = 60


def show(duration_s: int) -> int:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"lb deals a made-up market of {RATE:,} trades/s to {PIPES} pipes of lb-bars, for {duration_s} s,")
    console.print(f"and is replaced by the installed program {UPGRADES} times meanwhile")
    with tempfile.TemporaryDirectory(prefix="lb-demo-") as name, feed("--rate", str(RATE), "--stamp") as source:
        folder = Path(name)
        worker = ("lb-bars", "--output", "bars.jsonl", "--summary", "summary.json")
        with balancer(source, folder, *worker, options=("--control", str(folder / "lb.sock"))) as lb:
            await_session(lb)
            for number in range(1, UPGRADES + 1):
                time.sleep(duration_s / (UPGRADES + 1))
                upgrade(lb, folder, number, console)
            time.sleep(duration_s / (UPGRADES + 1))
            lb.end()
        summary = json.loads((folder / "summary.json").read_text())
    balance, statistics = lb.last("balance"), lb.last("statistics")
    table = outcome(statistics, balance, summary, session_s(lb))
    table.add_row("upgrades", str(UPGRADES))
    table.add_row("reconnects, restarts", f"{statistics['reconnects']}, {statistics['restarts']}")
    console.print(table)
    is_one = statistics["reconnects"] == statistics["restarts"] == 0
    is_complete = is_one and balance["exact"] and balance["received"] == summary["records"] > 0
    console.print("every record accounted for" if is_complete else "RECORDS MISSING")
    return 0 if is_complete else 1


def upgrade(lb: Program, folder: Path, number: int, console: Console) -> None:
    """And wait until the other program is there."""
    console.print("\n$ lbctl lb.sock upgrade")
    beside(folder, "lbctl", "lb.sock", "upgrade")
    until_s = time.monotonic() + _LONGEST_WAIT_S
    while sum(line.get("message") == "upgraded" for line in lb.lines) < number:
        if not lb.runs or time.monotonic() >= until_s:
            raise Failed("lb has not said that it was upgraded")
        time.sleep(0.01)
    line = lb.last("upgraded")
    console.print(
        f"the same process, session and workers; records stood still for {line['stood_still_s'] * 1000:.0f} ms"
    )
