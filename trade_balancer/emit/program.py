"""`lb-emit`: a market's newest values over websockets, to very many browsers and programs (extra `emit`).

Law: it reads what options say, and wires.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import resource
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trade_balancer.command import Parser, exit_code_of, natural, topics_of
from trade_balancer.errors import InputError, UsageError, tell
from trade_balancer.signals import outlive_stop_signals
from trade_balancer.sources import add_setting

if TYPE_CHECKING:
    from trade_balancer.emit.counters import Rows
    from trade_balancer.emit.door import Rules
    from trade_balancer.emit.emitter import Listening
    from trade_balancer.emit.sources import Source

ADDRESS = "127.0.0.1:8080"
BACKLOG = 1024
_TCP_NOTSENT_LOWAT = 25  # linux/tcp.h
_UNSENT_BYTES = 16 << 10
"""What the kernel takes of a client's frames before it has sent the others: more would only get old there."""
_UNACKNOWLEDGED_MS = 20_000


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    ways = [options.attach is not None, options.books is not None, options.kafka is not None, bool(options.fds)]
    if sum(ways) != 1:
        parser.error("one source is wanted: --attach PATH, --kafka BROKERS, --books HOST:PORT, or lb's FDs")
    return exit_code_of(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    import trade_balancer.emit.board
    import trade_balancer.emit.wire  # noqa: F401 - before all else: what they stand on is an extra
    from trade_balancer.emit import processes
    from trade_balancer.emit.counters import Rows

    if options.fds and options.processes > 1:
        raise UsageError("a worker of lb is one process: --processes is for --attach, --kafka and --books")
    make, rules, tls = _source_maker(options), _rules(options), _tls(options)
    rows = Rows(options.processes)
    with contextlib.ExitStack() as sockets:
        clients = _listening(options.listen, options.processes, sockets)
        metrics = _listening(options.metrics, options.processes, sockets) if options.metrics else None
        _raise_limit()

        def work(number: int) -> int:
            from trade_balancer.emit.emitter import Listening

            place = Listening(clients[number], metrics[number] if metrics else None, tls)
            for others in (clients, metrics or []):
                for other, each in enumerate(others):
                    if other != number:
                        each.close()
            source = make()
            if number == 0:
                _tell_places(place)
            return _emit(options, source, rules, rows, number, place)

        if options.processes == 1:
            return work(0)
        return processes.serve(options.processes, work, lambda number: rows.processes[number].forget(), sockets.close)


def _emit(
    options: argparse.Namespace, source: Source, rules: Rules, rows: Rows, number: int, listening: Listening
) -> int:
    from trade_balancer.emit.emitter import Emitter, Settings
    from trade_balancer.emit.exposition import Exposition
    from trade_balancer.emit.processes import STOP_SIGNALS

    stop_signals: tuple[signal.Signals, ...] = STOP_SIGNALS
    if options.fds:
        outlive_stop_signals()
        stop_signals = ()
    counters = rows.processes[number]
    settings = Settings(options.tick_ms / 1e3, options.slow_after, options.drain, options.topics_per_client, rules)

    async def serve() -> None:
        emitter = Emitter(source, settings, counters, {"/metrics": Exposition(rows).answer})
        await emitter.run(listening, stop_signals)

    asyncio.run(serve())
    return 0


def _source_maker(options: argparse.Namespace) -> Callable[[], Source]:
    """What makes the source, in the process that reads it. Raises UsageError, InputError, MissingExtraError."""
    from trade_balancer.emit.sources import BooksSource, PipesSource, ReaderSource

    topics = topics_of(options.topics)
    if options.attach is not None:
        return lambda: ReaderSource(options.attach, topics or ["*"])
    if topics and options.books is None:
        raise UsageError("--topics is for --attach and --books")
    if options.kafka is not None:
        return _kafka_maker(options)
    if options.fds:
        return lambda: PipesSource(options.fds)
    from trade_balancer.books.service.following import Target  # only here: an extra

    symbols = [topic.removeprefix("XQ.") for topic in topics]
    if not symbols:
        raise UsageError("--books wants --topics with symbols, such as XQ.BTC-USD,XQ.ETH-BTC")
    target = Target(options.books, options.books_ca is not None, options.books_ca, token=options.books_token_file)
    target.metadata()
    return lambda: BooksSource(target, symbols)


def _kafka_maker(options: argparse.Namespace) -> Callable[[], Source]:
    """Raises UsageError."""
    from trade_balancer.emit.sources import KafkaSource
    from trade_balancer.kafka.settings import settings_of

    if not options.topic:
        raise UsageError("--kafka wants --topic")
    settings = settings_of(options.kafka, options.settings)
    return lambda: KafkaSource(options.kafka, options.topic, settings)


def _rules(options: argparse.Namespace) -> Rules:
    """Raises InputError."""
    from trade_balancer.emit.door import Rules, Tokens

    host = options.listen.rpartition(":")[0]
    return Rules(
        options.clients,
        options.clients_per_address,
        tuple(options.origin),
        only_local=host.strip("[]") in ("localhost", "::1") or host.startswith("127."),
        tokens=Tokens(options.token_file) if options.token_file else None,
    )


def _tls(options: argparse.Namespace) -> ssl.SSLContext | None:
    """Raises UsageError, InputError."""
    if (options.tls_cert is None) != (options.tls_key is None):
        raise UsageError("TLS needs both a certificate and its key")
    if options.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(options.tls_cert, options.tls_key)
    except (OSError, ssl.SSLError) as fault:
        raise InputError(f"{options.tls_cert}, {options.tls_key}: {fault.strerror or fault}") from None
    return context


def _listening(address: str, count: int, sockets: contextlib.ExitStack) -> list[socket.socket]:
    """So many sockets at one address. What accepted ones are to have, they have from these. Raises UsageError."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 0xFFFF:
        raise UsageError(f"{address!r} is no HOST:PORT, such as {ADDRESS}")
    found: list[socket.socket] = []
    try:
        family, _, _, _, place = socket.getaddrinfo(host.strip("[]") or None, int(port), type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE)[0]  # fmt: skip
        for _ in range(count):
            at = found[0].getsockname() if found else place
            listening = sockets.enter_context(socket.socket(family, socket.SOCK_STREAM))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if count > 1:
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listening.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)
            listening.bind(at)
            listening.listen(BACKLOG)
            found.append(listening)
    except OSError as fault:
        raise UsageError(f"{address}: {fault.strerror or fault}") from None
    return found


def _tell_places(place: Listening) -> None:
    """On standard output, for people and for what starts this program."""
    secure, shown = "" if place.tls is None else "s", _shown(place.clients)
    print(f"page at http{secure}://{shown}/ and websockets at ws{secure}://{shown}/ws", flush=True)
    if place.metrics is not None:
        print(f"metrics at http://{_shown(place.metrics)}/metrics", flush=True)


def _shown(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _raise_limit() -> None:
    """Each client is a descriptor."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < 4096:
        tell(f"no more than {hard} descriptors, of which each client takes one: raise LimitNOFILE or ulimit -n")


def _milliseconds(text: str) -> float:
    value = float(text)
    if not 1 <= value <= 60_000:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 60000 ms")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no time from 0 s on")
    return value


def _processes(text: str) -> int:
    count = natural(text)
    if not 1 <= count <= 256:
        raise argparse.ArgumentTypeError(f"{count} is not between 1 and 256")
    return count


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="lb-emit",
        description="Serves the newest values of a market over websockets, to very many browsers and programs, and a "
        "page that shows them (docs/emit.md). Clients say as at the vendor what they want; who is too "
        "slow gets the newest value of each symbol, and a count of what was skipped.",
        epilog="paths: / the page; /ws values; /stocks, /crypto, /forex, /indices, /options, /futures, /business "
        "records as at the vendor; /healthz, /readyz. signals: SIGTERM, SIGINT and SIGHUP send the clients away, one "
        "after the other, and end it; a worker of lb ends with its pipes. exit codes: 0 stopped, or the pipes ended; "
        "64 usage, or an address can't be had; 65 a pipe ended inside a frame; 66 a file can't be read; 69 no lb or "
        "lb-books or broker there, or the extra `emit` is missing; 77 lb is another user's, or not the right token",
    )
    _add_source(parser)
    _add_clients(parser)
    parser.add_argument("fds", metavar="FD", type=int, nargs="*", help="read end of a pipe: lb starts its workers so")
    return parser


def _add_source(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("where records come from").add_argument
    add(
        "--attach", metavar="PATH", help="be a reader of the lb whose control socket is PATH, and of the next one there"
    )
    add("--kafka", metavar="BROKERS",
        help="all of topics of Kafka's, from now on, with brokers at HOST:PORT,...; needs the extra kafka")  # fmt: skip
    add("--topic", metavar="TOPIC", action="append", help="with --kafka: to be read; may be repeated")
    add_setting(add, "with --kafka: a setting of librdkafka's, or @FILE with one a line")
    add("--books", metavar="HOST:PORT", help="the merged books of an lb-books, as quotes (XQ)")
    add("--topics", metavar="TOPICS", action="append", default=[],
        help="with --attach: as lb --subscribe (default: all that lb gets); with --books: XQ.BTC-USD,XQ.ETH-BTC; may "
        "be repeated")  # fmt: skip
    add("--books-ca", metavar="FILE", type=Path, help="speak TLS with lb-books, whose certificate these have signed")
    add("--books-token-file", metavar="FILE", type=Path, help="what to say to lb-books; of mode 0600")


def _add_clients(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("clients").add_argument
    add("--listen", metavar="HOST:PORT", default=ADDRESS, help=f"where to serve; port 0 is any (default: {ADDRESS})")
    add("--processes", metavar="N", type=_processes, default=1,
        help="so many processes share the clients, each reads the source (default: 1; a core takes one)")  # fmt: skip
    add("--tick-ms", metavar="MS", type=_milliseconds, default=20.0,
        help="a client gets one frame in MS at most (default: 20)")  # fmt: skip
    add("--slow-after", metavar="S", type=_seconds, default=10.0,
        help="a client that has not taken a frame after S seconds is closed with 1013 (default: 10)")  # fmt: skip
    add("--drain", metavar="S", type=_seconds, default=5.0,
        help="at the end clients are sent away within S seconds, and told when to come back (default: 5)")  # fmt: skip
    add("--clients", metavar="N", type=natural, default=10_000, help="at most, of a process; 0: any (default: 10000)")
    add("--clients-per-address", metavar="N", type=natural, default=256,
        help="at most, of a process; 0: any, such as behind a proxy (default: 256)")  # fmt: skip
    add("--topics-per-client", metavar="N", type=natural, default=1000, help="at most (default: 1000)")
    add("--origin", metavar="ORIGIN", action="append", default=[],
        help="pages of this origin, such as https://example.com, may connect besides our own; *: all; may be "
        "repeated. Programs that are no browsers name none, and may")  # fmt: skip
    add("--token-file", metavar="FILE", type=Path,
        help="clients must say one of these, a line each (mode 0600; read again when it changes)")  # fmt: skip
    add("--tls-cert", metavar="FILE", type=Path, help="the server's certificates, PEM (default: plain text)")
    add("--tls-key", metavar="FILE", type=Path, help="their key, PEM")
    add("--metrics", metavar="HOST:PORT", help="serve metrics for Prometheus there, of all processes (default: not)")


if __name__ == "__main__":
    sys.exit(main())
