"""The parser of `lb`'s command line: KEY to WORKER, the groups of options, and what --help says around them."""

from __future__ import annotations

import argparse
from typing import NoReturn

from lb.config import MAX_PIPES
from lb.errors import UsageError
from lb.numbers import whole
from lb.options import control, feed, process, workers
from lb.version import VERSION

USAGE = "lb [OPTIONS] KEY URL NPIPES DIR WORKER [ARGS...]"

_EPILOG = """\
KEY is the API key in one of four forms:
  @FILE      the only line of FILE; read again before a refused key is given up
  env:NAME   the environment variable NAME, which workers do not inherit
  -          a line of standard input, which workers find empty
  KEY        the key itself; it is wiped from the process's command line at once

WORKER runs in DIR as: WORKER [ARGS...] FD [FD...], the read ends of its pipes. All words behind WORKER are its own,
options and -- too. A WORKER without a slash is looked for in PATH; ./WORKER is the one in DIR. On each pipe stand, one
behind the other, a 4-byte little-endian length and a JSON object of that many bytes.

signals:  SIGTERM, SIGINT  stop reading, deliver what was received, exit 0
                           a second one, a second or more after the first: exit at once with 1
          SIGHUP           the installed program takes this process over, with session, pipes and workers
                           (docs/upgrade.md); of a controlling terminal: as SIGTERM
          SIGUSR2          a restart follows that is to keep the session (docs/crash.md); else as SIGTERM
          SIGUSR1          one line of totals: received + recovered = written + waiting + spilled + dropped
exit:     0   stopped on request, and everything was delivered
          1   stopped a second time
          64  usage
          66  the key can't be read
          69  unavailable: worker, directory, kernel feature; workers that end too often (--on-crashes exit)
          70  internal
          74  stopped, but records were not delivered, or a worker failed during the stop
          77  the feed refuses the key or the plan

NPIPES 0 --control PATH, without DIR and WORKER, is a session that only readers use; see docs/control.md.

example:  lb @/etc/lb/key wss://socket.massive.com/stocks 4 /srv/bars lb-bars --output bars.jsonl
"""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def options_of(parser: argparse.ArgumentParser) -> dict[str, bool]:
    return {name: action.nargs != 0 for action in parser._actions for name in action.option_strings}


def full_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="lb",
        usage=USAGE,
        description="Holds one market-data websocket and deals its records to the pipes of worker processes.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"lb {VERSION}")
    feed.add_feed(parser)
    workers.add_workers(parser)
    workers.add_full_pipes(parser)
    workers.add_supervision(parser)
    process.add_process(parser)
    control.add_control(parser)
    process.add_logs(parser)
    add = parser.add_argument
    add("key", metavar="KEY", help="the API key, see below")
    add("url", metavar="URL", help="ws://HOST[:PORT]/PATH or wss://HOST[:PORT]/PATH")
    add("pipes", metavar="NPIPES", type=whole("pipes", 0, MAX_PIPES), help="how many pipes to deal records to")
    add("directory", metavar="DIR", help="the worker's working directory")
    add(
        "worker", metavar="WORKER", help="the program to run; ARGS are its arguments, the pipes' fd numbers follow them"
    )
    return parser
