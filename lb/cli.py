"""The command `lb`. Law: turns words into a Config, and errors into one line and an exit code; decides nothing else."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from enum import Enum
from typing import NoReturn, TypeVar

from lb import logs
from lb.balancer import Balancer
from lb.config import MAX_PIPES, Config, Endpoint, LogFormat, LogLevel, Route, Spawn, Tls
from lb.errors import EX_SOFTWARE, LbError, UsageError
from lb.key import read_key
from lb.pump import MAX_FRAME_BYTES_LIMIT
from lb.version import VERSION

_USAGE = "lb: usage: lb [OPTIONS] KEY URL NPIPES DIR WORKER [ARGS...]"

_Words = TypeVar("_Words", bound=Enum)

_EPILOG = """\
KEY is the API key in one of four forms:
  @FILE      the only line of FILE
  env:NAME   the environment variable NAME, which workers do not inherit
  -          a line of standard input
  KEY        the key itself; it is wiped from the process's command line at once

WORKER runs in DIR as: WORKER [ARGS...] FD [FD...], the read ends of its pipes. A WORKER without a slash is looked for
in DIR, then in PATH. On each pipe stand, one behind the other, a 4-byte little-endian length and a JSON object of that
many bytes.

signals:  SIGTERM, SIGINT  stop reading, deliver what was received, exit 0;  again: exit at once with 1
          SIGUSR1          one line of totals: received = delivered + waiting
exit:     0 stopped on request   64 usage   66 key unreadable   69 unavailable (worker, directory, kernel)   70 internal
          77 the feed refuses the key or the plan

example:  lb @/etc/lb/key wss://socket.massive.com/stocks 4 /srv/bars lb-bars --output bars.jsonl
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _whole(name: str, least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{number} {name} is outside of {least} to {most}")
        return number

    return parse


def _seconds(least_s: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            number_s = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds") from None
        if not least_s <= number_s <= 1e9:
            raise argparse.ArgumentTypeError(f"{text} s is outside of {least_s:g} to 1e9 s")
        return number_s

    return parse


def _cpu(text: str) -> int:
    allowed = os.sched_getaffinity(0)
    if not text.isdecimal() or int(text) not in allowed:
        raise argparse.ArgumentTypeError(
            f"{text!r} is none of the CPUs allowed here: {', '.join(map(str, sorted(allowed)))}"
        )
    return int(text)


def _one_of(values: type[_Words]) -> Callable[[str], _Words]:
    def parse(text: str) -> _Words:
        try:
            return values(text)
        except ValueError:
            words = ", ".join(value.value for value in values)
            raise argparse.ArgumentTypeError(f"{text!r} is none of {words}") from None

    return parse


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="lb",
        usage="lb [OPTIONS] KEY URL NPIPES DIR WORKER [ARGS...]",
        description="Holds one market-data websocket and deals its records to the pipes of worker processes.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_options(parser)
    parser.add_argument("key", metavar="KEY", help="the API key, see below")
    parser.add_argument("url", metavar="URL", help="ws://HOST[:PORT]/PATH or wss://HOST[:PORT]/PATH")
    parser.add_argument(
        "pipes", metavar="NPIPES", type=_whole("pipes", 1, MAX_PIPES), help="how many pipes to deal records to"
    )
    parser.add_argument("directory", metavar="DIR", help="the worker's working directory")
    parser.add_argument("worker", metavar="WORKER", help="the program to run")
    parser.add_argument(
        "worker_args",
        metavar="ARGS",
        nargs=argparse.REMAINDER,
        help="its arguments; the pipes' fd numbers follow them",
    )
    return parser


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--version", action="version", version=f"lb {VERSION}")
    add(
        "--subscribe",
        action="append",
        metavar="PARAMS",
        help="topics, comma-separated; may be repeated (default: T.*)",
    )
    add(
        "--route",
        type=_one_of(Route),
        default=Route.ROUND_ROBIN,
        metavar="round-robin|symbol",
        help="which pipe a record goes to: the next in turn, or the one of its symbol (default: round-robin)",
    )
    add(
        "--spawn",
        type=_one_of(Spawn),
        default=Spawn.SHARED,
        metavar="shared|per-pipe",
        help="one worker for all pipes, or one for each (default: shared)",
    )
    add(
        "--pipe-size",
        type=_whole("bytes", 4096, 1 << 31),
        metavar="BYTES",
        help="size of each pipe (default: as much as the system grants, at most 268435456, and all together a quarter "
        "of the memory)",
    )
    add(
        "--tls",
        type=_one_of(Tls),
        default=Tls.AUTO,
        metavar="auto|kernel|user",
        help="where the TLS session lives: in the kernel where it can, always there, never there (default: auto)",
    )
    add("--ca-file", metavar="FILE", help="PEM certificates to trust instead of the system's")
    add(
        "--max-frame-bytes",
        type=_whole("bytes", 1024, MAX_FRAME_BYTES_LIMIT),
        default=16 << 20,
        metavar="BYTES",
        help="longest websocket frame, and longest record, that is taken (default: 16777216)",
    )
    add(
        "--cpu",
        type=_cpu,
        metavar="N",
        help="keep lb on this CPU; workers may run on all (default: on any)",
    )
    add(
        "--grace",
        type=_seconds(0),
        default=10.0,
        metavar="S",
        help="seconds that delivery and workers have to end at a stop (default: 10)",
    )
    add(
        "--stats-interval",
        type=_seconds(0),
        default=10.0,
        metavar="S",
        help="seconds between two lines of statistics on standard error; 0 is off (default: 10)",
    )
    add(
        "--dumpable",
        action="store_true",
        help="allow core dumps and debuggers, which see the key and TLS secrets (default: not)",
    )
    add(
        "--log-level",
        type=_one_of(LogLevel),
        default=LogLevel.INFO,
        metavar="debug|info|warning|error",
        help="the least severe lines to log (default: info)",
    )
    add(
        "--log-format",
        type=_one_of(LogFormat),
        default=LogFormat.TEXT,
        metavar="text|json",
        help="form of the lines on standard error (default: text)",
    )


def parse(words: Sequence[str]) -> Config:
    """Read the command line. Reads, and wipes, the key. Raises UsageError or KeyUnreadable."""
    args = _parser().parse_args(words)
    topics = tuple(topic for params in args.subscribe or ["T.*"] for topic in params.split(",") if topic)
    if not topics:
        raise UsageError("--subscribe names no topic")
    return Config(
        endpoint=Endpoint.parse(args.url),
        key=read_key(args.key),
        pipes=args.pipes,
        directory=args.directory,
        worker=args.worker,
        worker_args=tuple(args.worker_args),
        subscribe=topics,
        route=args.route,
        spawn=args.spawn,
        pipe_size_bytes=args.pipe_size,
        tls=args.tls,
        ca_file=args.ca_file,
        max_frame_bytes=args.max_frame_bytes,
        cpu=args.cpu,
        grace_s=args.grace,
        stats_interval_s=args.stats_interval,
        dumpable=args.dumpable,
        log_level=args.log_level,
        log_format=args.log_format,
    )


def _open_missing_descriptors() -> None:
    """Where 0, 1 or 2 is closed, put /dev/null there: the first pipe or socket would else be taken for it, by workers,
    too."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def main() -> int:
    """Entry point of the command; returns its exit code."""
    _open_missing_descriptors()
    try:
        config = parse(sys.argv[1:])
        logs.start(config.log_level, config.log_format)
        return Balancer(config).run()
    except UsageError as error:
        logs.write(f"lb: {error}\n{_USAGE}; lb --help tells more")
        return error.exit_code
    except LbError as error:
        logs.write(f"lb: {error}")
        return error.exit_code
    except Exception as bug:
        logs.write(f"lb: internal error: {bug!r}\n{traceback.format_exc()}")
        return EX_SOFTWARE
