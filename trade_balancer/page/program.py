"""`lb-metrics PATH HOST:PORT`: serves the metrics and the page of the lb whose control socket is PATH.

Law: `lb --metrics` starts it with two descriptors instead, a connection and a socket that listens; then it ends with
that lb and no sooner, whoever sends it a signal, and has given away what rights it had before it serves anybody.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence

from trade_balancer.command import Parser
from trade_balancer.control import connected
from trade_balancer.errors import NoBalancerError, WorkerError, report
from trade_balancer.page.listening import bound, is_loopback, listening_at, url_of

RETRY_S = 1.0
"""Between two looks whether an lb serves PATH (again)."""
PUSH_S = 1.0
"""Between two looks whether lb still tells anything."""
_NOBODY = 65534
_PR_SET_NO_NEW_PRIVS = 38
_NICER = 10
"""Than lb and its workers."""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        import trade_balancer.page.exposition  # noqa: F401 - before all else: what it stands on is an extra

        if options.of_lb is not None:
            connection_fd, listening_fd = options.of_lb
            _outlive_signals()
            connection, listening = socket.socket(fileno=connection_fd), socket.socket(fileno=listening_fd)
            return _serve(_with(connection), listening, _give_away_rights)
        if options.path is None or options.address is None:
            _parser().error("wanted: lb-metrics PATH HOST:PORT")
        listening = listening_at(options.address)
        print(f"listening on {url_of(listening)}", flush=True)
        return _serve(_again_and_again(options.path), listening, lambda: None)
    except KeyboardInterrupt:
        return 0
    except WorkerError as fault:
        return report(fault)


Source = Callable[[Callable[[socket.socket], Awaitable[None]]], Awaitable[None]]
"""Calls back with each connection to lb, one after the other; returns when there will be none."""


def _with(connection: socket.socket) -> Source:
    async def source(read: Callable[[socket.socket], Awaitable[None]]) -> None:
        await read(connection)

    return source


def _again_and_again(path: str) -> Source:
    """Raises NoBalancerError where no lb is there at first."""
    first = connected(path)

    async def source(read: Callable[[socket.socket], Awaitable[None]]) -> None:
        connection: socket.socket | None = first
        while True:
            if connection is not None:
                await read(connection)
            await asyncio.sleep(RETRY_S)
            try:
                connection = connected(path)
            except NoBalancerError:
                connection = None

    return source


def _serve(source: Source, listening: socket.socket, begin: Callable[[], object]) -> int:
    """`begin` is called when all that is to be read from files has been. Raises MissingExtraError."""
    from trade_balancer.page.connection import Clients, Connection  # only here: an extra
    from trade_balancer.page.news import News
    from trade_balancer.page.site import Site

    bound(listening)
    news = News(lambda: clients.push(site.newest()))
    site = Site(news, only_local=is_loopback(listening))
    clients = Clients(site.reply)

    async def tell_where_there_are_no_news() -> None:
        while True:
            await asyncio.sleep(PUSH_S)
            if not news.is_fresh:
                clients.push(site.newest())

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(clients), sock=listening)
        telling = loop.create_task(tell_where_there_are_no_news())
        try:
            await source(news.read)
        finally:
            telling.cancel()
            server.close()  # and no `async with`: from Python 3.12 on its end waits until the last page has gone

    begin()
    asyncio.run(serve())
    return 0


def _outlive_signals() -> None:
    """Whoever stops lb and all it has started at once is to see it stop."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _give_away_rights() -> None:
    """Those of root, where lb has them, and those that a program may gain; and be nicer than who deals records."""
    with contextlib.suppress(OSError):
        os.nice(_NICER)
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):  # where there is no other user: a container, a service without CAP_SETUID
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="lb-metrics",
        description="Serves metrics for Prometheus and a page to look at, for the lb whose control socket is PATH; "
        "also for the next one there. lb --metrics HOST:PORT does the same by itself.",
        epilog="paths: / the page, /metrics, /healthz, /readyz. exit codes: 0 interrupted; 64 usage, or HOST:PORT "
        "can't be had; 69 no lb there, or the extra `metrics` is missing",
    )
    add = parser.add_argument
    add("path", metavar="PATH", nargs="?", help="of the socket, as in lb --control PATH")
    add("address", metavar="HOST:PORT", nargs="?", help="where to serve, such as 127.0.0.1:9825; port 0 is any")
    add("--of-lb", nargs=2, type=int, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
