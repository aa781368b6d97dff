"""`lb-parquet`: stores the records in Parquet files, one folder for each event and day, each file whole or not there.

Law: every record stands in a file when the worker has ended: in a column, or, if it fits none, as it came, as a line.
What could not be written is counted and told.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from trade_balancer.column_worker import ColumnWorker
from trade_balancer.columnar.batch import Batch
from trade_balancer.command import natural
from trade_balancer.errors import OutputError, tell
from trade_balancer.line_files import LineFiles, Rotation
from trade_balancer.part_files import PART, check_folder, remove_left_over
from trade_balancer.ready_made import serve
from trade_balancer.tally import Tally
from trade_balancer.zones import NEW_YORK_IN_WINTER, Zone, add_zone_option

if TYPE_CHECKING:
    from trade_balancer.parquet_files import ParquetFiles

_TICK_S = 1.0


class Settings(NamedTuple):
    """What a process begins with: the columns, and how files are made, of an event and of what is in no table."""

    names: list[str]
    files: Callable[[str], ParquetFiles]
    lines: Callable[[], LineFiles]


def settings(folder: Path, rotation: Rotation, zone: Zone) -> Settings:
    """Raises MissingExtraError."""
    from trade_balancer.parquet_files import ParquetFiles, column_names  # only here: an extra

    return Settings(
        column_names(),
        lambda event: ParquetFiles(folder, event, rotation, zone),
        lambda: LineFiles(folder, "others", ".jsonl", rotation),
    )


class Parquet(ColumnWorker):
    """A series of files for each event that came, and one for all other records."""

    description = """\
Stores the records in files DIR/EVENT/date=YYYY-MM-DD/EVENT-YYYYMMDDTHHMMSSZ-PID-N.parquet: the date is that of the
records, the time (UTC) that of the file's first record by the clock. Records without a table (of other events, with
values that fit no column, or no JSON objects) are stored as they came, one a line, in DIR/others-....jsonl.
A file is called so when it is complete and on the disk, and before that ....part. What a killed worker leaves as
.parquet.part can't be read: the next worker in DIR removes it and says so."""
    summary_help = (
        "; files and file_bytes, of complete Parquet files as they lie on the disk; others, the records stored as "
        "lines; lost, those of files that could not be written"
    )
    idle_s = _TICK_S
    finishes_later = True
    output: Settings

    def __init__(self, output: Settings) -> None:
        super().__init__(output, output.names)
        self._files: dict[str, ParquetFiles] = {}
        self._lines = output.lines()
        self._taken = self.unfinished.mark()

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--directory", metavar="DIR", type=Path, default=Path(), help="where the files are written (default: here)"
        )
        parser.add_argument(
            "--every",
            metavar="S",
            type=natural,
            default=3600,
            help="begin new files at every full S seconds of the clock, UTC; 0 is never. A killed worker loses what "
            "came since (default: 3600)",
        )
        add_zone_option(parser, "a file's date is that of the record's t", NEW_YORK_IN_WINTER)

    @staticmethod
    def open_output(options: argparse.Namespace) -> AbstractContextManager[Settings]:
        folder: Path = options.directory
        check_folder(folder)
        begun = settings(folder, Rotation(0, options.every), options.zone)
        lost = "what it had not acknowledged comes again" if "LB_RUN" in os.environ else "the records in it are lost"
        for path, size_bytes in remove_left_over(folder.glob(f"*/date=*/*.parquet{PART}")):
            tell(f"removed {path}, {size_bytes} bytes: a worker was killed, and {lost}")
        return contextlib.nullcontext(begun)

    def take(self, round_: list[Batch]) -> None:
        if any(every.is_over for every in self._every) or self.unfinished.is_much():
            if fault := self._close_all():
                raise fault
            self.unfinished.finish(self._taken)
        for batch in round_:
            for table in batch:
                if table.event not in self._files:
                    self._files[table.event] = self.output.files(table.event)
                self._files[table.event].write(table)
            if batch.others:
                self._lines.write(batch.others)
                self.tally.results["others"] += len(batch.others)
        self._taken = self.unfinished.mark()

    def _close_all(self) -> OutputError | None:
        """Completes all files that can be, at one time: without a fault, what was taken is in whole files then."""
        first: OutputError | None = None
        for every in self._every:
            try:
                every.close()
            except OutputError as fault:
                first = first or fault
        return first

    def finish(self) -> None:
        """Completes all files that can be, and counts what is in none."""
        fault = self._close_all()
        results = self.tally.results
        for files in self._files.values():
            results.update(files=files.files_total, file_bytes=files.bytes_total, stored=files.rows_total)
        results["lost"] = self.decoder.records_total - results["stored"] - results["others"]
        if results["lost"]:
            tell(f"{results['lost']} records are lost: the files for them could not be written")
        if fault and not self.tally.faults:
            raise fault
        if not (fault or self.has_failed):
            self.unfinished.finish(self._taken)

    @property
    def _every(self) -> Iterator[ParquetFiles | LineFiles]:
        yield from self._files.values()
        yield self._lines

    @staticmethod
    def conclude(total: Tally, output: Any) -> dict[str, Any]:
        return {name: total.results[name] for name in ("files", "file_bytes", "others", "lost")}


def main() -> int:
    """`lb-parquet [--directory DIR] [--every S] [--zone NAME] ... FD...`; returns the exit code."""
    return serve(Parquet)


if __name__ == "__main__":
    sys.exit(main())
