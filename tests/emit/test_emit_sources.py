"""Where lb-emit's records come from: an lb that goes and comes back, one for several processes; a worker's pipes; the
merged books of an lb-books."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness import Feed, Lb, message
from harness.emitting import T_MS, TIMEOUT_S, Emit, trade
from harness.served import Served

from trade_balancer.books.market import Market
from trade_balancer.books.service import protos
from trade_balancer.books.service.access import Access
from trade_balancer.books.service.server import Server

pytestmark = pytest.mark.slow

FAST = ("--tick-ms", "2", "--drain", "0.1")


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_an_lb_that_ends_and_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "lb.sock"
    with Feed() as feed, contextlib.ExitStack() as running:
        with Lb(feed.url, 1, "--control", str(path)) as lb, feed.session() as peer:
            lb.await_line("session open")
            emit = running.enter_context(Emit(*FAST, "--attach", path, "--topics", "T.*"))
            with emit.client() as client:
                client.subscribe("T.*")
                peer.say(message([trade("A", 1.0), trade("B", 2.0)]))
                client.until(lambda values: values["T"].keys() == {"A", "B"})
                lb.send_signal(signal.SIGKILL)
                page = Served(emit.url)
                page.await_answer("/readyz", 503, "NOT the source is here")
                client.say("ping")
                while "pong" not in (said := client.hear()):
                    pass
                assert said["source"] == "lost"
                with Lb(feed.url, 1, "--control", str(path)) as other, feed.session() as next_peer:
                    other.await_line("session open")
                    page.await_answer("/readyz", 200)
                    next_peer.say(message([trade("B", 3.0)]))
                    client.until(lambda values: values == {"T": {"B": [3, 100, T_MS]}})
                    assert emit.stop() == 0
                    code, _, said = client.end()
                    assert (code, said[-1][0]["status"]) == (1012, "leaving")
        assert emit.told[0].endswith("has ended: what clients have is old until one is there again")


def test_several_processes_at_one_address_and_one_that_dies(tmp_path: Path) -> None:
    path = tmp_path / "lb.sock"
    with Feed() as feed, Lb(feed.url, 1, "--control", str(path)) as lb, feed.session() as peer:
        lb.await_line("session open")
        with Emit(*FAST, "--attach", path, "--topics", "T.*", "--processes", "2") as emit:
            emit.await_metric("lb_emit_source_here", lambda total: total == 2)
            peer.say(message([trade("A", 1.0)]))
            emit.await_metric("lb_emit_records_total", lambda total: total == 2)
            served: set[str] = set()
            while len(served) < 2:  # the kernel deals them by port numbers
                with emit.client() as client:
                    client.subscribe("T.A")
                    client.until(lambda values: values == {"T": {"A": [1, 100, T_MS]}})
                    samples = emit.metrics.metrics()
                served = {
                    dict(labels)["process"]
                    for (name, labels), value in samples.items()
                    if name == "lb_emit_clients_opened_total" and value
                }
            victim = children_of(emit.process.pid)[0]
            os.kill(victim, signal.SIGKILL)
            emit.await_told("was ended by SIGKILL: another follows")
            emit.await_metric("lb_emit_source_here", lambda total: total == 2)
            with emit.client() as client:
                client.subscribe("T.A")
                before = emit.await_metric("lb_emit_records_total", lambda total: total >= 2)
                peer.say(message([trade("A", 2.0)]))
                client.until(lambda values: values["T"].get("A", [0])[0] == 2)
                emit.await_metric("lb_emit_records_total", lambda total: total == before + 2)
                assert emit.stop() == 0
                assert client.end()[0] == 1012


def test_a_worker_of_lb_ends_with_its_pipes(tmp_path: Path) -> None:
    """And not at a signal: whoever stops lb and its workers at once may not cost what is still in the pipes."""
    with Emit(*FAST) as emit, emit.client() as client:
        client.subscribe("T.A")
        emit.process.send_signal(signal.SIGTERM)
        emit.feed(trade("A", 1.0))
        client.until(lambda values: values == {"T": {"A": [1, 100, T_MS]}})
        emit.end_pipe()
        assert client.end()[0] == 1012
        assert emit.wait() == 0


@dataclass(frozen=True)
class Best:
    """A summary with a bid, and sometimes an ask."""

    sequence: int
    bid: int
    asks: tuple[int, ...]
    symbol: str = "BTC-USD"

    def v1(self, _depth: int) -> bytes:
        level = {"venue": 0, "size": 3 * 10**7}
        bids, asks = [{"price": self.bid, **level}], [{"price": price, **level} for price in self.asks]
        venues = [{"name": "there", "state": 1, "time_ns": T_MS * 1_000_000}]
        made: bytes = protos.Summary(
            symbol=self.symbol, sequence=self.sequence, price_decimals=2, size_decimals=8,
            bids=bids, asks=asks, venues=venues,
        ).SerializeToString()  # fmt: skip
        return made


def test_merged_books_are_quotes(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text("t0ken")
    watched = threading.Event()
    market = Market(("BTC-USD",), lambda _: watched.set(), lambda _: None)

    def watch(port: int, offer: Callable[[Best], object]) -> None:
        books = ("--books", f"127.0.0.1:{port}", "--books-token-file", token, "--topics", "XQ.BTC-USD")
        with Emit(*FAST, *books) as emit, emit.client() as client:
            client.subscribe("XQ.*")
            assert watched.wait(TIMEOUT_S)
            offer(Best(1, 65_000_01, (65_000_02,)))
            client.until(lambda values: values == {"XQ": {"BTC-USD": [65000.01, 0.3, 65000.02, 0.3, T_MS]}})
            offer(Best(2, 65_000_03, ()))
            client.until(lambda values: values["XQ"]["BTC-USD"] == [65000.03, 0.3, None, None, T_MS])
            assert emit.stop() == 0
            assert client.end()[0] == 1012

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        server = Server(market, access=Access(token=token))
        port = await server.start("127.0.0.1:0")
        try:
            await asyncio.to_thread(watch, port, lambda best: loop.call_soon_threadsafe(market.offer, best))
        finally:
            await server.stop(0)

    asyncio.run(scene())
