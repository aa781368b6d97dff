"""The lb of a venue: ours or another's, its topics while it runs, and what is told when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from harness import Feed, lb_environment
from harness import Lb as LbProcess
from harness.feed import Peer, asked

from trade_balancer.books import lbs
from trade_balancer.books.key import Key
from trade_balancer.books.lbs import Lb, Ours
from trade_balancer.frames import LENGTH_BYTES

pytestmark = pytest.mark.slow

TIMEOUT_S = 20.0


def event(stream: str, number: int) -> bytes:
    return b'{"stream":"%s","data":{"n":%d}}' % (stream.encode(), number)


def begin(peer: Peer) -> None:
    peer.upgrade()
    assert asked(peer, "SET_PROPERTY") == ["combined", True]


class Seen:
    """What an Lb has called back with."""

    def __init__(self, name: str, where: str | Ours) -> None:
        self.records: list[bytes] = []
        self.sessions: list[bool] = []
        self.records_at_loss = 0
        self.drops = 0
        self._changed = asyncio.Event()
        self.lb = Lb(name, where, on_data=self._data, on_session=self._session, on_dropped=self._dropped)

    def _data(self, data: memoryview, received_ns: int) -> int:
        """One record, as if it were much work."""
        assert received_ns > 0
        size = int.from_bytes(data[:LENGTH_BYTES], "little")
        if len(data) < LENGTH_BYTES + size or len(data) < LENGTH_BYTES:
            return 0
        self.records.append(bytes(data[LENGTH_BYTES : LENGTH_BYTES + size]))
        self._changed.set()
        return LENGTH_BYTES + size

    def _session(self, is_open: bool, why: str) -> None:
        assert why
        self.sessions.append(is_open)
        self.records_at_loss = len(self.records)
        self._changed.set()

    def _dropped(self) -> None:
        self.drops += 1
        self._changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not holds():
                self._changed.clear()
                await self._changed.wait()


@contextlib.asynccontextmanager
async def running(name: str, where: str | Ours) -> AsyncIterator[Seen]:
    seen = Seen(name, where)
    task = asyncio.ensure_future(seen.lb.run())
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def feed() -> Iterator[Feed]:
    with Feed() as feed:
        yield feed


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lbs, "LEAST_DELAY_S", 0.01)
    monkeypatch.setenv("PYTHONPATH", lb_environment()["PYTHONPATH"])


def of_ours(folder: Path) -> list[int]:
    """The processes that serve a socket in this folder."""
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if f"{folder}/".encode() in line.read_bytes() and b"--control" in line.read_bytes():
                found.append(int(line.parent.name))
    return found


def test_one_of_ours_has_the_topics_of_the_moment_and_ends_with_us(feed: Feed, tmp_path: Path) -> None:
    async def scene() -> None:
        async with running("binance", Ours("binance", feed.url, tmp_path)) as seen:
            with await asyncio.to_thread(feed.connection) as peer:
                await asyncio.to_thread(begin, peer)
                await seen.until(lambda: seen.sessions == [True])
                seen.lb.subscribe(["btcusdt@depth20@100ms"])
                assert await asyncio.to_thread(asked, peer, "SUBSCRIBE") == ["btcusdt@depth20@100ms"]
                peer.say(event("btcusdt@depth20@100ms", 1))
                seen.lb.subscribe(["ethusdt@depth20@100ms"])
                assert await asyncio.to_thread(asked, peer, "SUBSCRIBE") == ["ethusdt@depth20@100ms"]
                for number in range(2, 300):
                    peer.say(event("ethusdt@depth20@100ms", number))
                seen.lb.unsubscribe(["btcusdt@depth20@100ms"])
                assert await asyncio.to_thread(asked, peer, "UNSUBSCRIBE") == ["btcusdt@depth20@100ms"]
                await seen.until(lambda: len(seen.records) == 299)
                assert seen.records[0] == event("btcusdt@depth20@100ms", 1)
                assert seen.records[1:] == [event("ethusdt@depth20@100ms", number) for number in range(2, 300)]
                seen.lb.begin_anew(["ethusdt@depth20@100ms"])
                assert await asyncio.to_thread(asked, peer, "UNSUBSCRIBE") == ["ethusdt@depth20@100ms"]
                assert await asyncio.to_thread(asked, peer, "SUBSCRIBE") == ["ethusdt@depth20@100ms"]
        assert seen.sessions == [True, False]
        assert of_ours(tmp_path) == []

    asyncio.run(scene())


def test_a_session_that_is_lost_is_told_and_one_of_ours_that_dies_is_followed_by_the_next(
    feed: Feed, tmp_path: Path
) -> None:
    async def scene() -> None:
        async with running("binance", Ours("binance", feed.url, tmp_path)) as seen:
            seen.lb.subscribe(["a@depth20", "b@depth20"])
            with await asyncio.to_thread(feed.connection) as peer:
                await asyncio.to_thread(begin, peer)
                assert await asyncio.to_thread(asked, peer, "SUBSCRIBE") == ["a@depth20", "b@depth20"]
                await seen.until(lambda: seen.sessions == [True])
                for number in range(1000):
                    peer.say(event("a@depth20", number))
            await seen.until(lambda: seen.sessions == [True, False])
            assert seen.records_at_loss == 1000, "what comes behind the loss is of the next session"
            with await asyncio.to_thread(feed.connection) as peer:
                await asyncio.to_thread(begin, peer)
                await seen.until(lambda: seen.sessions == [True, False, True])
                (pid,) = of_ours(tmp_path)
                os.kill(pid, signal.SIGKILL)
                await seen.until(lambda: seen.sessions == [True, False, True, False])
            with await asyncio.to_thread(feed.connection) as peer:
                await asyncio.to_thread(begin, peer)
                assert await asyncio.to_thread(asked, peer, "SUBSCRIBE") == ["a@depth20", "b@depth20"]
                await seen.until(lambda: seen.sessions[-1])
                assert seen.lb.starts_total == 2

    asyncio.run(scene())


def test_another_s_lb_is_joined_and_goes_on_without_us(feed: Feed, tmp_path: Path) -> None:
    path = tmp_path / "lb.sock"
    options = ("--feed", "binance", "--control", str(path), "--subscribe", "w@trade", "--linger", "0")

    async def scene(peer: Peer) -> None:
        async with running("binance", str(path)) as seen:
            seen.lb.subscribe(["a@depth20"])
            assert await asyncio.to_thread(asked, peer, "SUBSCRIBE") == ["a@depth20"]
            peer.say(event("w@trade", 0))
            peer.say(event("a@depth20", 1))
            await seen.until(lambda: len(seen.records) == 1)
            assert seen.records == [event("a@depth20", 1)]
            assert seen.sessions == [True]
        assert await asyncio.to_thread(asked, peer, "UNSUBSCRIBE") == ["a@depth20"]

    with LbProcess(feed.url, 1, *options, key="none") as lb, feed.connection() as peer:
        begin(peer)
        assert asked(peer, "SUBSCRIBE") == ["w@trade"]
        lb.await_line("session open")
        asyncio.run(scene(peer))
        peer.say(event("w@trade", 2))
        lb.await_records(2)


_PARENT = """\
import asyncio, sys
from pathlib import Path
from trade_balancer.books.lbs import Lb, Ours
lb = Lb("binance", Ours("binance", sys.argv[1], Path(sys.argv[2])), on_data=lambda data, ns: len(data),
    on_session=lambda is_open, why: print(is_open, flush=True), on_dropped=lambda: None)
asyncio.run(lb.run())
"""


def test_one_of_ours_ends_also_where_we_are_killed(feed: Feed, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _PARENT, feed.url, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent, feed.connection() as peer:
        begin(peer)
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"True\n"
        assert len(of_ours(tmp_path)) == 1
        parent.kill()
        peer.receive_to_end()
        while of_ours(tmp_path):
            pass


def test_a_key_is_no_word_of_lb_s_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for a moment: lb itself would take it off again."""
    program = tmp_path / "program"
    saved = f'printf "%s\\n" "$@" >{tmp_path}/words; env >{tmp_path}/environment; cat >{tmp_path}/input'
    program.write_text(f"#!/bin/sh\n{saved}\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setenv("LB_TEST_KEY", "a-key-that-nobody-may-see")
    ours = Ours("polygon", "ws://nowhere", tmp_path, key=Key("env:LB_TEST_KEY"))
    assert lbs._start(ours, tmp_path / "control").wait(TIMEOUT_S) == 0
    said, words, environment = ((tmp_path / name).read_text() for name in ("input", "words", "environment"))
    assert said == "a-key-that-nobody-may-see\n"
    assert "ws://nowhere" in words
    assert "nobody-may-see" not in words + environment
