"""`lb-books`: the order books of venues, merged, by gRPC and FIX (extras `books`, `fix`).

Law: it reads what options say, and wires; what it serves is Desk's.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trade_balancer.books.market import GRACE_S
from trade_balancer.command import Parser, exit_code_of, topics_of
from trade_balancer.errors import MissingExtraError, UsageError, tell

if TYPE_CHECKING:
    from trade_balancer.books.desk import Desk, Source
    from trade_balancer.books.service.server import Server

ADDRESS = "127.0.0.1:50051"
STOP_S = 5.0
"""For clients to take what they are told at the end."""
MOST_DEPTH = 100


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    options = _parser().parse_args(argv)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what goes wrong is said by us, in a sentence
    return exit_code_of(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    sources = _sources(options)
    loop = _loop_factory()
    with tempfile.TemporaryDirectory(prefix="lb-books-") as folder, asyncio.Runner(loop_factory=loop) as runner:
        runner.run(_serve(options, sources, Path(folder)))
    return 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Of a loop that costs a fifth less for each summary than asyncio's own."""
    try:
        import uvloop  # only here: an extra
    except ImportError:
        raise MissingExtraError("order books", "uvloop", "books") from None
    return uvloop.new_event_loop


async def _serve(options: argparse.Namespace, sources: Sequence[Source], folder: Path) -> None:
    """Until a signal."""
    from trade_balancer.books.desk import Desk, Wanted  # only here: an extra

    stop = _stop_signals()
    symbols = topics_of(options.symbols)
    wanted = Wanted(sources, folder, symbols, options.depth, options.full, options.stale_after, options.linger)
    desk = Desk(wanted)
    server = _server(options, desk, symbols)
    running = asyncio.ensure_future(desk.run())
    try:
        async with contextlib.AsyncExitStack() as services:
            if options.metrics is not None:
                await _metrics(options, desk, server, services)
            await _first_of(desk.ready(), running, stop.wait())
            if not stop.is_set():
                await _grpc(options, server, services)
                if options.fix:
                    await _fix(options, desk, folder, services)
                print("ready", flush=True)
            await _first_of(running, stop.wait())
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _server(options: argparse.Namespace, desk: Desk, symbols: Sequence[str]) -> Server:
    from trade_balancer.books.service.access import Access
    from trade_balancer.books.service.server import Server

    access = Access(options.tls_cert, options.tls_key, options.client_ca, options.token_file)
    return Server(desk.market, access=access, symbol=symbols[0] if symbols else None)


async def _metrics(
    options: argparse.Namespace, desk: Desk, server: Server, services: contextlib.AsyncExitStack
) -> None:
    from trade_balancer.books.site import serve  # only here: an extra
    from trade_balancer.page.listening import listening_at, url_of

    listening = listening_at(options.metrics)
    site = await serve(listening, desk, server)
    services.callback(site.close)
    print(f"metrics at {url_of(listening)}metrics", flush=True)


async def _grpc(options: argparse.Namespace, server: Server, services: contextlib.AsyncExitStack) -> None:
    port = await server.start(options.grpc)
    services.push_async_callback(server.stop, STOP_S)
    host = options.grpc.rpartition(":")[0]
    print(f"gRPC at {options.grpc if options.grpc.startswith('unix:') else f'{host}:{port}'}", flush=True)


async def _fix(options: argparse.Namespace, desk: Desk, folder: Path, services: contextlib.AsyncExitStack) -> None:
    """In a process of its own, which has its books by gRPC: what it costs to speak FIX delays nobody else."""
    from trade_balancer.books.fix.gateway import Gateway
    from trade_balancer.books.service.clients import Limits
    from trade_balancer.books.service.server import Server

    inner = f"unix:{folder}/fix"
    server = Server(desk.market, limits=Limits(streams=2, symbols=sys.maxsize))
    await server.start(inner)
    services.push_async_callback(server.stop, 0)
    named = {
        "--store": options.fix_store, "--tls-cert": options.tls_cert, "--tls-key": options.tls_key,
        "--client-ca": options.client_ca, "--token-file": options.token_file,
    }  # fmt: skip
    words = [word for name, value in named.items() if value for word in (name, str(value))]
    gateway = Gateway(options.fix, ["--books", inner, "--depth", str(options.depth), *words])
    services.push_async_callback(gateway.stop)
    print(f"FIX at {options.fix.rpartition(':')[0]}:{await gateway.start()}", flush=True)


async def _first_of(*works: object) -> None:
    """Waits for one of them, and raises what it has raised."""
    tasks = [asyncio.ensure_future(work) for work in works]  # type: ignore[call-overload]
    done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task, work in zip(tasks, works, strict=True):
        if task in others and task is not work:  # a future of the caller's goes on
            task.cancel()
    for task in done:
        task.result()


def _stop_signals() -> asyncio.Event:
    """Set at the first of SIGTERM, SIGINT and SIGHUP; the second ends the process."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def begin(number: signal.Signals) -> None:
        tell(f"{number.name}: stopping")
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, begin, number)
    return stop


def _sources(options: argparse.Namespace) -> list[Source]:
    """What --venue, --lb, --rest and --key say. Raises UsageError, InputError, MissingExtraError."""
    from trade_balancer.books.desk import Source
    from trade_balancer.books.key import Key
    from trade_balancer.books.venues import VENUES

    rests = dict(_pair("--rest", word) for word in options.rest)
    keys = {name: Key(form) for name, form in (_pair("--key", word) for word in options.key)}
    named = [(*_pair("--venue", word, needs_value=False), False) for word in options.venue]
    named += [(*_pair("--lb", word), True) for word in options.lb]
    if not named:
        raise UsageError("no venue: --venue NAME or --lb NAME=PATH, such as --venue binance --venue bitstamp")
    sources = {}
    for name, value, is_control in named:
        if name not in VENUES:
            raise UsageError(f"there is no venue {name!r}: there are {', '.join(VENUES)}")
        if name in sources:
            raise UsageError(f"{name} is named twice")
        if name in keys and not VENUES[name].needs_key:
            raise UsageError(f"--key {name}: this venue takes none")
        if VENUES[name].needs_key and name not in keys and not is_control:
            raise UsageError(f"{name} wants a key: --key {name}=@FILE")
        place = {"control": value} if is_control else {"url": value or None}
        sources[name] = Source(VENUES[name], **place, rest_url=rests.pop(name, None), key=keys.pop(name, None))
    for option, left in (("--rest", rests), ("--key", keys)):
        if left:
            raise UsageError(f"{option} {min(left)}: no --venue or --lb of that name")
    return list(sources.values())


def _pair(option: str, word: str, *, needs_value: bool = True) -> tuple[str, str]:
    name, _, value = word.partition("=")
    if not name or (needs_value and not value):
        raise UsageError(f"{option} {word}: wanted is NAME=VALUE")
    return name, value


def _depth(text: str) -> int:
    depth = int(text)
    if not 1 <= depth <= MOST_DEPTH:
        raise argparse.ArgumentTypeError(f"{depth} is not between 1 and {MOST_DEPTH}")
    return depth


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no time above 0 s")
    return seconds


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="lb-books",
        description="Keeps the order books of venues, merges those of a symbol, and streams them by gRPC "
        "and FIX (docs/books.md). lb-books-client shows them.",
        epilog="venues: binance, bitstamp, coinbase, kraken, polygon. signals: SIGTERM, SIGINT, SIGHUP end it, clients "
        "are told. exit codes: 0 stopped; 64 usage, or the address of --metrics can't be had; 66 a file can't be read; "
        "69 the address of --grpc or --fix can't be had, or an extra is missing",
    )
    add = parser.add_argument
    add("--venue", metavar="NAME[=URL]", action="append", default=[],
        help="start an lb for this venue, at its own address or at URL; may be repeated")  # fmt: skip
    add("--lb", metavar="NAME=PATH", action="append", default=[],
        help="be a reader of the lb whose control socket is PATH, and which holds this venue's session")  # fmt: skip
    add("--rest", metavar="NAME=URL", action="append", default=[],
        help="where this venue's REST is (default: its own address)")  # fmt: skip
    add("--key", metavar="NAME=KEY", action="append", default=[],
        help="the key for this venue, where it wants one (polygon): @FILE or env:VARIABLE")  # fmt: skip
    add("--symbols", metavar="SYMBOLS", action="append", default=[],
        help="these and no other, such as BTC-USD,ETH-BTC, and they are kept whoever watches (default: what clients "
        "ask for)")  # fmt: skip
    add("--depth", metavar="N", type=_depth, default=10,
        help=f"levels of each side of a merged book, at most {MOST_DEPTH} (default: 10)")  # fmt: skip
    add(
        "--full",
        action="store_true",
        help="keep venues' whole books, by snapshot and differences, where they have such (default: their best levels)",
    )
    add("--stale-after", metavar="S", type=_seconds,
        help="a book that is silent for S seconds leaves the merge (default: 60 to 90, by venue)")  # fmt: skip
    add("--linger", metavar="S", type=_seconds, default=GRACE_S,
        help=f"how long a symbol stays subscribed that nobody watches any more (default: {GRACE_S:g})")  # fmt: skip
    add("--grpc", metavar="HOST:PORT", default=ADDRESS, help=f"where to serve; port 0 is any (default: {ADDRESS})")
    add("--fix", metavar="HOST:PORT", help="serve FIX 4.4 there, too; port 0 is any (default: no FIX; extra `fix`)")
    add("--fix-store", metavar="DIR", type=Path, help="where FIX sessions outlive lb-books (default: they do not)")
    add("--metrics", metavar="HOST:PORT",
        help="serve metrics for Prometheus, /healthz and /readyz there, such as 127.0.0.1:9826")  # fmt: skip
    add("--tls-cert", metavar="FILE", type=Path, help="the server's certificates, PEM (default: plain text)")
    add("--tls-key", metavar="FILE", type=Path, help="their key, PEM")
    add("--client-ca", metavar="FILE", type=Path, help="whoever connects must have a certificate signed by these")
    add("--token-file", metavar="FILE", type=Path, help="what clients must say, in a file that only you can read")
    return parser


if __name__ == "__main__":
    sys.exit(main())
