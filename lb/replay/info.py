"""`lb-replay info FILE...`: what is in recordings, and in other files that lb-replay plays, as a page on a terminal.

Law: text of a feed's is in it: none of it reaches a terminal but what can be printed.
"""

import json
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lb.numbers import seconds
from lb.replay.contents import NS_PER_S, TICK_NS, Contents, Rates, contents_of
from lb.replay.options import Parser
from trade_balancer.command import forget_output

_BARS = " ▁▂▃▄▅▆▇█"
_WIDTH = 64
_SHOWN = 8


def main(arguments: list[str]) -> None:
    """Prints it. Raises ReplayError."""
    parser = Parser(
        "lb-replay info",
        description="Tells what is in FILES: from when to when, which events and symbols, peak rates, gaps.",
    )
    add = parser.add_argument
    add("files", nargs="+", type=Path, metavar="FILE", help="as lb-replay plays them")
    add("--by", choices=["received", "t"], help="the times of rates and gaps (default: received, where FILE tells it)")
    add("--gap", type=seconds, default=5.0, metavar="S", help="tell where nothing is for more than S s (default 5)")
    add("--json", action="store_true", help="for programs: a JSON object")
    asked = parser.parse_args(arguments)
    contents = contents_of(asked.files, asked.by)
    try:
        if asked.json:
            print(json.dumps(_as_json(contents, asked.gap)))
        else:
            _show(contents, asked.gap)
        sys.stdout.flush()
    except BrokenPipeError:
        forget_output()


def _as_json(contents: Contents, gap_s: float) -> dict[str, Any]:
    rates = contents.rates
    (per_s, second_ns), (per_tick, tick_ns) = rates.peak_of_second(), rates.peak_of_tick()
    return {
        "by": contents.by,
        "feeds": contents.feeds,
        "first_ns": rates.first_ns,
        "last_ns": rates.last_ns,
        "records": contents.records,
        "record_bytes": contents.record_bytes,
        "dropped": contents.dropped,
        "unusable": contents.unusable,
        "events": dict(sorted(contents.events.items())),
        "symbols": dict(sorted(contents.symbols.items())),
        "peak_per_s": {"records": per_s, "at_ns": second_ns},
        "peak_per_10_ms": {"records": per_tick, "at_ns": tick_ns},
        "gaps": [{"last_s": last, "next_s": following} for last, following in rates.gaps(gap_s)],
        "notes": contents.notes,
    }


def _show(contents: Contents, gap_s: float) -> None:
    console = Console(highlight=False)
    rates = contents.rates
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for name, value in _rows(contents, gap_s).items():
        table.add_row(name, Text(_printable(value)))
    console.print(table)
    if rates.first_ns is not None:
        heights, per_column = _heights(rates)
        console.print(Text(_picture(heights)), soft_wrap=True)
        most = max(heights)
        console.print(
            f"records by time {contents.by}; a column is {per_column:g} s, the highest {most:,.0f}", soft_wrap=True
        )
    for note in contents.notes:
        console.print(Text(_printable(note)), soft_wrap=True)


def _rows(contents: Contents, gap_s: float) -> dict[str, str]:
    rates = contents.rates
    rows = {"records": f"{contents.records:,} of {contents.record_bytes / max(contents.records, 1):.0f} bytes"}
    if contents.feeds:
        rows["feed"] = "  ".join(contents.feeds)
    if rates.first_ns is not None and rates.last_ns is not None:
        rows["from"] = _time(rates.first_ns)
        rows["to"] = f"{_time(rates.last_ns)}, {(rates.last_ns - rates.first_ns) / NS_PER_S:,.3f} s later"
        (per_s, second_ns), (per_tick, tick_ns) = rates.peak_of_second(), rates.peak_of_tick()
        rows["most in 1 s"] = f"{per_s:,} at {_time(second_ns)}"
        rows["most in 10 ms"] = f"{per_tick:,} at {_time(tick_ns)}"
    rows["events"] = _named(contents.events)
    rows["symbols"] = f"{len(contents.symbols):,}: {_named(contents.symbols)}"
    gaps = rates.gaps(gap_s)
    rows[f"gaps over {gap_s:g} s"] = f"{len(gaps)}" + "".join(
        f"\n{_time(last * NS_PER_S)}: {following - last:,} s" for last, following in gaps[:_SHOWN]
    )
    if contents.dropped:
        rows["dropped"] = f"{contents.dropped:,}: the recorder was too slow"
    if contents.unusable:
        rows["unusable"] = f"{contents.unusable:,}: no JSON objects"
    return rows


def _named(counts: Counter[str]) -> str:
    shown = "  ".join(f"{name or '-'} {records:,}" for name, records in counts.most_common(_SHOWN))
    return shown + ("  ..." if len(counts) > _SHOWN else "")


def _heights(rates: Rates) -> tuple[list[float], float]:
    """Records of each column, and how many seconds a column is: of 10 ms each, as long as there are so few."""
    assert rates.first_ns is not None
    assert rates.last_ns is not None
    is_short = rates.has_all_ticks and rates.last_ns - rates.first_ns < _WIDTH * NS_PER_S
    unit_ns, counts = (TICK_NS, rates.ticks) if is_short else (NS_PER_S, rates.seconds)
    first = rates.first_ns // unit_ns
    units = rates.last_ns // unit_ns - first + 1
    width = -(-units // _WIDTH)
    heights = [0.0] * -(-units // width)
    for unit, records in counts.items():
        heights[(unit - first) // width] += records
    return heights, width * unit_ns / NS_PER_S


def _picture(heights: list[float]) -> str:
    """Three lines of bars."""
    most = max(heights)
    eighths = [round(24 * height / most) if not height else max(1, round(24 * height / most)) for height in heights]
    return "\n".join("".join(_BARS[min(8, max(0, each - 8 * line))] for each in eighths) for line in (2, 1, 0))


def _time(time_ns: int) -> str:
    try:
        when = datetime.fromtimestamp(time_ns // NS_PER_S, UTC)
    except (OverflowError, OSError, ValueError):  # no calendar has it
        return f"{time_ns} ns"
    return f"{when:%Y-%m-%d %H:%M:%S}.{time_ns % NS_PER_S // 10**6:03} UTC"


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() or each == "\n" else "?" for each in text)
