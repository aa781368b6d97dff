"""`lb-top`: a running lb as a picture in the terminal, drawn anew every second (extra `control`).

Law: shows what the page shows, of the same view.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence

from trade_balancer.command import Parser, exit_code_of
from trade_balancer.control import Control
from trade_balancer.control.view import View


def main(argv: Sequence[str] | None = None) -> int:
    """`lb-top PATH`; returns the exit code."""
    options = _parser().parse_args(argv)
    return exit_code_of(lambda: _show(options))


def _show(options: argparse.Namespace) -> int:
    from trade_balancer.control.screen import Screen  # only here: an extra

    screen = Screen()
    with Control(options.path) as control:
        control.ask("watch")
        if options.once:
            screen.print(next(view for view in _views(control) if len(view.points) > 1))  # then there is a rate
        else:
            screen.show(_views(control))
    return 0


def _views(control: Control) -> Iterator[View]:
    """The same one, each time that there is something new to see."""
    view = View()
    for event in control.events():
        if view.take(event, time.time()):
            yield view


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="lb-top",
        description="Shows the lb that serves the control socket PATH, drawn anew every second, until ^C.",
        epilog="exit codes: 0 done; 64 usage; 69 no lb there, it has ended, or the extra `control` is missing; 74 "
        "output failed; 77 lb is another user's",
    )
    parser.add_argument("--once", action="store_true", help="print one picture, after a second, and end")
    parser.add_argument("path", metavar="PATH", help="of the socket, as in lb --control PATH")
    return parser


if __name__ == "__main__":
    sys.exit(main())
