"""`lb-tap`: prints the records of a running lb as lines, until it is interrupted. Law: what it has not got it tells."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from trade_balancer.command import Parser, forget_output, topics_of
from trade_balancer.control.attach import Attached, attach, until_signals
from trade_balancer.errors import WorkerError, report, tell
from trade_balancer.lines import as_lines
from trade_balancer.pipes import batches

_LENGTH_BYTES = 4


def main(argv: Sequence[str] | None = None) -> int:
    """`lb-tap PATH [TOPIC...]`; returns the exit code."""
    options = _parser().parse_intermixed_args(argv)
    topics = topics_of(options.topics) or ["*"]
    try:
        with (
            _opened(options.output) as output,
            until_signals(
                lambda: attach(options.path, topics, policy=options.policy, markers=options.markers)
            ) as reader,
        ):
            records = _print(reader, output, options.frames, options.count)
            _tell_counts(reader, records)
    except BrokenPipeError:
        forget_output()
    except WorkerError as fault:
        return report(fault)
    except OSError as fault:
        tell(f"{options.output or 'standard output'}: {fault.strerror}")
        return os.EX_IOERR
    return 0


def _opened(path: Path | None) -> BinaryIO:
    return open(1, "wb", buffering=0, closefd=False) if path is None else path.open("ab", buffering=0)


def _print(reader: Attached, output: BinaryIO, as_frames: bool, most: int | None) -> int:
    """Returns how many records it was."""
    printed = 0
    for _, records in batches(reader.fds):
        if most is not None:
            records = records[: most - printed]  # noqa: PLW2901
        _write(output, _framed(records) if as_frames else as_lines(records))
        printed += len(records)
        if printed == most:
            break
    return printed


def _framed(records: Iterable[bytes]) -> bytes:
    return b"".join(len(record).to_bytes(_LENGTH_BYTES, "little") + record for record in records)


def _write(output: BinaryIO, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[output.write(left) or 0 :]


def _tell_counts(reader: Attached, records: int) -> None:
    dropped = reader.leave().get("dropped_total", 0)
    tell(f"{records} records" + (f", {dropped} dropped: too slow" if dropped else ""))


def _above_zero(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is not above 0")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="lb-tap",
        description="Prints the records of a running lb as lines of JSON, until it is interrupted or lb ends.",
        epilog="exit codes: 0 done; 64 usage; 69 no lb there; 74 output failed; 77 lb is another user's",
    )
    add = parser.add_argument
    add("--count", type=_above_zero, metavar="N", help="end after N records (default: never)")
    add(
        "--frames", action="store_true", help="a 4-byte little-endian length before each record, no line feed behind it"
    )
    add("-o", "--output", type=Path, metavar="FILE", help="append to FILE (default: standard output)")
    add(
        "--policy",
        choices=("drop-oldest", "drop-newest"),
        default="drop-oldest",
        help="when too slow (default: %(default)s)",
    )
    add("--markers", action="store_true", help='{"ev":"lb","dropped":N} in the place of what was dropped')
    add("path", metavar="PATH", help="of the socket, as in lb --control PATH")
    add("topics", metavar="TOPIC", nargs="*", help="such as T.AAPL or Q.* (default: all that lb gets)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
