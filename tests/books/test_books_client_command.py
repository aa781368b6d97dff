"""lb-books-client, as a process, against a server that the test feeds by hand."""

from __future__ import annotations

import asyncio
import io
import json
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from serving import SYMBOL, Made, Upstream, run, served, until

from trade_balancer.books.service import protos
from trade_balancer.books.service.access import Access
from trade_balancer.books.service.screen import Screen
from trade_balancer.books.service.server import Server
from trade_balancer.books.service.told import scaled, told

PIPE = asyncio.subprocess.PIPE
SYNCING = protos.POOL.FindEnumTypeByName("tradebalancer.books.v1.State").values_by_name["SYNCING"].number


@asynccontextmanager
async def client(port: int, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    command = [str(Path(sys.executable).with_name("lb-books-client")), "--server", f"127.0.0.1:{port}", *words]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line(stream: asyncio.StreamReader | None) -> str:
    assert stream
    return (await stream.readline()).decode().strip()


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str, str]:
    """Exit code, and what it has said."""
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def test_a_line_of_json_for_each_summary_until_it_is_told_to_end() -> None:
    async def main() -> None:
        upstream = Upstream()
        async with served(upstream) as (server, port), client(port, "--json", "--depth", "2", SYMBOL) as process:
            await until(lambda: upstream.market.watchers(SYMBOL) == 1)
            for _ in range(3):
                newest = upstream.offer()
                got = json.loads(await line(process.stdout))
                assert (got["symbol"], got["sequence"], got["skipped"]) == (SYMBOL, newest, 0)
            level = {"venue": "there", "price": f"0.0{newest}", "size": f"0.0000000{newest}"}
            assert got["bids"] == got["asks"] == [level, level]
            assert (got["spread"], got["crossing"]) == ("-0.01", "crossed")
            assert [venue["state"] for venue in got["venues"]] == ["live", "live"]
            process.send_signal(signal.SIGINT)
            assert (await ended(process))[0] == 0
            await until(lambda: len(server.clients) == 0)

    run(main())


def test_it_says_that_the_server_is_lost_and_goes_on_when_it_is_back() -> None:
    async def main() -> None:
        upstream = Upstream()
        server = Server(upstream.market)
        port = await server.start("127.0.0.1:0")
        async with client(port, "--json", SYMBOL) as process:
            await until(lambda: upstream.market.watchers(SYMBOL) == 1)
            upstream.offer()
            await line(process.stdout)
            await server.stop(20)
            said = await line(process.stderr)
            # grpc.aio may hide the server's own words
            why = "(lb-books stops|it has ended the stream)"
            assert re.fullmatch(f"lb-books-client: lb-books at 127.0.0.1:{port} is lost, and tried again: {why}", said)
            server = Server(upstream.market)
            await server.start(f"127.0.0.1:{port}")
            await until(lambda: upstream.market.watchers(SYMBOL) == 1)
            newest = upstream.offer()
            assert json.loads(await line(process.stdout))["sequence"] == newest
        await server.stop(0)

    run(main())


def test_once_shows_a_book_of_each_that_is_whole_and_ends() -> None:
    async def main() -> None:
        upstream = Upstream()
        async with (
            served(upstream) as (_, port),
            client(port, "--once", SYMBOL, "ETH-BTC") as process,
            client(port, "--once", "--json", SYMBOL) as other,
        ):
            await until(lambda: upstream.market.watchers(SYMBOL) == 2 and upstream.market.watchers("ETH-BTC") == 1)
            upstream.offer(SYMBOL, levels=0, state=SYNCING)
            upstream.offer("ETH-BTC")
            newest = upstream.offer(SYMBOL)
            code, out, err = await ended(other)
            assert (code, json.loads(out)["sequence"], err) == (0, newest, "")
            code, out, err = await ended(process)
            assert (code, err) == (0, "")
            assert re.findall(r"^(\S+)  spread (\S+)  CROSSED", out, re.M) == [(SYMBOL, "-0.01"), ("ETH-BTC", "-0.01")]
            assert out.count("0.03") == 20  # ten levels of both sides

    run(main())


def test_what_goes_wrong_is_one_sentence(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("sesame")
    token.chmod(0o600)

    async def main() -> None:
        async with served(Upstream(), access=Access(token=token)) as (_, port):
            words = ["--token-file", str(token)]
            for code, said, given in (
                (64, r"no venue has the symbol 'BTC-USX'; there is BTC-USD.*", [*words, "BTC-USX"]),
                (77, r"lb-books at \S+ lets nobody in without its token: .*", [SYMBOL]),
                (69, r"no lb-books answers at \S+: .*", [*words, "--tls", SYMBOL]),
                (69, r"no lb-books answers at 127.0.0.1:1: .*", ["--server", "127.0.0.1:1", SYMBOL]),
                (66, r"\S+none: No such file or directory", ["--token-file", str(tmp_path / "none"), SYMBOL]),
                (64, r"--cert and --key go together", ["--cert", str(token), SYMBOL]),
            ):
                async with client(port, "--json", *given) as process:
                    result = await ended(process)
                    assert result[:2] == (code, ""), result
                    assert re.fullmatch(f"lb-books-client: {said}\n", result[2]), result

    run(main())


def test_without_the_extra_it_says_which_is_missing() -> None:
    program = (
        "import sys; sys.modules[{!r}] = None\nfrom trade_balancer.books.service.client import main; sys.exit(main())"
    )
    for module in ("grpc", "google.protobuf.descriptor_pb2", "rich.console"):
        command = [sys.executable, "-c", program.format(module), SYMBOL]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 69, done
        assert re.fullmatch(r"-c: .* needs the package .*: pip install 'trade-balancer\[books\]'\n", done.stderr), done


@given(st.integers(-(1 << 63), (1 << 63) - 1), st.integers(0, 18))
def test_scaled_numbers_are_exact(number: int, decimals: int) -> None:
    text = scaled(number, decimals)
    assert int(text.replace(".", "")) == number
    assert len(text.partition(".")[2]) == decimals


def drawn(screen: Screen) -> str:
    console = Console(file=io.StringIO(), width=100, highlight=False)
    console.print(screen.drawn())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_screen_marks_what_is_to_be_seen() -> None:
    screen = Screen([SYMBOL, "ETH-BTC"], "here:1")
    assert "waiting for a first book" in drawn(screen)
    summary = protos.Summary.FromString(Made(SYMBOL, 5).v1(3))
    summary.skipped = 1200
    summary.received_ns = 10_000_000_000
    summary.venues[0].received_ns = 7_000_000_000
    summary.venues[1].state = 2
    summary.venues[1].name = "th\x1b[2Jere"
    screen.take(told(summary))
    screen.take(told(summary))
    picture = drawn(screen)
    assert "spread -0.01  CROSSED  #5  skipped 2,400" in picture
    assert re.search(r"here live 3\.\d s", picture)
    assert re.search(r"stale  ", picture)  # it has never said anything: no age
    assert "ETH-BTC  nothing yet" in picture
    assert "\x1b" not in picture
    del summary.bids[:]
    summary.ClearField("spread")
    screen.take(told(summary))
    assert "one side is empty" in drawn(screen)
    screen.lose("gone")
    assert "lost, and tried again: gone" in drawn(screen)
