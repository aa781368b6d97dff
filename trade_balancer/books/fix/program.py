"""The process that serves FIX for lb-books, and ends with it: `python -m trade_balancer.books.fix.program`.

Law: it is started by Gateway alone. Its standard input says nothing; its end is lb-books' own, or its wish.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from trade_balancer.command import Parser, exit_code_of


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    sys.argv[0] = parser.prog  # what is told is told for lb-books
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a terminal's or a service's go to lb-books, too, which tells us
    return exit_code_of(lambda: asyncio.run(_serve(options)) or 0)


async def _serve(options: argparse.Namespace) -> None:
    """Until the end of standard input."""
    from trade_balancer.books.fix.acceptor import Acceptor  # only here: extras
    from trade_balancer.books.service.access import Access
    from trade_balancer.books.service.following import Target
    from trade_balancer.books.service.mirror import Mirror

    mirror = Mirror(Target(options.books), options.depth)
    access = Access(options.tls_cert, options.tls_key, options.client_ca, options.token_file)
    acceptor = Acceptor(mirror.market, depth=options.depth, folder=options.store, access=access)
    mirroring = asyncio.create_task(mirror.run())
    ended = asyncio.create_task(_end_of_input())
    try:
        known = asyncio.create_task(mirror.known.wait())
        await asyncio.wait([mirroring, ended, known], return_when=asyncio.FIRST_COMPLETED)
        known.cancel()
        if not mirroring.done() and not ended.done():
            print(await acceptor.start(options.address), flush=True)
            await asyncio.wait([mirroring, ended], return_when=asyncio.FIRST_COMPLETED)
            await acceptor.stop()
        if mirroring.done():
            mirroring.result()
    finally:
        mirroring.cancel()
        ended.cancel()
        await asyncio.gather(mirroring, ended, return_exceptions=True)


async def _end_of_input() -> None:
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    try:
        await reader.read()
    finally:
        transport.close()


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="lb-books", description="Serves FIX for lb-books (docs/books-fix.md), which starts it.")
    add = parser.add_argument
    add("--books", metavar="ADDRESS", required=True, help="where lb-books serves gRPC for this process alone")
    add("--address", metavar="HOST:PORT", required=True, help="where to serve")
    add("--depth", metavar="N", type=int, required=True, help="levels of each side that there are")
    add("--store", metavar="DIR", type=Path, help="where sessions are kept")
    for name in ("--tls-cert", "--tls-key", "--client-ca", "--token-file"):
        add(name, metavar="FILE", type=Path, help="what lb-books has as that")
    return parser


if __name__ == "__main__":
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    sys.exit(main())
