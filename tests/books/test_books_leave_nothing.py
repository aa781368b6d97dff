"""Symbols that come and go, that there are not, and clients that die: of none of them anything stays in lb-books or its
lb, and the venue's limits are kept all the while."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from harness import lb_environment
from harness.joining import Joined
from steered import Program, Watching, lb_books, states

from lb.replay.venue_server import VenueServer
from trade_balancer.books.service import protos

pytestmark = pytest.mark.slow

LIMIT_S = 60
SYMBOLS = [f"S{number}-USDT" for number in range(100)]
UNKNOWN = 2000
AT_ONCE = 50


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where lb-books has the socket of its lb; of a short name, as those of sockets must be."""
    path = tmp_path_factory.mktemp("b")
    monkeypatch.setenv("TMPDIR", str(path))
    return path


@pytest.fixture(scope="module")
def venue() -> Iterator[VenueServer]:
    """It ends a session at its sixth message within a second."""
    with VenueServer("binance", symbols=SYMBOLS, rate=5, levels=20) as server:
        yield server


class Seen:
    """A running lb-books, from outside."""

    def __init__(self, program: Program, folder: Path) -> None:
        (self._control,) = folder.glob("*/binance.sock")
        self._program = program
        self._fds = Path(f"/proc/{program.process.pid}/fd")
        self._held = self._connections()

    async def holds_nothing(self, streams: int) -> None:
        """Returns when that is so: no books, no topics, and no pipe or socket more than there was."""
        async with asyncio.timeout(LIMIT_S):
            while not await asyncio.to_thread(self._holds_nothing, streams):
                await asyncio.sleep(0.05)

    def _holds_nothing(self, streams: int) -> bool:
        samples = self._program.metrics.metrics()
        books = sum(value for (name, _), value in samples.items() if name == "lb_books_books")
        kept = [samples[f"lb_books_{name}", frozenset()] for name in ("symbols_watched", "streams")]
        told = self.status()
        topics = [*told["session"]["topics"], *(topic for reader in told["readers"] for topic in reader["topics"])]
        return not books and kept == [0, streams] and not topics and self._connections() <= self._held

    def _connections(self) -> int:
        """Pipes and sockets: of other kinds the libraries may keep one more at any time."""
        count = 0
        for fd in self._fds.iterdir():
            with contextlib.suppress(FileNotFoundError):
                count += str(fd.readlink()).startswith(("pipe:", "socket:"))
        return count

    def status(self) -> dict[str, Any]:
        with Joined(self._control) as lb:
            return lb.result("status")


async def live(client: Watching, symbols: list[str]) -> None:
    """Returns when each of them has been live."""
    missing = set(symbols)
    while missing:
        summary = await client.next()
        if states(summary)["binance"] == "live" and summary.bids:
            missing.discard(summary.symbol)


def words(venue: VenueServer) -> list[str]:
    places = ["--venue", f"binance={venue.url}", "--rest", f"binance={venue.rest_url}"]
    return [*places, "--linger", "0.1", "--metrics", "127.0.0.1:0"]


def test_a_hundred_symbols_added_and_removed_again_and_again(venue: VenueServer, folder: Path) -> None:
    async def scene() -> None:
        async with lb_books(*words(venue)) as program, program.watching() as client:
            await live_session(program)
            seen = Seen(program, folder)
            for at_once in (100, 25, 1):
                for at in range(0, len(SYMBOLS), at_once):
                    await client.say(add=SYMBOLS[at : at + at_once])
                await live(client, SYMBOLS)
                for at in range(0, len(SYMBOLS), at_once):
                    await client.say(remove=SYMBOLS[at : at + at_once])
                await seen.holds_nothing(streams=1)
            told = await asyncio.to_thread(seen.status)
            assert told["session"]["sessions_total"] == 1, "the venue has ended none for too many messages"
            assert told["session"]["rejected"] == []

    asyncio.run(scene())


def test_symbols_that_there_are_not_leave_nothing_at_whatever_rate(venue: VenueServer, folder: Path) -> None:
    async def scene() -> None:
        async with lb_books(*words(venue)) as program, program.watching() as client:
            await live_session(program)
            seen = Seen(program, folder)
            for at in range(0, UNKNOWN, AT_ONCE):
                names = [f"NONE{number}-USDT" for number in range(at, at + AT_ONCE)]
                await client.say(add=names)
                assert [(await client.next()).symbol for _ in names] == names
            async with grpc.aio.insecure_channel(program.address) as channel:
                call = channel.unary_stream(f"/{protos.BOOKS}/Stream", protos.StreamRequest.SerializeToString)
                ends = [await call(protos.StreamRequest(symbols=["S1-USDT", "NONE-USDT"])).code() for _ in range(20)]
            assert set(ends) == {grpc.StatusCode.NOT_FOUND}
            await seen.holds_nothing(streams=1)
            sent = (await asyncio.to_thread(seen.status))["session"]
            assert (sent["topics"], sent["sessions_total"]) == ([], 1)

    asyncio.run(scene())


def test_a_client_that_is_killed_leaves_nothing(venue: VenueServer, folder: Path) -> None:
    async def scene() -> None:
        async with lb_books(*words(venue)) as program:
            await live_session(program)
            seen = Seen(program, folder)
            client = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "trade_balancer.books.service.client", "--json", "--server", program.address,
                *SYMBOLS[:20], stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": lb_environment()["PYTHONPATH"]},
            )  # fmt: skip
            assert client.stdout is not None
            await client.stdout.readline()
            client.kill()
            await client.communicate()
            await seen.holds_nothing(streams=0)

    asyncio.run(scene())


async def live_session(program: Program) -> None:
    await asyncio.to_thread(program.metrics.await_metric, "lb_books_session_open", 1, venue="binance")
