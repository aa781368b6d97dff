"""The command line of `lb-replay`: what each option means, its unit and default, and what excludes what. No I/O."""

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

from lb.numbers import above_zero, quoted, seconds, whole
from lb.replay.errors import UsageError
from lb.replay.faults import Fault
from lb.replay.selection import Begin
from lb.replay.stage import Patience
from lb.replay.venue_faults import VenueFault
from lb.replay.venues import FAKES, PLAYERS
from lb.version import VERSION

_TAPES = "polygon"
"""The venue whose feed is played from files, or as a market of trades."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_DESCRIPTION = """\
Serves recorded or synthetic market data over a websocket, in the protocol of the
Polygon/Massive feeds. Give FILES: recordings of lb-record, or a message (a JSON array of records,
or one record) per line, as .jsonl, .gz or .zst; or --synthetic. Every new session is sent the
data from its beginning. With --feed it is the fake of another venue: its websocket and its REST
paths, with made-up order books. The first line on standard output names the URL, the last one is a
command of lb to paste. `lb-replay info FILE` tells what is in a file."""

_EPILOG = f"""\
examples:
  lb-replay recording-*.jsonl.zst                  what lb-record has written, as fast as it came
  lb-replay --from 2026-11-27T14:30 --speed 0.5 recording-*.jsonl.zst
                                                   the opening in slow motion
  lb-replay --speed max --once trades.jsonl.zst    as fast as the client reads, then exit
  lb-replay --synthetic --rate 100000 --stamp      a synthetic market with the times of now
  lb-replay --synthetic --speed max --self-signed  the same over wss, as fast as it goes
  lb-replay --synthetic --rate 400000 --slow-consumer-after 2s
                                                   a market that only fast clients can follow
  lb-replay --feed {next(iter(FAKES))} --symbols ETH-BTC,BTC-USD --rate 50 --port 8766
                                                   a venue's order books, made up
  lb-replay --fault 10s:reset --fault 20s:auth_failed trades.jsonl.zst
                                                   a bad day: see how your programs take it

faults (--fault AFTER:KIND[=VALUE]); the next session goes on with the very next record:
  drop                 the stream ends without a close frame
  reset                TCP RST: what the client has not read yet is lost
  stall[=S]            nothing is sent and nothing read, for S seconds or (default) for ever
  slow[=BYTES]         from then on BYTES a second (default 1000), a few at a time
  close[=CODE]         a close frame (default 1011)
  auth_failed[=N]      the stream ends, and the next N authentications (default 1) are
                       refused; with AFTER 0 the first ones
  max_connections      the status, and close 1008: as if the key were used elsewhere

faults with --feed, after AFTER messages or Ss of the first session; of SYMBOL or of any:
  gap[=SYMBOL]         the next difference is not sent
  duplicate[=SYMBOL]   the next message of a book is sent twice
  crossed[=SYMBOL]     the next message of a book has a bid above the best ask
  bad-checksum[=SYMBOL] the next checksum is wrong, where the venue has any
  silent=SYMBOL        nothing of it is sent any more
  stall[=S]            as above, in all sessions of that moment
  drop                 all sessions end without a close frame
  close[=CODE]         all sessions end with a close frame (default 1001)
  life=S               each session ends with a close frame when it is S seconds old, as
                       some venues end those of a day
  farewell             the venue's word that sessions are to end soon, where it has one
  old-snapshot[=N]     the next N snapshots by REST (default 1) are of long ago
  429[=N]              the next N requests by REST (default 1) are refused

exit codes: 0 at SIGTERM, SIGINT or the end of --once; 64 wrong usage; 66 unusable input;
69 port in use, package missing or report not writable"""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _speed(text: str) -> float | None:
    """None for `max`."""
    return None if text == "max" else above_zero(text)


def _patience(text: str) -> Patience:
    return (
        Patience(time_s=above_zero(text[:-1])) if text.endswith("s") else Patience(size_bytes=whole("bytes", 1)(text))
    )


def _begin(text: str) -> Begin:
    if text.startswith("+"):
        return Begin(round(seconds(text[1:]) * 1e9), is_offset=True)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{quoted(text)} is neither a time such as 2026-11-27T14:30 nor +S") from None
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return Begin((aware - _EPOCH) // timedelta(microseconds=1) * 1000)


def _symbols(text: str) -> list[str]:
    return list(dict.fromkeys(name for name in text.split(",") if name))


def _path(text: str) -> str:
    if not text.startswith("/"):
        raise argparse.ArgumentTypeError(f"{text!r} does not begin with /")
    return text


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Reads the command line. Raises UsageError; `--help` and `--version` print and exit."""
    parser = Parser(
        "lb-replay", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"lb-replay {VERSION}")
    _add_source(parser)
    _add_pace(parser)
    _add_server(parser)
    _add_faults(parser)
    options = parser.parse_args(arguments)
    if options.feed == _TAPES:
        _check(options)
        options.ping_interval = 30.0 if options.ping_interval is None else options.ping_interval
    else:
        _check_fake(options, parser)
    _check_tls(options)
    read = Fault.parse if options.feed == _TAPES else VenueFault.parse
    try:
        options.fault = [read(text) for text in options.fault]
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"argument --fault: {error}") from None
    return options


def _add_source(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is sent")
    group.add_argument(
        "--feed",
        choices=[_TAPES, *sorted(FAKES)],
        default=_TAPES,
        help=f"whose protocol it speaks (default {_TAPES}, which plays FILES or --synthetic); of the others it makes "
        "up order books, or plays FILES in the forms of hftbacktest and cryptofeed, and has their REST paths on the "
        "same port",
    )
    group.add_argument(
        "--symbols",
        type=_symbols,
        metavar="NAMES",
        help="with --feed: the symbols there are, as ETH-BTC,BTC-USD; any names will do (default: those of a dozen "
        "that the venue has)",
    )
    group.add_argument(
        "--levels", type=whole("levels", 10, 5_000), metavar="N", help="with --feed: levels of a side (default 200)"
    )
    group.add_argument("files", nargs="*", type=Path, metavar="FILE", help="recordings, played one after the other")
    group.add_argument(
        "--from",
        dest="begin",
        type=_begin,
        metavar="WHEN",
        help="begin with what was received then, or is of then, or next after it: a time such as 2026-11-27T14:30:00, "
        "in UTC unless it says otherwise (...-05:00), or +S, so many seconds after the first (default: the beginning)",
    )
    group.add_argument(
        "--by",
        choices=["received", "t"],
        help="the times by which FILES are played: of recordings (lb-record) when the records were received, which is "
        "the default, or the records' t; of all other files t",
    )
    group.add_argument(
        "--synthetic", action="store_true", help="a made-up market of 6,000 symbols, in a loop of 65,536 trades"
    )
    group.add_argument("--seed", type=int, metavar="N", help="what the market is made from (default 1)")
    group.add_argument(
        "--rate",
        type=above_zero,
        metavar="R",
        help="trades per second of market time (default 10000, at most 1e8); with --feed: changes per second of each "
        "book (default 10)",
    )
    group.add_argument(
        "--layout",
        choices=["2026", "2022"],
        help="fields of the year: 2026, 160 bytes per trade on average (default), or 2022, 112 bytes",
    )
    group.add_argument("--stamp", action="store_true", help="replace each record's t by the time of its sending")


def _add_pace(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how fast and how long")
    group.add_argument(
        "--speed",
        type=_speed,
        default=1.0,
        metavar="X",
        help="X times as fast as the t of the records says, or max: as fast as the client reads (default 1)",
    )
    group.add_argument("--loop", action="store_true", help="begin FILES again at their end (--synthetic always does)")
    group.add_argument(
        "--count", type=whole("records", 1), metavar="N", help="end after exactly N records (default: no bound)"
    )
    group.add_argument("--duration", type=above_zero, metavar="S", help="end after S seconds (default: no bound)")
    group.add_argument(
        "--end",
        choices=["close", "abort", "stay"],
        default="close",
        help="at the end: close frame 1000 (default), end of the stream without one, or leave the connection open",
    )
    group.add_argument("--once", action="store_true", help="exit when the first client that got everything is gone")


def _add_server(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the server")
    group.add_argument(
        "--key", default="demo", help="the key that is accepted: itself, @FILE or env:NAME (default demo)"
    )
    group.add_argument("--host", default="127.0.0.1", help="address or name to listen on (default 127.0.0.1)")
    group.add_argument(
        "--port", type=whole("as a port", 0, 65535), default=0, help="port to listen on (default 0: any free one)"
    )
    group.add_argument("--path", type=_path, default="/stocks", help="path of the URL (default /stocks)")
    group.add_argument("--tls", action="store_true", help="wss; needs --self-signed, or --cert and --key-file")
    group.add_argument("--cert", type=Path, metavar="FILE", help="certificate chain for --tls, PEM")
    group.add_argument("--key-file", type=Path, metavar="FILE", help="private key of --cert, PEM")
    group.add_argument(
        "--self-signed",
        action="store_true",
        help="wss with a certificate for localhost, 127.0.0.1 and ::1; the second line on standard output names the "
        "file of its CA, which is removed at exit",
    )
    group.add_argument(
        "--connections",
        type=whole("connections", 1),
        default=1,
        metavar="N",
        help="subscribed connections the key may have; a further one evicts the eldest (default 1)",
    )
    group.add_argument(
        "--ping-interval",
        type=seconds,
        metavar="S",
        help="seconds between pings; 0: none (default 30, or as the venue of --feed)",
    )
    group.add_argument("--report", type=Path, metavar="FILE", help="write the totals as JSON at exit")


def _add_faults(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("trouble for the client")
    group.add_argument(
        "--drop-every",
        type=whole("records", 1),
        metavar="N",
        help="end the stream without a close frame after the message that completes N records since the last time; the "
        "next session goes on with the very next record",
    )
    group.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="AFTER:KIND[=VALUE]",
        help="after AFTER records, or Ss of playing (as in 10s), something happens, once; may be repeated; see below",
    )
    group.add_argument(
        "--drops", type=whole("times", 1), metavar="K", help="at most K such disconnects (default: no bound)"
    )
    group.add_argument(
        "--slow-consumer-after",
        type=_patience,
        metavar="BYTES|Ss",
        help="cut off a client that reads too slowly, as the vendor does: what is due waits for it in one ordered "
        "buffer; when more than BYTES wait, or the oldest for more than S seconds (as in 2.5s), the buffer is dropped, "
        "and the client gets the status slow_consumer and is closed. The kernel's socket buffers, some MB, come on "
        "top. Not with --speed max, at which everything is due at once (default: no bound)",
    )
    group.add_argument(
        "--fragment",
        type=whole("bytes", 1),
        metavar="N",
        help="send messages in frames of N bytes of payload, with pings between",
    )


_OF_FAKES = frozenset({"feed", "symbols", "levels", "seed", "rate", "fault", "report", "ping_interval"})
_OF_ALL = frozenset({"host", "port", "tls", "cert", "key_file", "self_signed"})


def _check_fake(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """A fake has options of its own, and not those of tapes."""
    if options.files and options.feed not in PLAYERS:
        raise UsageError(f"--feed {options.feed} makes its books up, and plays no FILES")
    for name in ("symbols", "levels", "seed", "rate"):
        if options.files and getattr(options, name) is not None:
            raise UsageError(f"--{name} is of made-up books: not with FILES")
    for name, value in vars(options).items():
        if name not in _OF_FAKES | _OF_ALL and value != parser.get_default(name) and name != "files":
            option = "--from" if name == "begin" else "--" + name.replace("_", "-")
            raise UsageError(f"{option} is of no use with --feed {options.feed}")


def _check_tls(options: argparse.Namespace) -> None:
    if options.self_signed and (options.cert or options.key_file):
        raise UsageError("--self-signed and --cert exclude each other")
    if bool(options.cert) != bool(options.key_file):
        raise UsageError("--cert and --key-file need each other")
    if options.tls and not (options.self_signed or options.cert):
        raise UsageError("--tls needs --self-signed, or --cert and --key-file")


def _check(options: argparse.Namespace) -> None:
    for name in ("symbols", "levels"):
        if getattr(options, name) is not None:
            raise UsageError(f"--{name} needs --feed of another venue than {_TAPES}")
    if options.synthetic == bool(options.files):
        raise UsageError("either FILES or --synthetic is needed, and not both")
    if not options.synthetic:
        for name in ("seed", "rate", "layout"):
            if getattr(options, name) is not None:
                raise UsageError(f"--{name} needs --synthetic")
    if options.synthetic and (options.begin or options.by):
        raise UsageError("--from and --by need FILES")
    if options.drops and not options.drop_every:
        raise UsageError("--drops needs --drop-every")
    if options.slow_consumer_after and options.speed is None:
        raise UsageError("--slow-consumer-after needs a pace: not --speed max")
    if options.stamp and options.fragment:
        raise UsageError("--stamp and --fragment exclude each other: a time may be cut in two")
