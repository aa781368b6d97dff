"""Kills, of real processes: a ledger's at chosen system calls, and at random; the database's server; and in between,
and at the end, each transaction is there once.

    .venv/bin/python tests/ledger/ledger_kills.py 140                 # deaths of ledgers that write SQLite
    .venv/bin/python tests/ledger/ledger_kills.py 60 --postgresql     # ... PostgreSQL; each tenth is the server's

The processes are forked from this one: a death takes milliseconds. What lb is to its workers this is to them: it keeps
what they have not acknowledged.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import select
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

HERE = Path(__file__).parent
sys.path += [str(HERE), *(str(HERE.parent / name) for name in (".", "workers", "workers/postgresql"))]

from harness.preload import preload  # noqa: E402
from ledger_traffic import expected, transaction  # noqa: E402

from trade_balancer.ledger.audit import audit  # noqa: E402
from trade_balancer.ledger.opening import open_existing  # noqa: E402
from trade_balancer.ledger.program import main as ledger  # noqa: E402
from trade_balancer.ledger.sharding import Hash, shard_of  # noqa: E402
from trade_balancer.ledger.transaction import text_of  # noqa: E402

SHARDS = 3
PIPE_FD, CHANNEL_FD = 100, 200
"""The first of them, of the shards, in the ledgers' processes."""
CALLS = """
static int left, is_behind;
void die_at_call(int number, int behind) { left = number; is_behind = behind; }
static int counts(void) { return left > 0 && --left == 0; }
#define WRAPPED(type, name, parameters, arguments)                                              \\
    type name parameters                                                                        \\
    {                                                                                           \\
        static type(*real) parameters;                                                          \\
        const int dies = counts();                                                              \\
        if (real == NULL)                                                                       \\
            *(void **)&real = dlsym(RTLD_NEXT, #name);                                          \\
        if (dies && !is_behind)                                                                 \\
            kill(getpid(), SIGKILL);                                                            \\
        const type done = real arguments;                                                       \\
        if (dies)                                                                               \\
            kill(getpid(), SIGKILL);                                                            \\
        return done;                                                                            \\
    }
#include <sys/socket.h>
WRAPPED(ssize_t, pwrite, (int fd, const void *from, size_t size, off_t at), (fd, from, size, at))
WRAPPED(ssize_t, pwrite64, (int fd, const void *from, size_t size, off64_t at), (fd, from, size, at))
WRAPPED(int, fdatasync, (int fd), (fd))
WRAPPED(int, fsync, (int fd), (fd))
WRAPPED(int, ftruncate, (int fd, off_t size), (fd, size))
WRAPPED(int, ftruncate64, (int fd, off64_t size), (fd, size))
WRAPPED(int, unlink, (const char *path), (path))
WRAPPED(int, link, (const char *path, const char *other), (path, other))
WRAPPED(ssize_t, send, (int fd, const void *from, size_t size, int flags), (fd, from, size, flags))
WRAPPED(ssize_t, recv, (int fd, void *to, size_t size, int flags), (fd, to, size, flags))
"""
"""SQLite's calls, the client of PostgreSQL's, and the acknowledgements to lb."""


class Line:
    """A ledger's process, its pipe and its channel, and what it has not acknowledged."""

    def __init__(self, number: int, database: str) -> None:
        self.number = number
        self.records: list[bytes] = []
        self.acknowledged = 0
        self.pid = 0
        self.write_fd = -1
        self.channel = socket.socket()  # nobody's
        self._database = database

    def begin(self, others: list[Line], die_at: int, behind: bool) -> None:
        """Another process, which dies at its call of this number; 0: it does not by itself."""
        read_fd, self.write_fd = os.pipe()
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.first = self.written = self.acknowledged
        self.pending = memoryview(b"")
        self.pid = os.fork()
        if not self.pid:
            code = 70
            try:
                for one in {self, *others}:
                    one.close()
                code = self._be_a_ledger(read_fd, theirs, die_at, behind)
            finally:
                os._exit(code)
        os.close(read_fd)
        theirs.close()
        os.set_blocking(self.write_fd, False)

    def _be_a_ledger(self, read_fd: int, channel: socket.socket, die_at: int, behind: bool) -> int:
        pipe, way_back = PIPE_FD + self.number, CHANNEL_FD + self.number
        os.dup2(read_fd, pipe)
        os.dup2(channel.fileno(), way_back)
        channel.close()
        os.environ |= {"LB_PIPES": "1", "LB_CHANNEL": str(way_back), "LB_FIRST": f"{pipe}:{self.first}", "LB_RUN": "r"}
        os.dup2(os.open(os.environ["LB_KILLS_LOG"], os.O_WRONLY | os.O_APPEND), 2)  # its own words
        ctypes.CDLL(None).die_at_call(die_at, behind)
        words = ["--database", self._database, "--shards", str(SHARDS), "--batch-max", "40", str(pipe)]
        return ledger(["run", *words])

    def write(self) -> None:
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            while self.pending or self.written < len(self.records):
                if not self.pending:
                    some = self.records[self.written : self.written + 50]
                    self.pending = memoryview(b"".join(len(one).to_bytes(4, "little") + one for one in some))
                    self.written += len(some)
                self.pending = self.pending[os.write(self.write_fd, self.pending) :]

    def hear(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            while word := self.channel.recv(100, socket.MSG_DONTWAIT):
                if word.startswith(b"ACK"):
                    self.acknowledged = self.first + int(word.split()[2])

    def close(self) -> None:
        if self.write_fd >= 0:
            os.close(self.write_fd)
        self.channel.close()
        self.write_fd = -1


class Bank:
    """All lines, fed with numbered transactions for as long as deaths are wanted.

    Args:
        kill_server: of the database; it is back when this returns.
    """

    def __init__(self, database: str, seed: int, kill_server: Callable[[], None] | None) -> None:
        self._database = database
        self._random = Random(seed)
        self._kill_server = kill_server
        self.lines = [Line(number, database) for number in range(SHARDS)]
        self.sent = self.deaths = self.of_server = 0

    def run(self, deaths: int) -> None:
        """Raises AssertionError where the ledger is wrong."""
        for line in self.lines:
            self._begin(line)
        while self.deaths + self.of_server < deaths:
            self._feed()
            self._move(0.01)
            if self._kill_server is not None and self.deaths >= 9 * (self.of_server + 1):
                self.of_server += 1
                self._kill_server()
            elif self._random.random() < 0.02:
                os.kill(self._random.choice(self.lines).pid, signal.SIGKILL)
            for line in self.lines:
                if self._has_died(line):
                    self.deaths += 1
                    self._begin(line)
        self._finish()
        self.check()

    def _begin(self, line: Line, *, may_die: bool = True) -> None:
        line.hear()
        line.close()
        others = [one for one in self.lines if one is not line]
        line.begin(others, int(self._random.paretovariate(0.4)) if may_die else 0, self._random.random() < 0.5)

    def _feed(self) -> None:
        while min(len(line.records) - line.acknowledged for line in self.lines) < 400:
            record = transaction(self.sent)
            account = record.split(b'"account":"')[1].split(b'"')[0].decode()
            self.lines[shard_of(account, SHARDS, Hash.FNV1A)].records.append(record)
            self.sent += 1

    def _move(self, timeout_s: float) -> None:
        select.select([line.channel for line in self.lines], [], [], timeout_s)
        for line in self.lines:
            line.write()
            line.hear()

    def _has_died(self, line: Line) -> bool:
        pid, status = os.waitpid(line.pid, os.WNOHANG)
        assert not pid or os.WIFSIGNALED(status), f"a ledger has ended with {os.waitstatus_to_exitcode(status)}"
        return bool(pid)

    def _finish(self) -> None:
        """With processes that live; they end with their pipes."""
        for line in self.lines:
            os.kill(line.pid, signal.SIGKILL)
            os.waitpid(line.pid, 0)
            self._begin(line, may_die=False)
        while any(line.written < len(line.records) or line.pending for line in self.lines):
            self._move(0.01)
            assert not any(self._has_died(line) for line in self.lines)
        for line in self.lines:
            os.close(line.write_fd)
            line.write_fd = -1
        for line in self.lines:
            _, status = os.waitpid(line.pid, 0)
            assert status == 0, f"a ledger has ended with {os.waitstatus_to_exitcode(status)}"
            line.hear()
            assert line.acknowledged == len(line.records)

    def check(self) -> None:
        with contextlib.closing(open_existing(self._database)) as database:
            snapshots = database.snapshots()
            findings = audit(database.layout, snapshots)
            available = {one.account: text_of(one.available) for shot in snapshots for one in shot.balances()}
            for shot in snapshots:
                shot.close()
        assert findings.faults == []
        told = (findings.applied, findings.refused, findings.repeated, findings.in_flight)
        assert told == (self.sent, 0, 0, 0), (told, self.sent)
        assert available == {name: f"{units.normalize():f}" for name, units in expected(self.sent).items()}


@contextlib.contextmanager
def _server_of_postgresql(folder: Path):  # type: ignore[no-untyped-def]
    from postgresql_server import Server

    with Server() as server:
        url = folder / "url"
        url.write_text(f"postgresql://lb@/postgres?host={server.folder}")

        def kill() -> None:
            server.kill()
            server.start()

        yield f"@{url}", kill


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("deaths", type=int)
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lb-ledger-kills-") as name:
        folder = Path(name)
        if "LB_KILLS" not in os.environ:
            environment = os.environ | preload(folder, CALLS) | {"LB_KILLS": "1"}
            return os.spawnve(os.P_WAIT, sys.executable, [sys.executable, *sys.argv], environment)
        log = folder / "log"
        log.touch()
        os.environ["LB_KILLS_LOG"] = str(log)
        begin_s = time.monotonic()
        with contextlib.ExitStack() as stack:
            database, kill = str(folder / "ledger"), None
            if options.postgresql:
                database, kill = stack.enter_context(_server_of_postgresql(folder))
            bank = Bank(database, options.seed, kill)
            try:
                bank.run(options.deaths)
            except BaseException:
                print(f"seed {options.seed}\n{log.read_text()[-3000:]}")
                raise
            finally:
                for line in bank.lines:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(line.pid or os.getpid(), signal.SIGKILL if line.pid else 0)
        print(
            f"{bank.deaths} ledgers and {bank.of_server} servers killed in {time.monotonic() - begin_s:.1f} s, "
            f"{bank.sent} transactions, each there once"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
