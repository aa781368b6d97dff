"""The options of `lb` that concern its own process, and what it says of itself."""

from __future__ import annotations

import argparse

from lb.config import LogFormat, LogLevel
from lb.numbers import seconds
from lb.options.values import LEAST_INTERVAL_S, cpu, interval, one_of


def add_process(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--keeper",
        action="store_true",
        help="the first word of all: a second process keeps session and pipes, and starts lb again when it was killed; "
        "for where no service manager does (docs/crash.md)",
    )
    add("--cpu", type=cpu, metavar="N", help="keep lb on this CPU; workers may run on all (default: on any)")
    add(
        "--grace",
        type=seconds,
        default=10.0,
        metavar="S",
        help="seconds that delivery and workers have to end at a stop (default: 10)",
    )
    add(
        "--dumpable",
        action="store_true",
        help="allow core dumps and debuggers, which see the key and TLS secrets (default: not)",
    )


def add_logs(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--stats-interval",
        type=interval,
        default=10.0,
        metavar="S",
        help=f"seconds between two lines of statistics on standard error, at least {LEAST_INTERVAL_S:g}; 0 is off "
        "(default: 10)",
    )
    add(
        "--log-level",
        type=one_of(LogLevel),
        default=LogLevel.INFO,
        metavar="debug|info|warning|error",
        help="the least severe lines to log (default: info)",
    )
    add_log_format(parser)


def add_log_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--log-format",
        type=one_of(LogFormat),
        default=LogFormat.TEXT,
        metavar="text|json",
        help="form of the lines on standard error (default: text)",
    )
