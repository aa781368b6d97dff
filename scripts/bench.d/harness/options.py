"""The command line's options."""

import argparse
from collections.abc import Callable
from pathlib import Path

from harness.comparison import PARTS
from harness.feed import LAYOUTS, REAL_SECOND
from harness.parts import ROW_PARTS
from harness.programs import ROOT

WORKERS = "workers"
"""The part that measures the SDK and the ready-made workers, without lb."""

_ALL_PARTS = (*PARTS, WORKERS, *ROW_PARTS)

SCRATCH = ROOT / "build" / "bench"
"""Outside git: programs and feeds of a run, in a folder of its own that goes with it; and the results, by default."""

DESCRIPTION = f"""\
Measures lb beside the kernel's own limit and other ways of dealing a feed to pipes, on this machine, over loopback.
Every candidate's output is checked byte by byte first. The part `workers` measures the worker SDK without lb, in about
three minutes, {", ".join(f"the part `{name}` {part.text}" for name, part in ROW_PARTS.items())}; all of it takes about
32 minutes. The notes are in README.md beside it."""


def parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=DESCRIPTION)
    parser.add_argument(
        "--quick", action="store_true", help="does everything run, is every output right; no judgement on speed"
    )
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="COMMAND",
        help="another program to measure, called as COMMAND KEY URL NPIPES DIR WORKER [ARGS...]; may be repeated",
    )
    parser.add_argument(
        "--real", type=Path, metavar="FILE", help="messages of a real feed, one JSON array per line (.jsonl, .zst)"
    )
    parser.add_argument(
        "--centrifugo", type=Path, metavar="PROGRAM", help="Centrifugo 6, to be measured beside lb-emit (part emit)"
    )
    parser.add_argument(
        "--rounds", type=_positive_count, metavar="N", help="how often all candidates take their turn (5)"
    )
    parser.add_argument(
        "--seconds", type=_positive_seconds, metavar="S", help="how long the feed of one run lasts (1.2)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=SCRATCH,
        metavar="DIR",
        help="for bench.json, summary.json and the pictures (build/bench)",
    )
    parser.add_argument(
        "--redraw", type=Path, metavar="DIR", help="measure nothing: draw the pictures of DIR/summary.json again"
    )
    lists = parser.add_argument_group("only some of it", "comma-separated lists; one axis is varied at a time")
    lists.add_argument(
        "--parts", type=_words(_ALL_PARTS), default=_ALL_PARTS, metavar="LIST", help=", ".join(_ALL_PARTS)
    )
    lists.add_argument(
        "--candidates", type=_words(None), default=(), metavar="LIST", help="by name, as the tables print them"
    )
    lists.add_argument("--layouts", type=_words((*LAYOUTS, REAL_SECOND)), metavar="LIST", help="160,112,real")
    lists.add_argument("--batches", type=_numbers, metavar="LIST", help="records per frame: 20,1,2,200")
    lists.add_argument("--pipes", type=_numbers, metavar="LIST", help="1,4,16,64,256,1024")
    lists.add_argument(
        "--rates", type=_numbers, metavar="LIST", help="of the latency runs, records/s: 1k,10k,100k,500k"
    )
    lists.add_argument("--arrivals", type=_words(("steady", "bursty")), metavar="LIST", help="steady,bursty")
    return parser.parse_args(words)


def _words(known: tuple[str, ...] | None) -> Callable[[str], tuple[str, ...]]:
    def read(text: str) -> tuple[str, ...]:
        words = tuple(text.split(","))
        if known and (unknown := set(words) - set(known)):
            raise argparse.ArgumentTypeError(f"'{min(unknown)}' is none of {', '.join(known)}")
        return words

    return read


def _numbers(text: str) -> tuple[int, ...]:
    """10k is 10000."""
    try:
        numbers = tuple(int(word.removesuffix("k")) * (1000 if word.endswith("k") else 1) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of whole numbers such as 4,16 or 1k,10k") from None
    if min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' holds a number below 1")
    return numbers


def _positive_seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a time above 0 s")
    return seconds


def _positive_count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return count
