"""`lb-books --fix`: from a venue's messages to a FIX client, over two processes."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from fix_client import HERE, connected, request
from serving import LIMIT_S, run, until
from steered import Venue, lb_books
from wire import binance_whole

from trade_balancer.books.fix.gateway import Gateway
from trade_balancer.books.market import Market
from trade_balancer.books.service.server import Server

pytestmark = pytest.mark.slow

SYMBOL = "BTC-USDT"
TOPIC = "btcusdt@depth20@100ms"


def process_of_fix(program: int) -> int:
    children = Path(f"/proc/{program}/task/{program}/children").read_text().split()
    (pid,) = [int(pid) for pid in children if b"books.fix.program" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return pid


async def listening(port: int) -> None:
    """Somebody is, again."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            try:
                _, writer = await asyncio.open_connection(HERE, port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                await writer.wait_closed()
                return


def test_from_a_venue_to_a_client_also_where_the_process_between_is_killed(tmp_path: Path) -> None:
    async def scene() -> None:
        fix = ["--fix", f"{HERE}:0", "--fix-store", str(tmp_path), "--linger", "60"]
        async with Venue("binance") as venue, lb_books(*venue.options, *fix) as program:
            async with connected(program.fix_port) as client:
                await client.log_on()
                await client.say("V", request("one", 0, SYMBOL))
                await venue.until(lambda: TOPIC in venue.topics)
                await venue.say(binance_whole(1, [(100_00, 10**8)], [(101_00, 10**8)]))
                book = await client.expect("W")
                assert [(entry[270], entry[282]) for entry in book.groups(268, 269)] == [
                    ("100.00", "binance"), ("101.00", "binance")
                ]  # fmt: skip
                killed = process_of_fix(program.process.pid)
                os.kill(killed, signal.SIGKILL)
                await until(lambda: not Path(f"/proc/{killed}").exists())  # until then it may still listen
            await listening(program.fix_port)
            async with connected(program.fix_port, sent=client.sent, taken=client.taken) as client:
                await client.log_on()
                await client.say("V", request("two", 1, SYMBOL))
                assert len((await client.expect("W")).groups(268, 269)) == 2
                program.process.terminate()
                assert (await client.expect("5"))[58] == "lb-books stops"
                await client.say("5")
                assert await client.is_closed()
            assert await program.process.wait() == 0

    run(scene())


def test_it_ends_with_lb_books_also_where_that_is_gone_in_one_moment(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As where it is killed: the end of the books, and that of the standard input, are seen together."""

    async def scene() -> None:
        address = f"unix:{tmp_path}/books"
        server = Server(Market([SYMBOL]))
        await server.start(address)
        gateway = Gateway(f"{HERE}:0", ["--books", address, "--depth", "10"])
        await gateway.start()
        pid = process_of_fix(os.getpid())
        os.kill(pid, signal.SIGSTOP)
        await server.stop(0)
        stopping = asyncio.create_task(gateway.stop())
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGCONT)
        await stopping

    run(scene())
    assert "killed" not in capfd.readouterr().err
