"""The command line of `lb-setup`. Law: parses, prints, and turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from lb import logs
from lb.config import LogFormat, LogLevel
from lb.setup.finding import Finding, State
from lb.setup.host import look_at_host
from lb.setup.install import install, instances, remove
from lb.setup.instance import look_at_instance
from lb.setup.machine import Machine, SetupError, require_root
from lb.setup.pieces import NAME, LargePipes
from lb.version import VERSION
from trade_balancer.command import Parser

_EPILOG = """\
NAME is an instance, a feed of its own: its settings are in /etc/lb/NAME.env, its key in /etc/lb/NAME.key, and it runs
as lb@NAME. Without NAME, install and remove concern what all instances share, and check looks at the machine and at
every instance.

exit codes: 0 done, or nothing has failed; 64 usage; 69 something has failed, or can't be done; 77 root is needed

example:  lb-setup install stocks
          lb-setup check stocks
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    args = parser().parse_args(argv)
    logs.start(LogLevel.ERROR, LogFormat.TEXT)
    machine = Machine(Path(args.root).absolute(), print)
    try:
        if args.verb == "check":
            return _check(machine, args.name, as_json=args.json)
        require_root(machine)
        if args.verb == "install":
            install(machine, args.name, LargePipes(args.large_pipes), args.bin)
        else:
            remove(machine, args.name, purge=args.purge)
    except (SetupError, OSError) as error:
        print(f"lb-setup: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, SetupError) else os.EX_UNAVAILABLE
    return 0


def _check(machine: Machine, name: str | None, *, as_json: bool) -> int:
    found = [("", finding) for finding in look_at_host(machine)]
    names = [name] if name else instances(machine)
    found += [(each, finding) for each in names for finding in look_at_instance(machine, each)]
    if as_json:
        lines = [
            {"instance": instance or None, "check": one.name, "state": one.state.value, "text": one.text}
            | ({"remedy": one.remedy} if one.remedy else {})
            for instance, one in found
        ]
        print(json.dumps({"version": VERSION, "checks": lines}))
    else:
        for instance, one in found:
            print(_line(instance, one))
    return os.EX_UNAVAILABLE if any(one.state is State.FAILED for _, one in found) else 0


def _line(instance: str, finding: Finding) -> str:
    subject = f"{instance}: {finding.name}" if instance else finding.name
    line = f"{finding.state.value:8} {subject:22} {finding.text}"
    return f"{line}\n{'':8} {'':22} -> {finding.remedy}" if finding.remedy else line


def parser() -> argparse.ArgumentParser:
    told = Parser(
        prog="lb-setup",
        description="Makes lb a service of systemd, looks whether it can work here, or takes it away again.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    told.add_argument("--version", action="version", version=f"lb-setup {VERSION}")
    verbs = told.add_subparsers(dest="verb", metavar="VERB", required=True)
    putting = verbs.add_parser("install", help="put unit, user and limits in place, and begin the settings of NAME")
    putting.add_argument(
        "--large-pipes",
        choices=[one.value for one in LargePipes],
        default=LargePipes.SYSCTL.value,
        help="what lets pipes be large: limits of the machine, lifted, or a capability of the service, given up once "
        "they are made (default: sysctl)",
    )
    putting.add_argument("--bin", metavar="FOLDER", help="where lb is on the machine (default: beside this program)")
    looking = verbs.add_parser("check", help="look at the machine, and at NAME or every instance: ok, warning, failed")
    looking.add_argument("--json", action="store_true", help="for programs (default: a line each, with its remedy)")
    taking = verbs.add_parser("remove", help="take NAME, or all of it, away again")
    taking.add_argument("--purge", action="store_true", help="also settings that were edited, keys, and /var/lib/lb")
    for verb in (putting, looking, taking):
        verb.add_argument("name", metavar="NAME", nargs="?", type=_name, help="an instance")
        verb.add_argument(
            "--root", metavar="FOLDER", default="/", help="stands for /, and nothing is run or set (default: /)"
        )
    return told


def _name(word: str) -> str:
    if NAME.fullmatch(word) is None:
        raise argparse.ArgumentTypeError(f"{word!r}: letters, digits, and behind the first also _ . -")
    return word
