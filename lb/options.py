"""The command line of `lb`: what each word means, its unit and default.

Law: no error repeats a word that may be the key; what stands behind WORKER is the worker's, untouched.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from lb.config import (
    MAX_PIPES,
    Config,
    Frame,
    LogFormat,
    LogLevel,
    OnCrashes,
    OnFull,
    OnQuiet,
    OnStuck,
    Spawn,
    Tls,
    topics_of,
)
from lb.endpoint import Endpoint
from lb.errors import UsageError
from lb.hours import Hours
from lb.key import erase_behind, read_key
from lb.option_values import LEAST_INTERVAL_S, cpu, group, interval, on_full, one_of, seconds, whole
from lb.proxy import Proxy
from lb.pump import MAX_FRAME_BYTES_LIMIT, Route
from lb.slots.crashes import WINDOW_S
from lb.slots.watch import FIRST_READ_S
from lb.version import VERSION

USAGE = "lb [OPTIONS] KEY URL NPIPES DIR WORKER [ARGS...]"

_NO_WORKER = (".", "")
"""DIR and WORKER of NPIPES 0."""
_WORDS_OF_LB = 5
"""KEY to WORKER."""
_OPTION = re.compile(r"-(?!$|\d+$)")
"""A word that begins so is an option; a lone dash and a negative number are none."""


_EPILOG = """\
KEY is the API key in one of four forms:
  @FILE      the only line of FILE; read again before a refused key is given up
  env:NAME   the environment variable NAME, which workers do not inherit
  -          a line of standard input, which workers find empty
  KEY        the key itself; it is wiped from the process's command line at once

WORKER runs in DIR as: WORKER [ARGS...] FD [FD...], the read ends of its pipes. All words behind WORKER are its own,
options and -- too. A WORKER without a slash is looked for in PATH; ./WORKER is the one in DIR. On each pipe stand, one
behind the other, a 4-byte little-endian length and a JSON object of that many bytes.

signals:  SIGTERM, SIGINT, SIGHUP  stop reading, deliver what was received, exit 0
                                   a second one, a second or more after the first: exit at once with 1
          SIGUSR1                  one line of totals: received + recovered = written + waiting + spilled + dropped
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


def parse(words: Sequence[str]) -> Config:
    """Read the command line. Reads the key, and wipes it and other credentials. Raises UsageError or KeyUnreadable."""
    parser = _parser()
    parted = _part(words, _options_of(parser))
    for name in parted.unknown:
        near = difflib.get_close_matches(name, _options_of(parser), 1)
        raise UsageError(f"there is no option {name}" + (f" (there is {near[0]})" if near else ""))
    is_without_workers = parted.positionals[2:] == ["0"]
    args = parser.parse_args([*parted.of_lb, *_NO_WORKER] if is_without_workers else parted.of_lb)
    _check_pipes(args, is_without_workers)
    endpoint = Endpoint.parse(args.url)
    _erase_credentials(args.url, args.proxy)
    _check_redelivery(args)
    return Config(
        endpoint=endpoint,
        key=read_key(args.key),
        pipes=args.pipes,
        directory=args.directory,
        worker=args.worker,
        worker_args=tuple(parted.of_worker),
        subscribe=topics_of(args.subscribe or ["T.*"]) if args.subscribe or args.pipes else (),
        route=args.route,
        spawn=args.spawn,
        frame=args.frame,
        pipe_size_bytes=args.pipe_size,
        on_full=args.on_full[0],
        spill_folder=args.on_full[1],
        spill_max_bytes=args.spill_max,
        backlog_bytes=args.backlog,
        redeliver=args.redeliver,
        retain_bytes=args.retain,
        tls=args.tls,
        ca_file=args.ca_file,
        proxy=_proxy(args.proxy, endpoint),
        max_frame_bytes=args.max_frame_bytes,
        cpu=args.cpu,
        once=args.once,
        quiet_after_s=args.quiet_after,
        hours=None if args.hours is None else Hours.parse(args.hours),
        on_quiet=args.on_quiet,
        stuck_after_s=args.stuck_after,
        on_stuck=args.on_stuck,
        max_crashes=args.max_crashes,
        on_crashes=args.on_crashes,
        grace_s=args.grace,
        stats_interval_s=args.stats_interval,
        dumpable=args.dumpable,
        control=args.control,
        control_group=args.control_group,
        control_clients=args.control_clients,
        linger_s=args.linger,
        log_level=args.log_level,
        log_format=args.log_format,
    )


def _check_pipes(args: argparse.Namespace, is_without_workers: bool) -> None:
    if args.pipes == 0 and not is_without_workers:
        raise UsageError("NPIPES 0 has neither DIR nor WORKER: nothing is dealt")
    if args.pipes == 0 and args.control is None:
        raise UsageError("NPIPES 0 is for --control: a session that only readers use")
    if args.pipes == 0 and (args.redeliver or args.on_full[0] is not OnFull.BLOCK):
        raise UsageError("NPIPES 0 has no pipes for --redeliver or --on-full")


def _check_redelivery(args: argparse.Namespace) -> None:
    if not args.redeliver:
        if args.retain is not None:
            raise UsageError("--retain is for --redeliver")
    elif args.spawn is not Spawn.PER_PIPE:
        raise UsageError("--redeliver needs --spawn per-pipe: what a worker has not finished is one pipe's")
    elif args.on_full[0] is not OnFull.BLOCK:
        raise UsageError(f"--redeliver loses nothing, and so can't be had with --on-full {args.on_full[0].value}")
    elif args.backlog is not None:
        raise UsageError("--redeliver has no --backlog: --retain is the bound of all that lb keeps for a pipe")
    elif args.frame is not Frame.LENGTH:
        raise UsageError(f"--redeliver needs workers that acknowledge, which those of --frame {args.frame.value} can't")


def _proxy(word: str | None, endpoint: Endpoint) -> Proxy | None:
    if word is None:
        return None
    return Proxy.of_environment(endpoint) if word == "env" else Proxy.parse(word)


def _erase_credentials(url: str, proxy: str | None) -> None:
    """Off the process's command line: the URL's query, where some venues want one, and the user of a proxy."""
    erase_behind(url.partition("?")[0] + "?", url)
    if proxy is not None and "@" in proxy:
        for option in ("", "--proxy="):
            erase_behind(option + "http://", option + proxy)


def peek(words: Sequence[str]) -> tuple[str, LogFormat]:
    """The word in KEY's place ("" if there is none), and the form of log lines asked for, also where parse() would
    raise."""
    parted = _part(words, _options_of(_parser()))
    parser = _Parser(add_help=False, allow_abbrev=False)
    _add_log_format(parser)
    try:
        log_format = parser.parse_known_args(parted.of_lb)[0].log_format
    except UsageError:
        log_format = LogFormat.TEXT
    return "".join(parted.positionals[:1]), log_format


@dataclass(frozen=True)
class _Parted:
    """A command line, parted behind the word in WORKER's place."""

    of_lb: Sequence[str]
    of_worker: Sequence[str]
    positionals: Sequence[str]
    """Those of lb that are no options and no values of options."""
    unknown: Sequence[str]
    """Names of options that lb does not have."""


def _part(words: Sequence[str], options: Mapping[str, bool]) -> _Parted:
    """`options`: the names, and whether a value follows each. argparse would take a `--` behind WORKER for its own."""
    positionals: list[str] = []
    unknown: list[str] = []
    are_options_over = False
    left = enumerate(words, 1)
    for end, word in left:
        if are_options_over or not _OPTION.match(word):
            positionals.append(word)
            if len(positionals) == _WORDS_OF_LB:
                return _Parted(words[:end], words[end:], positionals, unknown)
        elif word == "--":
            are_options_over = True
        else:
            name, has_value, _ = word.partition("=")
            if name not in options:
                unknown.append(name)
            elif options[name] and not has_value:
                next(left, None)
    return _Parted(words, [], positionals, unknown)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _options_of(parser: argparse.ArgumentParser) -> dict[str, bool]:
    return {name: action.nargs != 0 for action in parser._actions for name in action.option_strings}


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="lb",
        usage=USAGE,
        description="Holds one market-data websocket and deals its records to the pipes of worker processes.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"lb {VERSION}")
    _add_feed(parser)
    _add_workers(parser)
    _add_full_pipes(parser)
    _add_supervision(parser)
    _add_process(parser)
    _add_control(parser)
    _add_logs(parser)
    add = parser.add_argument
    add("key", metavar="KEY", help="the API key, see below")
    add("url", metavar="URL", help="ws://HOST[:PORT]/PATH or wss://HOST[:PORT]/PATH")
    add("pipes", metavar="NPIPES", type=whole("pipes", 0, MAX_PIPES), help="how many pipes to deal records to")
    add("directory", metavar="DIR", help="the worker's working directory")
    add(
        "worker", metavar="WORKER", help="the program to run; ARGS are its arguments, the pipes' fd numbers follow them"
    )
    return parser


def _add_feed(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--subscribe",
        action="append",
        metavar="PARAMS",
        help="topics, comma-separated; may be repeated (default: T.*; with NPIPES 0, what readers want)",
    )
    add(
        "--once",
        action="store_true",
        help="end with the first session: with exit code 0 where the feed closes it normally, with that of its error "
        "otherwise (default: the next session follows)",
    )
    add(
        "--quiet-after",
        type=seconds,
        default=0.0,
        metavar="S",
        help="a session that brings no record for S seconds, though it lives, is an error, and so is a topic that "
        "brings none any more while others do; 0 is off (default: 0)",
    )
    add(
        "--hours",
        metavar="HOURS",
        help='when the market is open, for --quiet-after, such as "Mon-Fri 09:30-16:00 America/New_York" (default: '
        "always)",
    )
    add(
        "--on-quiet",
        type=one_of(OnQuiet),
        default=OnQuiet.TELL,
        metavar="tell|reconnect",
        help="what to do about such a session: a line in the log, or the next session, too (default: tell)",
    )
    add(
        "--tls",
        type=one_of(Tls),
        default=Tls.AUTO,
        metavar="auto|kernel|user",
        help="where the TLS session lives: in the kernel where it can, always there, never there (default: auto)",
    )
    add("--ca-file", metavar="FILE", help="PEM certificates to trust instead of the system's")
    add(
        "--proxy",
        metavar="URL|env",
        help="go through this HTTP proxy, http://[USER:PASSWORD@]HOST[:PORT], or the one that HTTPS_PROXY (wss), "
        "HTTP_PROXY (ws) and NO_PROXY name (default: directly, whatever they name)",
    )
    add(
        "--max-frame-bytes",
        type=whole("bytes", 1024, MAX_FRAME_BYTES_LIMIT),
        default=16 << 20,
        metavar="BYTES",
        help="longest websocket frame, and longest record, that is taken (default: 16777216)",
    )


def _add_workers(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--route",
        type=one_of(Route),
        default=Route.ROUND_ROBIN,
        metavar="round-robin|symbol|least-backlog",
        help="which pipe a record goes to: the next in turn, the one of its symbol, or the one with the least bytes "
        "unread, in the pipe and in lb (default: round-robin)",
    )
    add(
        "--spawn",
        type=one_of(Spawn),
        default=Spawn.SHARED,
        metavar="shared|per-pipe",
        help="one worker for all pipes, or one for each (default: shared)",
    )
    add(
        "--frame",
        type=one_of(Frame),
        default=Frame.LENGTH,
        metavar="length|lines",
        help="what a worker reads: a length and a record, on its pipes, or records as lines on its standard input, for "
        "awk, jq and shells (by lb-lines, which runs WORKER) (default: length)",
    )
    add(
        "--pipe-size",
        type=whole("bytes", 4096, 1 << 31),
        metavar="BYTES",
        help="size of each pipe (default: as much as the system grants, at most 268435456, and all together a quarter "
        "of the memory that the machine, or lb's container, has)",
    )


def _add_full_pipes(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--on-full",
        type=on_full,
        default=(OnFull.BLOCK, ""),
        metavar="block|drop-oldest|drop-newest|spill=DIR",
        help="what happens where a pipe and its backlog are full: the feed is read no further until there is room; the "
        "older half of the backlog is dropped, or the record that comes, both counted and told; the backlog goes to "
        "files in DIR, from where it is delivered as soon as there is room, also by the next lb (default: block)",
    )
    add(
        "--spill-max",
        type=whole("bytes", 1 << 16, 1 << 50),
        default=8 << 30,
        metavar="BYTES",
        help="how much may stand in DIR; beyond, as block (default: 8589934592)",
    )
    add(
        "--backlog",
        type=whole("bytes", 1, 1 << 34),
        metavar="BYTES",
        help="how much may wait in lb for each pipe, besides what is in the pipe (default: 33554432 for all pipes "
        "together, and 65536 at least)",
    )
    add(
        "--redeliver",
        action="store_true",
        help="keep each record until its worker has acknowledged it, as the SDK does by itself, and give what a worker "
        "that died has not to its successor; needs --spawn per-pipe (default: what a dead worker had read is gone)",
    )
    add(
        "--retain",
        type=whole("bytes", 4096, 1 << 34),
        metavar="BYTES",
        help="with --redeliver: how much may be unacknowledged and waiting, of each pipe, before the feed is read no "
        "further (default: 67108864, and all pipes together an eighth of the memory that lb may use)",
    )


def _add_supervision(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--stuck-after",
        type=interval,
        default=10.0,
        metavar="S",
        help=f"a worker that reads nothing of what a pipe holds for S seconds, and for {FIRST_READ_S:g} at least "
        "before its first read, is told; 0 is off (default: 10)",
    )
    add(
        "--on-stuck",
        type=one_of(OnStuck),
        default=OnStuck.TELL,
        metavar="tell|restart",
        help="what to do about such a worker: a line in the log, or kill it and start another, too (default: tell)",
    )
    add(
        "--max-crashes",
        type=whole("ends", 0, 1_000_000),
        default=5,
        metavar="N",
        help=f"N ends of workers in one slot within {WINDOW_S:g} s are an error; 0 is off (default: 5)",
    )
    add(
        "--on-crashes",
        type=one_of(OnCrashes),
        default=OnCrashes.TELL,
        metavar="tell|exit",
        help="what to do about it: a line in the log, or stop, with exit code 69 (default: tell)",
    )


def _add_process(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
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


def _add_control(parser: argparse.ArgumentParser) -> None:
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
        "--linger",
        type=seconds,
        default=5.0,
        metavar="S",
        help="how long a topic stays subscribed that no program there wants any more (default: 5)",
    )


def _add_logs(parser: argparse.ArgumentParser) -> None:
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
    _add_log_format(parser)


def _add_log_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--log-format",
        type=one_of(LogFormat),
        default=LogFormat.TEXT,
        metavar="text|json",
        help="form of the lines on standard error (default: text)",
    )
