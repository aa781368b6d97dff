"""The lb that holds a venue's session, and a reader of it: one that runs already, or one of ours.

Law: one of ours ends with us, however we end, and is started again when it ends. Topics change in the pipe that the
reader has, so that no record of the others is lost; what lb had to drop all the same is told. Nothing here waits for an
answer of lb in the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from trade_balancer.books.key import Key
from trade_balancer.control import connected
from trade_balancer.control.attach import Attached, attach
from trade_balancer.errors import NoBalancerError, RefusedError, WorkerError, tell

LEAST_DELAY_S = 0.2
"""Before the next lb, or the next look for one; it doubles up to MOST_DELAY_S, and HEALTHY_S later begins anew."""
MOST_DELAY_S = 10.0
HEALTHY_S = 30.0
START_S = 15.0
"""For an lb of ours to serve its control socket."""
STOP_S = 5.0
MOST_TOPICS = 500
"""Of one request: a line has room for them."""

_LOOK_S = 0.02
_READ_BYTES = 1 << 20
_LONGEST_LINE_BYTES = 64 << 20
_DROPPED = b'{"ev":"lb","dropped":'
_ASK = b'{"v":1,"id":1,"verb":"status"}\n{"v":1,"id":2,"verb":"watch"}\n'
_LOST = ("session lost", "session over", "no session")

_TIED = """\
import ctypes, os, runpy, sys
ctypes.CDLL(None).prctl(1, 15, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGTERM
parent = int(sys.argv.pop(1))
if os.getppid() == parent:
    sys.argv[0] = "lb"
    runpy.run_module("lb", run_name="__main__", alter_sys=True)
"""
"""An lb that gets SIGTERM when the thread that has started it ends, or ends at once where that has happened already."""


@dataclass(frozen=True, slots=True)
class Ours:
    """An lb to be started. `folder` is for its socket, and ours alone; `key` for a venue that wants one."""

    feed: str
    url: str
    folder: Path
    options: tuple[str, ...] = ()
    key: Key | None = None


class Lb:
    """One venue's. `run()` it, and tell it what is wanted at any time.

    Args:
        name: the venue's, for what is told.
        where: the path of a control socket, or how to start one of ours.
        on_data: called with what the pipe holds (length-framed records, the last one perhaps cut off) and when it was
            read (ns since 1970); returns how many bytes of it were taken. What is left comes again, with more behind.
        on_session: called with whether there is a session, and what lb says about it.
        on_dropped: called when records are missing: we were too slow.
        backlog_bytes: how much may wait in lb for us; a power of two.
    """

    def __init__(
        self,
        name: str,
        where: str | Ours,
        *,
        on_data: Callable[[memoryview, int], int],
        on_session: Callable[[bool, str], object],
        on_dropped: Callable[[], object],
        backlog_bytes: int = 8 << 20,
    ) -> None:
        self.name = name
        self._backlog_bytes = backlog_bytes
        self._where = where
        self._on_data = on_data
        self._on_session = on_session
        self._on_dropped = on_dropped
        self.is_open = False
        """There is a session."""
        self._wanted: dict[str, None] = {}
        self._again: set[str] = set()
        self._changed = asyncio.Event()
        self._pipe: _Pipe | None = None
        self.starts_total = 0
        self.sessions_total = 0
        self.drops_total = 0
        """Times that records were missing."""

    def subscribe(self, topics: Iterable[str]) -> None:
        self._wanted.update(dict.fromkeys(topics))
        self._changed.set()

    def unsubscribe(self, topics: Iterable[str]) -> None:
        for topic in topics:
            self._wanted.pop(topic, None)
            self._again.add(topic)  # where it is wanted again before lb was told that it is not
        self._changed.set()

    def begin_anew(self, topics: Iterable[str]) -> None:
        """The venue is asked for these once more: some then tell the whole book."""
        self._again.update(topics)
        self._changed.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        delay_s = LEAST_DELAY_S
        while True:
            began_s = time.monotonic()
            try:
                async with self._serving() as path:
                    await self._read_on(path)
                why = "lb has ended"
            except (WorkerError, OSError) as fault:
                why = str(fault)
            finally:
                self._session(False, "lb has ended")
            if time.monotonic() - began_s > HEALTHY_S:
                delay_s = LEAST_DELAY_S
            tell(f"{self.name}: {why}; the next try in {delay_s:.1f} s")
            await asyncio.sleep(delay_s * random.uniform(0.8, 1.2))
            delay_s = min(2 * delay_s, MOST_DELAY_S)

    def _session(self, is_open: bool, why: str) -> None:
        if is_open != self.is_open:
            if self._pipe is not None and not is_open:
                self._pipe.read_out()  # what comes behind it is of the next session
            self.is_open = is_open
            self.sessions_total += is_open
            self._on_session(is_open, why)

    @contextlib.asynccontextmanager
    async def _serving(self) -> AsyncIterator[str]:
        """The path where an lb serves."""
        if isinstance(self._where, str):
            yield self._where
            return
        path = self._where.folder / f"{self.name}.sock"
        process = _start(self._where, path)
        self.starts_total += 1
        try:
            await _until_served(process, path)
            yield str(path)
        finally:
            await _end(process)

    async def _read_on(self, path: str) -> None:
        """Be a reader of it until it ends."""
        reader = await asyncio.to_thread(attach, path, [], markers=True, backlog=self._backlog_bytes)
        with contextlib.closing(reader):
            pipe = self._pipe = _Pipe(self, reader.fd)
            tasks = [asyncio.ensure_future(one) for one in (pipe.run(), self._watch(path), self._tell_topics(reader))]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                self._pipe = None
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _tell_topics(self, reader: Attached) -> None:
        """What changes while lb is told something is told together."""
        told: dict[str, None] = {}
        while True:
            self._changed.clear()
            over = [topic for topic in told if topic not in self._wanted]
            fresh = [topic for topic in self._wanted if topic not in told]
            again = [topic for topic in self._again if topic in told and topic in self._wanted]
            self._again.clear()
            for change, topics in (("remove", over), ("add", fresh), ("again", again)):
                for at in range(0, len(topics), MOST_TOPICS):
                    await self._change(reader, change, topics[at : at + MOST_TOPICS])
            told = {topic: None for topic in told if topic not in over} | dict.fromkeys(fresh)
            await self._changed.wait()

    async def _change(self, reader: Attached, change: str, topics: list[str]) -> None:
        arguments: dict[str, Any] = {change: topics}
        try:
            await asyncio.to_thread(reader.change, **arguments)
        except RefusedError as fault:
            tell(f"{self.name}: lb refuses topics: {fault}")

    async def _watch(self, path: str) -> None:
        """Sessions, as lb tells of them."""
        connection = await asyncio.open_unix_connection(sock=connected(path), limit=_LONGEST_LINE_BYTES)
        lines, writer = connection
        try:
            writer.write(_ASK)
            async for line in lines:
                said = orjson.loads(line)
                told = said.get("event", said.get("result", {}))
                if "session" in told and isinstance(told["session"], dict):
                    self._session(told["session"].get("state") == "open", f"session {told['session'].get('state')}")
                elif told.get("message") == "session open":
                    self._session(True, "session open")
                elif told.get("message") in _LOST:
                    self._session(False, ": ".join(filter(None, (told["message"], told.get("reason")))))
        finally:
            writer.close()


class _Pipe:
    """The reader's pipe."""

    def __init__(self, lb: Lb, fd: int) -> None:
        self._lb = lb
        self._fd = fd
        self._buffer = bytearray(2 * _READ_BYTES)
        self._held = 0
        os.set_blocking(fd, False)

    async def run(self) -> None:
        """Until it ends. Raises what `on_data` does."""
        loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._fd, self._readable)
        try:
            await self._over
        finally:
            loop.remove_reader(self._fd)

    def _readable(self) -> None:
        if self._over.done():
            return
        try:
            if self._read() == 0:
                self._over.set_result(None)
        except Exception as fault:
            self._over.set_exception(fault)

    def read_out(self) -> None:
        """All that it holds at this moment, or more."""
        while self._read():
            pass

    def _read(self) -> int | None:
        """At most _READ_BYTES, so that other venues have their turn. Returns how many; 0 at the end, None where nothing
        is there yet."""
        if len(self._buffer) - self._held < _READ_BYTES // 2:
            self._buffer.extend(bytes(len(self._buffer)))
        with memoryview(self._buffer) as room:
            try:
                count = os.readv(self._fd, [room[self._held : self._held + _READ_BYTES]])
            except BlockingIOError:
                return None
            now_ns = time.time_ns()
            before, self._held = self._held, self._held + count
            if self._buffer.find(_DROPPED, max(0, before - len(_DROPPED)), self._held) >= 0:
                self._lb.drops_total += 1
                self._lb._on_dropped()
            taken = 0
            while taken < self._held and (more := self._lb._on_data(room[taken : self._held], now_ns)):
                taken += more
            self._held -= taken
            room[: self._held] = room[taken : taken + self._held]
        return count


def _start(ours: Ours, path: Path) -> subprocess.Popen[bytes]:
    """Its log has warnings and errors, beside ours. In a session of its own: a terminal's ^C is ours. The key comes by
    its standard input, which nobody else can read. Raises InputError: the key can't be read."""
    key = ours.key.reveal() if ours.key else None
    command = [sys.executable, "-c", _TIED, str(os.getpid()), "--feed", ours.feed, "--control", str(path)]
    command += ["--log-level", "warning", "--stats-interval", "0", *ours.options, "-" if key else "none", ours.url, "0"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin as stdin:  # an lb that has ended says so by its exit code
        stdin.write(f"{key}\n".encode() if key else b"")
    return process


async def _until_served(process: subprocess.Popen[bytes], path: Path) -> None:
    """Raises NoBalancerError."""
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s:
        if process.poll() is not None:
            raise NoBalancerError(f"lb ended at its start with {_in_words(process.returncode)}")
        with contextlib.suppress(NoBalancerError):
            connected(str(path)).close()
            return
        await asyncio.sleep(_LOOK_S)
    raise NoBalancerError(f"lb does not serve {path} within {START_S:g} s")


async def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.to_thread(process.wait, STOP_S)
    except (subprocess.TimeoutExpired, asyncio.CancelledError):
        process.kill()
        process.wait()


def _in_words(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
