"""The command line of `lb`: what each word means, its unit and default.

Law: no error repeats a word that may be the key; what stands behind WORKER is the worker's, untouched.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence

from lb.config import Config, LogFormat, topics_of
from lb.endpoint import Endpoint
from lb.errors import UsageError
from lb.feed import venues
from lb.feed.venue import Venue
from lb.hours import Hours
from lb.key import Key, erase_behind, read_key
from lb.options.parser import USAGE, Parser, full_parser, options_of
from lb.options.parting import Parted, part
from lb.options.process import add_log_format
from lb.options.workers import check_pipes, check_redelivery
from lb.proxy import Proxy

__all__ = ["USAGE", "parse", "peek"]

_NO_WORKER = (".", "")
"""DIR and WORKER of NPIPES 0."""


def parse(words: Sequence[str], key: Key | None = None) -> Config:
    """Read the command line. Reads the key, unless it is given, and wipes it and other credentials. Raises UsageError
    or KeyUnreadable."""
    parser = full_parser()
    parted = part(words, options_of(parser))
    for name in parted.unknown:
        near = difflib.get_close_matches(name, options_of(parser), 1)
        raise UsageError(f"there is no option {name}" + (f" (there is {near[0]})" if near else ""))
    is_without_workers = parted.positionals[2:] == ["0"]
    args = parser.parse_args([*parted.of_lb, *_NO_WORKER] if is_without_workers else parted.of_lb)
    if args.keeper:
        raise UsageError("--keeper is the first word, or none")
    check_pipes(args, is_without_workers)
    endpoint = Endpoint.parse(args.url)
    _erase_credentials(args.url, args.proxy)
    check_redelivery(args)
    return _config(args, parted, endpoint, key)


def _config(args: argparse.Namespace, parted: Parted, endpoint: Endpoint, key: Key | None) -> Config:
    venue = venues.named(args.feed)
    return Config(
        endpoint=endpoint,
        key=key or (read_key(args.key) if venue.needs_key else _no_key(args.key, venue)),
        pipes=args.pipes,
        directory=args.directory,
        worker=args.worker,
        worker_args=tuple(parted.of_worker),
        feed=args.feed,
        subscribe=_topics(args, venue) if args.subscribe or args.pipes else (),
        route=args.route[0],
        key_member=args.route[1],
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
        max_frame_bytes=args.max_frame_bytes or venue.max_frame_bytes,
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
        metrics=args.metrics,
        linger_s=args.linger,
        log_level=args.log_level,
        log_format=args.log_format,
    )


def _no_key(word: str, venue: Venue) -> Key:
    if word != "none":
        erase_behind("", word)
        raise UsageError(f"--feed {venue.name} wants no key: KEY is the word none")
    return Key("")


def _topics(args: argparse.Namespace, venue: Venue) -> tuple[str, ...]:
    topics = topics_of(args.subscribe or venue.default_topics)
    for number, topic in enumerate(topics, 1):
        if not venue.is_topic(topic):
            raise UsageError(f"--subscribe: topic {number} of {len(topics)} is not of the form that {venue.name} has")
    return topics


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
    parted = part(words, options_of(full_parser()))
    parser = Parser(add_help=False, allow_abbrev=False)
    add_log_format(parser)
    try:
        log_format = parser.parse_known_args(parted.of_lb)[0].log_format
    except UsageError:
        log_format = LogFormat.TEXT
    return "".join(parted.positionals[:1]), log_format
