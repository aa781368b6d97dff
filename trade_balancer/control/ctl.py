"""`lbctl`: asks a running lb, and tells it what to do, for people. Law: one request, one picture, one exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from trade_balancer.command import Parser, exit_code_of, topics_of
from trade_balancer.control import Control
from trade_balancer.control.picture import show, show_event
from trade_balancer.control.restart import restart_all, restart_one_by_one

LEVELS = ("debug", "info", "warning", "error")

VERBS: Mapping[str, tuple[str, str]] = {
    "status": ("", "the statistics, per slot and pipe, too"),
    "watch": ("", "the same every second, and every line of its log, until ^C"),
    "subscribe": ("TOPIC...", "more topics for the workers; what the feed says to each"),
    "unsubscribe": ("TOPIC...", "these no more"),
    "restart": ("SLOT|all", "SIGTERM for the slot's worker, a second later SIGKILL, and a new one at once"),
    "pause": ("SLOT", "SIGSTOP for the slot's worker: its pipes fill up, and then their policy counts"),
    "resume": ("SLOT", "SIGCONT for it"),
    "log-level": ("LEVEL", f"write lines that are at least so severe: {', '.join(LEVELS)}"),
    "stop": ("", "end as on SIGTERM"),
    "upgrade": ("", "let the installed program take the process over, with session, pipes and workers"),
}
"""What stands behind each, and what it does."""

_EPILOG = "\n".join(
    [
        "verbs:",
        *(f"  {f'{verb} {words}':<20} {text}" for verb, (words, text) in VERBS.items()),
        "",
        "restart all --rolling goes on to the next slot once the new worker of the one before is there: it has said",
        "READY, as those with the SDK do, or has run for a second. Where that is not so within 30 seconds, or it",
        "ends, the others keep their workers, and the exit code is 69.",
        "",
        "exit codes: 0 done; 64 usage; 69 no lb there, or can't be done; 74 output failed; 76 another version of lb;",
        "            77 lb is another user's",
    ]
)


def main(argv: Sequence[str] | None = None) -> int:
    """`lbctl PATH VERB [WORDS]`; returns the exit code."""
    options = _parser().parse_intermixed_args(argv)
    if options.rolling and (options.verb, options.words) != ("restart", ["all"]):
        _parser().error("--rolling is of: restart all")
    return exit_code_of(lambda: _ask(options))


def _ask(options: argparse.Namespace) -> int:
    with Control(options.path) as control:
        if options.verb == "restart" and options.words == ["all"]:
            (restart_one_by_one if options.rolling else restart_all)(control)
            return 0
        result = control.ask(options.verb, _arguments(options.verb, options.words))
        if options.verb == "watch":
            _watch(control, _print_json if options.json else show_event)
        elif options.json:
            _print_json(result)
        else:
            show(options.verb, result)
        if any(word in ("rejected", "unacknowledged") for word in result.get("topics", {}).values()):
            return os.EX_UNAVAILABLE
    return 0


def _watch(control: Control, show_one: Callable[[Mapping[str, Any]], None]) -> None:
    for event in control.events():
        show_one(event)


def _print_json(result: Mapping[str, Any]) -> None:
    print(orjson.dumps(result).decode(), flush=True)


def _arguments(verb: str, words: Sequence[str]) -> dict[str, object]:
    wanted, _, _ = VERBS[verb][0].partition("|")
    if wanted == "TOPIC..." and words:
        return {"topics": topics_of(words)}
    if len(words) != (1 if wanted else 0):
        _parser().error(f"wanted: lbctl PATH {verb} {wanted}".rstrip())
    match wanted:
        case "SLOT":
            if not words[0].isdecimal():
                _parser().error(f"{words[0]!r} is no slot's number")
            return {"slot": int(words[0])}
        case "LEVEL":
            return {"level": words[0]}
    return {}


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="lbctl",
        description="Asks the lb that serves the control socket PATH, and tells it what to do.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--json", action="store_true", help="print the answer as a line of JSON (default: for people)")
    add("--rolling", action="store_true", help="of restart all: one by one (default: all at once)")
    add("path", metavar="PATH", help="of the socket, as in lb --control PATH")
    add("verb", metavar="VERB", choices=VERBS, help="see below")
    add("words", metavar="WORD", nargs="*", default=[], help="what the verb wants")
    return parser


if __name__ == "__main__":
    sys.exit(main())
