"""`lb-books-client`: merged order books, live in the terminal (extra `books`).

Law: a summary that is shown was the newest when there was time for it; what was left out is counted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from trade_balancer.command import Parser, exit_code_of, natural
from trade_balancer.errors import UsageError, tell

if TYPE_CHECKING:
    from trade_balancer.books.service.following import Target

_ADDRESS = "localhost:50051"
_SHOWN_A_SECOND = 10
"""Of each symbol: no eye reads more."""


def main(argv: Sequence[str] | None = None) -> int:
    """`lb-books-client SYMBOL...`; returns the exit code."""
    options = _parser().parse_args(argv)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what goes wrong is said by us, in a sentence
    return exit_code_of(lambda: _follow(options))


def _follow(options: argparse.Namespace) -> int:
    target = _target(options)
    symbols = list(dict.fromkeys(options.symbols))
    asyncio.run(_print(target, symbols, options) if options.json else _show(target, symbols, options))
    return 0


async def _print(target: Target, symbols: list[str], options: argparse.Namespace) -> None:
    from trade_balancer.books.service.following import Lost, follow  # only here: an extra
    from trade_balancer.books.service.told import told

    missing = set(symbols)
    async for event in follow(target, symbols, depth=options.depth, max_rate_hz=options.rate or 0.0):
        if isinstance(event, Lost):
            tell(f"lb-books at {target.address} is lost, and tried again: {event.why}")
            continue
        book = told(event)
        if options.once and (event.symbol not in missing or _is_on_its_way(book)):
            continue
        print(orjson.dumps(book).decode(), flush=True)
        missing.discard(event.symbol)
        if options.once and not missing:
            return


async def _show(target: Target, symbols: list[str], options: argparse.Namespace) -> None:
    from trade_balancer.books.service.following import Lost, follow  # only here: extras
    from trade_balancer.books.service.screen import Screen
    from trade_balancer.books.service.told import told

    screen = Screen(symbols, target.address)
    rate_hz = _SHOWN_A_SECOND * len(symbols) if options.rate is None else options.rate
    events = follow(target, symbols, depth=options.depth, max_rate_hz=0.0 if options.once else rate_hz)
    missing = set(symbols)

    async def take_all() -> None:
        async for event in events:
            if isinstance(event, Lost):
                screen.lose(event.why)
                continue
            book = told(event)
            screen.take(book)
            if not _is_on_its_way(book):
                missing.discard(event.symbol)
            if options.once and not missing:
                return

    if options.once:
        await take_all()
        screen.print()
        return
    with screen.live():
        await take_all()


def _is_on_its_way(book: dict[str, Any]) -> bool:
    """No venue's book is whole yet: the symbol was subscribed a moment ago."""
    states = [venue["state"] for venue in book["venues"]]
    return "syncing" in states and "live" not in states


def _target(options: argparse.Namespace) -> Target:
    from trade_balancer.books.service.following import Target  # only here: an extra

    if (options.cert is None) != (options.key is None):
        raise UsageError("--cert and --key go together")
    is_tls = options.tls or options.ca is not None or options.cert is not None
    return Target(options.server, is_tls, options.ca, options.cert, options.key, options.token_file)


def _rate(text: str) -> float:
    rate_hz = float(text)
    if rate_hz and not 0.01 <= rate_hz < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is neither 0 nor from 0.01 on")
    return rate_hz


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="lb-books-client",
        description="Shows the merged order books of the SYMBOLs (BTC-USD) that a running lb-books serves by gRPC, "
        "until ^C: both sides, each level with its venue, the spread and whether it is crossed or locked, the venues "
        "with the age of what they said last, and how many summaries were skipped to show the newest.",
        epilog="exit codes: 0 done; 64 usage, or no venue has a symbol; 66 a file cannot be read; 69 no lb-books "
        "there, or the extra `books` is missing; 74 output failed; 77 not the right token",
    )
    parser.add_argument(
        "--server", default=_ADDRESS, metavar="HOST:PORT", help="where lb-books is (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print each summary as a line of JSON")
    parser.add_argument(
        "--once", action="store_true", help="show the first book of each symbol that a venue has whole, and end"
    )
    parser.add_argument("--depth", type=natural, default=10, metavar="N", help="levels a side (default: %(default)s)")
    parser.add_argument(
        "--rate", type=_rate, metavar="HZ",
        help="at most so many summaries a second; 0: all (default: with --json all, else 10 for each symbol)",
    )  # fmt: skip
    parser.add_argument("--tls", action="store_true", help="over TLS; --ca and --cert mean that, too")
    parser.add_argument(
        "--ca", type=Path, metavar="FILE", help="who signs the server's certificate (default: the system's)"
    )
    parser.add_argument("--cert", type=Path, metavar="FILE", help="our own certificate, where the server asks for one")
    parser.add_argument("--key", type=Path, metavar="FILE", help="its key")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="with the server's token; of mode 0600")
    parser.add_argument("symbols", nargs="+", metavar="SYMBOL")
    return parser


if __name__ == "__main__":
    sys.exit(main())
