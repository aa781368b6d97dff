"""A made-up market is recorded by lb-record, the recording is played and recorded again, and both are compared."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from demo.programs import Failed, Feed, Program, balancer_for_readers, feed, player, recorder, said_by
from trade_balancer.control import Control

RATE = 100_000
FASTER = 4


def show(duration_s: int) -> int:
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="lb-demo-") as name:
        folder = Path(name)
        console.print(f"lb-record records a made-up market of {RATE:,} trades/s, for {duration_s} s ...")
        with feed("--rate", str(RATE), "--stamp") as source:
            first_records = record(source, folder, "first", duration_s, None)
        console.print(f"lb-replay plays the recording, {FASTER} times as fast, and lb-record records it again ...")
        began_s = time.monotonic()
        with player(folder / "first", "--speed", str(FASTER), "--end", "stay") as source:
            second_records = record(source, folder, "second", 20 * duration_s, first_records)
        played_s = time.monotonic() - began_s
        code, verdict = said_by("lb-record", "verify", str(folder / "first"), str(folder / "second"))
        sizes = [size_bytes(folder / part) for part in ("first", "second")]
    table = Table("", "first", "second", title="recorded, played, and recorded again")
    table.add_row("records", f"{first_records:,}", f"{second_records:,}")
    table.add_row("bytes on the disk", *(f"{size:,}" for size in sizes))
    table.add_row("bytes per record", f"{sizes[0] / first_records:.1f}", f"{sizes[1] / second_records:.1f}")
    table.add_row("seconds", f"{duration_s}", f"{played_s:.1f}")
    console.print(table)
    console.print(f"lb-record verify: {verdict}", soft_wrap=True)
    return code


def record(source: Feed, folder: Path, part: str, most_s: float, until_records: int | None) -> int:
    """Records for so long, or until the recorder has been given so many; returns how many it has written."""
    socket = folder / f"{part}.sock"
    (folder / part).mkdir()
    with balancer_for_readers(source, socket) as lb, recorder(socket, folder / part) as program:
        end_s = time.monotonic() + most_s
        with Control(socket) as control:
            while program.runs and time.monotonic() < end_s:
                readers = control.ask("status")["readers"]
                if until_records is not None and readers and passed(readers[0]) >= until_records:
                    break
                time.sleep(0.1)
        program.end()
        lb.end()
    return records_told(program)


def passed(reader: Mapping[str, int]) -> int:
    """Records that it was given, or, where it was too slow, has lost: `verify` tells which."""
    return reader["delivered_total"] + reader["dropped_total"]


def records_told(program: Program) -> int:
    """lb-record's last words: `lb-record: N records in M files of B bytes`."""
    words = str(program.lines[-1]["message"]).split()
    if words[2:3] != ["records"]:
        raise Failed(f"lb-record said {' '.join(words)}")
    return int(words[1])


def size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
