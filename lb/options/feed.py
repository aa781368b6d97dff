"""The options of `lb` that concern the feed and its sessions."""

from __future__ import annotations

import argparse

from lb.config import OnQuiet, Tls
from lb.feed import venues
from lb.numbers import seconds, whole
from lb.options.values import one_of
from lb.pump import MAX_FRAME_BYTES_LIMIT


def add_feed(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--feed",
        choices=sorted(venues.VENUES),
        metavar="|".join(sorted(venues.VENUES)),
        help=f"whose protocol the feed speaks; KEY is the word none where it wants no key (default: "
        f"{venues.DEFAULT.name})",
    )
    add(
        "--subscribe",
        action="append",
        metavar="PARAMS",
        help=f"topics, comma-separated, as the feed names them; may be repeated (default: "
        f"{','.join(venues.DEFAULT.default_topics)} of {venues.DEFAULT.name}; with NPIPES 0, what readers want)",
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
        metavar="BYTES",
        help=f"longest websocket frame, and longest record, that is taken (default: {_frame_bytes()})",
    )


def _frame_bytes() -> str:
    """The defaults, the usual one first."""
    usual = venues.DEFAULT.max_frame_bytes
    others = [venue for venue in venues.VENUES.values() if venue.max_frame_bytes != usual]
    return ", ".join([str(usual), *(f"{venue.max_frame_bytes} of {venue.name}" for venue in others)])
