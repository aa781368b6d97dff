"""`lb-kafka setup`: makes topics.

Law: what is there is told, and not changed.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence

from trade_balancer.command import Parser, exit_code_of, natural
from trade_balancer.kafka import rules, settings

_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def _duration_ms(text: str) -> int:
    found = re.fullmatch(r"(\d+)([smhd])", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is none: 90m, 12h, 7d")
    return int(found[1]) * _MS[found[2]]


def _parser() -> Parser:
    parser = Parser(
        prog="lb-kafka setup",
        description="Makes the topics that are missing, and tells what is there. What is there is not changed.",
        epilog="exit codes: 0 all are there, as wanted; 64 usage; 69 no broker answers, or one refuses; 78 a topic is "
        "there, but not as wanted.",
    )
    settings.add_options(parser, "--brokers", "the brokers to begin with (default: localhost:9092)")
    rules.add_option(parser)
    parser.add_argument(
        "--partitions", metavar="N", type=natural, default=12, help="of each topic: records of one symbol are in one "
        "of them; never change their number later, or symbols change places (default: 12)"
    )  # fmt: skip
    parser.add_argument(
        "--replicas", metavar="N", type=natural, default=1, help="on so many brokers each record is (default: 1); of "
        "3, 2 have to have a record before it is acknowledged"
    )  # fmt: skip
    parser.add_argument(
        "--retention", metavar="TIME", type=_duration_ms, default="7d", help="how long records are kept: 90m, 12h, 7d "
        "(default: 7d)"
    )  # fmt: skip
    return parser


def set_up(argv: Sequence[str]) -> int:
    """`lb-kafka setup [--brokers BROKERS] [--topic TOPIC]... [--partitions N] [--replicas N] [--retention TIME]`."""
    options = _parser().parse_args(argv)
    return exit_code_of(lambda: _set_up(options))


def _set_up(options: argparse.Namespace) -> int:
    from trade_balancer.kafka.topics import Topics  # only here: an extra

    topics = Topics(settings.settings_of(options.brokers or "localhost:9092", options.settings))
    wanted = {
        "retention.ms": str(options.retention),
        "min.insync.replicas": str(max(1, options.replicas - 1)),
        "message.timestamp.type": "LogAppendTime",  # when a record was read is in its header
    }
    is_different = False
    for name in rules.rules_of(options.rules).topics:
        if topics.make(name, options.partitions, options.replicas, wanted):
            print(f"{name}: made, {options.partitions} partitions", flush=True)
            continue
        differences = topics.differences(name, options.partitions, wanted)
        is_different = is_different or bool(differences)
        print(f"{name}: is there{', but with ' if differences else ''}{', '.join(differences)}", flush=True)
    return os.EX_CONFIG if is_different else 0
