"""`lb-jsonl`: stores the records as they came, one a line, in files that are whole or called .part.

Law: nothing is decoded, nothing is left out; what a complete file holds is on the disk.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from trade_balancer.command import natural
from trade_balancer.line_files import LineFiles, Rotation
from trade_balancer.part_files import check_folder, file_name
from trade_balancer.pipes import Batch
from trade_balancer.ready_made import ReadyMade, serve
from trade_balancer.tally import Tally

_TICK_S = 1.0
_ZSTD_LEVELS = 20  # those above 19 want hundreds of MiB of memory


class Jsonl(ReadyMade):
    """The records of all pipes of a process, in one file after the other."""

    description = """\
Stores the records as they came, one a line, undecoded, in files called PREFIX-YYYYMMDDTHHMMSSZ-PID-N.jsonl after the
time (UTC) of their first record. A file is called so when it is complete and on the disk, and before that
...jsonl.part; after a crash the last line of that one may be cut off. Records of a pipe keep their order."""
    summary_help = "; files and file_bytes, of complete files, as they lie on the disk"
    idle_s = _TICK_S
    output: Callable[[], LineFiles]

    def __init__(self, output: Callable[[], LineFiles]) -> None:
        super().__init__(output)
        self._files = output()
        self.finishes_later = self._files.is_compressed  # what the kernel has, no death of a worker takes away
        self._taken = self.unfinished.mark()

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--directory", metavar="DIR", type=Path, default=Path(), help="where the files are written (default: here)"
        )
        parser.add_argument(
            "--prefix", type=file_name, default="records", help="what their names begin with (default: records)"
        )
        parser.add_argument(
            "--max-bytes",
            metavar="BYTES",
            type=natural,
            default=1 << 28,
            help="begin a new file once this one has so many bytes on the disk; 0 is never (default: 268435456)",
        )
        parser.add_argument(
            "--every",
            metavar="S",
            type=natural,
            default=3600,
            help="begin a new file at every full S seconds of the clock, UTC; 0 is never (default: 3600)",
        )
        parser.add_argument(
            "--zstd",
            metavar="LEVEL",
            type=int,
            choices=range(_ZSTD_LEVELS),
            default=0,
            help="compress the files (...jsonl.zst): 1 is fast, 19 small; needs the extra zstd (default: 0, not)",
        )

    @staticmethod
    def open_output(options: argparse.Namespace) -> AbstractContextManager[Callable[[], LineFiles]]:
        folder: Path = options.directory
        check_folder(folder)
        new_compressor = None
        if options.zstd:
            from trade_balancer.zstd import ZstdCompressor  # only here: an extra

            new_compressor = partial(ZstdCompressor, options.zstd)
        suffix = ".jsonl.zst" if options.zstd else ".jsonl"
        rotation = Rotation(options.max_bytes, options.every)
        return contextlib.nullcontext(partial(LineFiles, folder, options.prefix, suffix, rotation, new_compressor))

    def take(self, round_: list[Batch]) -> None:
        self._files.tick()
        if self.unfinished.is_much():
            self._files.flush()
        if self._files.is_flushed:
            self.unfinished.finish(self._taken)
        for _, records in round_:
            self._files.write(records)
        self._taken = self.unfinished.mark()

    def finish(self) -> None:
        self._files.close()
        if not self.has_failed:
            self.unfinished.finish(self._taken)
        self.tally.results.update(files=self._files.files_total, file_bytes=self._files.bytes_total)

    @staticmethod
    def conclude(total: Tally, output: Any) -> dict[str, Any]:
        return {name: total.results[name] for name in ("files", "file_bytes")}


def main() -> int:
    """`lb-jsonl [--directory DIR] [--max-bytes BYTES] [--every S] [--zstd LEVEL] ... FD...`; returns the exit code."""
    return serve(Jsonl)


if __name__ == "__main__":
    sys.exit(main())
