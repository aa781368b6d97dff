"""A made-up market -> lb -> 4 pipes -> one lb-bars process; the busiest symbols' bars of one second while it runs."""

from __future__ import annotations

import json
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table

from demo.programs import PIPES, Line, Program, balancer, feed

RATE = 300_000
_SHOWN = 10


def show(duration_s: int) -> int:
    console = Console(highlight=False)
    console.print(f"lb deals a made-up market of {RATE:,} trades/s to {PIPES} pipes of lb-bars, for {duration_s} s ...")
    with (
        tempfile.TemporaryDirectory(prefix="lb-demo-") as name,
        feed("--rate", str(RATE), "--stamp") as source,
    ):
        folder = Path(name)
        bars = Bars(folder / "bars.jsonl")
        worker = ("lb-bars", "--output", "bars.jsonl", "--summary", "summary.json")
        with balancer(source, folder, *worker) as lb:
            watch(lb, bars, console, duration_s)
            lb.end()
        bars.read()
        summary = json.loads((folder / "summary.json").read_text())
    trades = summary["events"].get("T", 0)
    in_bars = bars.trades_total + summary["late"] + summary["unusable"]
    console.print(bars.table())
    console.print(f"{trades:,} trades in {summary['bars']:,} bars, {summary['late']:,} of them late")
    console.print("every trade is in a bar" if trades == in_bars > 0 else "TRADES MISSING")
    return 0 if trades == in_bars > 0 else 1


class Bars:
    """What lb-bars has written so far."""

    def __init__(self, path: Path) -> None:
        self.trades_total = 0
        self._path = path
        self._read_bytes = 0
        self._by_second: dict[int, list[Line]] = {}

    def read(self) -> None:
        """Takes the lines that have come since."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read_bytes)
            text = file.read()
        text = text[: text.rfind(b"\n") + 1]
        self._read_bytes += len(text)
        for bar in map(json.loads, text.splitlines()):
            self.trades_total += bar["n"]
            self._by_second.setdefault(bar["t"], []).append(bar)
        for second in sorted(self._by_second)[:-3]:
            del self._by_second[second]

    def table(self) -> Table:
        """The busiest symbols of the last second that most of them have a bar of."""
        second, bars = max(self._by_second.items(), key=lambda item: (len(item[1]), item[0]), default=(0, []))
        table = Table(box=SIMPLE_HEAD, title=f"{datetime.fromtimestamp(second / 1000, UTC):%H:%M:%S} UTC")
        for heading in ("", "open", "high", "low", "close", "volume", "average", "trades"):
            table.add_column(heading, justify="right" if heading else "left", min_width=6)
        for bar in sorted(bars, key=lambda bar: -bar["n"])[:_SHOWN]:
            prices = [f"{bar[name]:.2f}" for name in "ohlc"]
            table.add_row(bar["sym"], *prices, f"{bar['v']:,.0f}", f"{bar['vw'] or 0:.4f}", f"{bar['n']:,}")
        return table


def watch(lb: Program, bars: Bars, console: Console, duration_s: float) -> None:
    """Show the bars for so long, or until lb ends by itself."""
    until_s = time.monotonic() + duration_s
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        while lb.runs and time.monotonic() < until_s:
            bars.read()
            live.update(bars.table())
            time.sleep(0.25)
