"""The options of `lb` that concern programs which ask it, tell it, and read from it."""

from __future__ import annotations

import argparse

from lb.numbers import seconds, whole
from lb.options.values import address, group


def add_control(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--control",
        metavar="PATH",
        help="a socket on which lbctl and other programs of yours ask and tell lb (docs/control.md) (default: none)",
    )
    add(
        "--control-group",
        type=group,
        metavar="GROUP",
        help="whose members may use it, besides lb's own user and root (default: nobody's)",
    )
    add(
        "--control-clients",
        type=whole("clients", 1, 1024),
        default=64,
        metavar="N",
        help="how many programs may use it at a time (default: 64)",
    )
    add(
        "--metrics",
        type=address,
        metavar="HOST:PORT",
        help="serve metrics for Prometheus and a page to look at there, such as 127.0.0.1:9825; whoever can connect "
        "may see them (docs/metrics.md) (default: nowhere)",
    )
    add(
        "--linger",
        type=seconds,
        default=5.0,
        metavar="S",
        help="how long a topic stays subscribed that no program there wants any more (default: 5)",
    )
