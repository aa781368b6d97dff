"""`lb-lines`: records as lines on the standard input of any program: awk, jq, grep, a shell's `while read`.

Law: every record is one line, in its pipe's order, byte for byte but for line breaks, which JSON allows between its
tokens alone: they become spaces. The program's speed is that of the worker: nothing is kept, nothing is left out.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence

from trade_balancer.channel import say_ready
from trade_balancer.errors import WorkerError, report
from trade_balancer.pipes import batches
from trade_balancer.runner import fds_of_command_line
from trade_balancer.signals import outlive_stop_signals
from trade_balancer.sources import add_options, source_of_command_line

_DESCRIPTION = """\
Starts PROGRAM and writes each record that comes on the pipes FD... to its standard input, as a line. When all pipes
have ended, PROGRAM sees the end of its input, and its exit code is that of lb-lines. It is what lb's option does:

  lb --frame lines @/etc/lb/key wss://socket.massive.com/stocks 4 . jq -r --unbuffered .sym"""

_EPILOG = """\
A PROGRAM whose own last argument is a number wants -- behind it: lb-lines head -n 5 --

exit codes: PROGRAM's, 128 + N after signal N; 0 too where it reads no further; 64 usage; 65 a pipe ended inside a
frame; 69 PROGRAM can't be started, or no lb is there; 74 input failed."""

_SOURCES = ("--attach", "--topics", "--kafka", "--topic", "--group", "--member", "-X")
_SPACES = bytes.maketrans(b"\r\n", b"  ")


def as_lines(records: Sequence[bytes]) -> bytes:
    """The records, one a line."""
    lines = b"\n".join(records) + b"\n"
    if lines.count(b"\n") != len(records) or b"\r" in lines:
        lines = b"\n".join(record.translate(_SPACES) for record in records) + b"\n"
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """`lb-lines [--attach PATH [--topics TOPICS]] PROGRAM [ARGS...] [FD...]`; returns the exit code."""
    words = list(sys.argv if argv is None else argv)
    if words[1:] in (["--help"], ["-h"]):
        _parser().print_help()
        return 0
    options = _leading_options(words)
    command, fds = (words[1 + len(options) :], []) if options else _parted(words)
    if not command or not (options or fds):
        _parser().print_help(sys.stderr)
        return os.EX_USAGE
    outlive_stop_signals()
    try:
        with source_of_command_line([words[0], *options]) as source:
            return _feed(command, source or fds)
    except WorkerError as fault:
        return report(fault)


def _leading_options(argv: Sequence[str]) -> list[str]:
    """Those that say where records come from, with their values, in front of PROGRAM."""
    end = 1
    while end < len(argv) and argv[end].partition("=")[0] in _SOURCES:
        end += 1 if "=" in argv[end] else 2
    return list(argv[1:end])


def _feed(command: Sequence[str], fds: Sequence[int]) -> int:
    say_ready()
    try:
        program = subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0)
    except OSError as error:
        print(f"lb-lines: {command[0]!r} can't be started: {error.strerror}", file=sys.stderr)
        return os.EX_UNAVAILABLE
    assert program.stdin is not None
    fault_code = 0
    try:
        for _, records in batches(fds):
            _write_all(program.stdin.fileno(), as_lines(records))
    except BrokenPipeError:
        pass  # it reads no further
    except WorkerError as fault:
        fault_code = report(fault)
    with contextlib.suppress(BrokenPipeError):
        program.stdin.close()
    code = program.wait()
    return fault_code or (code if code >= 0 else 128 - code)


def _write_all(fd: int, lines: bytes) -> None:
    left = memoryview(lines)
    while left:
        left = left[os.write(fd, left) :]


def _parser() -> argparse.ArgumentParser:
    """For what --help shows alone: argparse would take the options of PROGRAM for its own."""
    parser = argparse.ArgumentParser(
        prog="lb-lines",
        usage="lb-lines PROGRAM [ARGS...] FD...\n       lb-lines --attach PATH [--topics TOPICS] PROGRAM [ARGS...]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    parser.add_argument("program", metavar="PROGRAM", help="the program to start; ARGS are its arguments")
    parser.add_argument("fds", metavar="FD", nargs="+", help="the number of an open pipe, from which records come")
    return parser


def _parted(argv: Sequence[str]) -> tuple[list[str], list[int]]:
    """PROGRAM with its arguments, and the pipes: what stands behind the last `--`, or else the numbers at the end."""
    words = list(argv[1:])
    if "--" in words:
        last = len(words) - 1 - words[::-1].index("--")
        behind = words[last + 1 :]
        if all(word.isascii() and word.isdigit() for word in behind):
            return words[:last], [int(word) for word in behind]
    fds = fds_of_command_line(argv)
    return words[: len(words) - len(fds)], fds


if __name__ == "__main__":
    sys.exit(main())
