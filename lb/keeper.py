"""`lb --keeper`: keeps what a killed lb leaves, and starts lb again with it, where no service manager does.

    state   event                                                 next
    RUNS    lb ends by itself; or by a signal, once it is to stop  the end, with its exit code
    RUNS    it is killed, or ends with 70                          WAITS: at once the first time, then a back-off
    RUNS    it leaves for its next start (SIGUSR2): ends with 0,   the same
            and the store is not empty
    WAITS   the time has come                                      RUNS
    WAITS   SIGTERM, SIGINT, also from before                      the end, with 74: nobody delivers what waits

To lb it is a service manager with a store of descriptors and nothing else (lb/handover/store.py): there is one way to
outlive a kill. It owns what was stored until lb takes it back or the keeper ends.

Law: one thread, nothing that waits but for events; what it holds it never reads. Only the lb that it has started is
heard: a worker that found the socket could else put a session of its own into the next start.
"""

from __future__ import annotations

import array
import fcntl
import os
import resource
import signal
import socket
import struct
import sys
import time
from collections.abc import Mapping
from typing import Any, NoReturn

from cffi import FFI

from lb import logs
from lb.backoff import Backoff
from lb.errors import EX_IOERR, EX_SOFTWARE, UsageError
from lb.feed.session import set_dumpable
from lb.signals import CAUGHT, WakeUps

ARGUMENT = "--keeper"
"""The first word of the command line."""
STABLE_S = 10.0
"""After so long a run the next start does not wait again."""

_FIRST_FD = 3
"""Of what a start finds (sd_listen_fds(3), SD_LISTEN_FDS_START)."""
_OWN_FDS = 64
"""Descriptors that keeper and lb need for themselves, more or less."""
_MOST_FDS = 253
"""With one datagram: SCM_MAX_FD."""
_LONGEST_BYTES = 64 << 10
_MOST_WORDS = 1024
"""Heard one after the other: anybody may send some, and signals are to be passed on meanwhile. More than a socket's
queue holds (net.unix.max_dgram_qlen)."""
_CREDENTIALS = struct.Struct("iII")
"""pid, uid, gid (unix(7), SCM_CREDENTIALS)."""
_PR_SET_PDEATHSIG = 1
_NEVER_NS = 1 << 62


def run(command: list[str]) -> int:
    """Start `command`, an lb, and again whenever it was killed; returns the exit code of the last.

    Raises UsageError where a service manager is there already.
    """
    if os.environ.get("NOTIFY_SOCKET"):
        raise UsageError(f"{ARGUMENT}: a service manager has started lb: it keeps the descriptors (docs/crash.md)")
    set_dumpable(False)  # its memory has the command line, and with that perhaps the key
    with WakeUps() as wake_ups, _Store() as store:
        return _Keeper(command, wake_ups, store).keep()


class _Keeper:
    def __init__(self, command: list[str], wake_ups: WakeUps, store: _Store) -> None:
        self._command = command
        self._wake_ups = wake_ups
        self._store = store
        self._backoff = Backoff(least_s=0.25, most_s=30.0)
        self._pid: int | None = None
        """Of the lb that runs."""
        self._started_ns = 0
        self._due_ns = 0
        """When the next is to be started."""
        self._is_stopping = False
        wake_ups.watch(store.fileno(), lambda: store.hear(self._pid))

    def keep(self) -> int:
        while True:
            if self._pid is None and time.monotonic_ns() >= self._due_ns:
                self._start()
            self._wake_ups.wait(self._due_ns if self._pid is None else _NEVER_NS)
            for number in self._wake_ups.take():
                self._pass_on(number)
            if (status := self._reap()) is not None and (code := self._ended(status)) is not None:
                return code
            if self._pid is None and self._is_stopping:
                logs.error("lb is not started again: what it had not delivered is lost")
                return EX_IOERR

    def _start(self) -> None:
        try:
            self._pid = _start(self._command, self._store)
        except OSError as error:  # no memory, or too many processes: what is kept stays
            delay_s = self._backoff.next_delay_s()
            self._due_ns = time.monotonic_ns() + int(delay_s * 1e9)
            logs.error("lb can't be started", error=error.strerror, delay_s=round(delay_s, 3))
            return
        self._started_ns = time.monotonic_ns()
        logs.info("lb started", pid=self._pid, kept=self._store.count)

    def _pass_on(self, number: int) -> None:
        self._is_stopping = self._is_stopping or number in (signal.SIGTERM, signal.SIGINT)
        if self._pid is not None and number not in (0, signal.SIGCHLD):
            os.kill(self._pid, number)

    def _reap(self) -> int | None:
        """How lb has ended, if it has. As the first process of a container this one has others to bury, too."""
        ended = None
        try:
            while (found := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                if found[0] == self._pid:
                    ended = found[1]
        except ChildProcessError:
            pass
        return ended

    def _ended(self, status: int) -> int | None:
        """The exit code to end with; None: lb is to be started again."""
        code = os.waitstatus_to_exitcode(status)
        self._store.hear(self._pid)
        self._pid = None
        is_leaving = code == 0 and self._store.count > 0
        is_killed = code < 0 or code == EX_SOFTWARE
        if not is_leaving and (self._is_stopping or not is_killed):
            return code if code >= 0 else 128 - code
        delay_s = self._delay_s()
        self._due_ns = time.monotonic_ns() + int(delay_s * 1e9)
        if is_killed:
            how = {"signal": signal.Signals(-code).name} if code < 0 else {"exit_code": code}
            logs.error("lb was killed: it is started again", **how, delay_s=round(delay_s, 3))
        return None

    def _delay_s(self) -> float:
        if time.monotonic_ns() - self._started_ns > STABLE_S * 1e9:
            self._backoff.reset()
        is_first = self._backoff.failures == 0
        delay_s = self._backoff.next_delay_s()
        return 0.0 if is_first else delay_s


class _Store:
    """What lb has put there, by name, and the socket on which it says so."""

    def __init__(self) -> None:
        self._limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        hard = self._limits[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.most = (hard - _OWN_FDS) // 2  # at a start there are two of each
        self._kept: list[tuple[str, int]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind("")  # an abstract name that the kernel chooses (unix(7), autobind)
        self.address = "@" + self._socket.getsockname()[1:].decode()

    def __enter__(self) -> _Store:
        return self

    def __exit__(self, *why: object) -> None:
        self._socket.close()
        for _, fd in self._kept:
            os.close(fd)

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def count(self) -> int:
        return len(self._kept)

    def hear(self, pid: int | None) -> None:
        """Do what the process has asked for since the last time; of others nothing."""
        room_bytes = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(_MOST_FDS * 4)
        for _ in range(_MOST_WORDS):
            try:
                data, ancillary, _, _ = self._socket.recvmsg(_LONGEST_BYTES, room_bytes, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            fds = array.array("i")
            sender = None
            for _, kind, content in ancillary:
                if kind == socket.SCM_RIGHTS:
                    fds.frombytes(content[: len(content) // fds.itemsize * fds.itemsize])
                else:
                    sender = _CREDENTIALS.unpack(content)[0]
            lines = data.decode(errors="replace").split("\n") if sender == pid else []
            self._do({name: value for name, _, value in (line.partition("=") for line in lines)}, list(fds))

    def _do(self, told: Mapping[str, str], fds: list[int]) -> None:
        name = told.get("FDNAME", "stored")
        if told.get("FDSTOREREMOVE") == "1":
            for _, fd in (of for of in self._kept if of[0] == name):
                os.close(fd)
            self._kept = [of for of in self._kept if of[0] != name]
        if told.get("FDSTORE") == "1" and len(self._kept) + len(fds) <= self.most:
            self._kept += [(name, fd) for fd in fds]
        else:
            for fd in fds:
                os.close(fd)

    def give(self) -> dict[str, str]:
        """Put all of it where the program that this process is about to become looks for it; the variables that tell of
        it. For a process that was forked for this."""
        first_free = _FIRST_FD + len(self._kept)
        moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, first_free) for _, fd in self._kept]
        for place, fd in enumerate(moved, _FIRST_FD):
            os.dup2(fd, place)
        resource.setrlimit(resource.RLIMIT_NOFILE, self._limits)
        told = {"NOTIFY_SOCKET": self.address, "FDSTORE": str(self.most)}
        if moved:
            names = ":".join(name for name, _ in self._kept)
            told |= {"LISTEN_FDS": str(len(moved)), "LISTEN_FDNAMES": names, "LISTEN_PID": str(os.getpid())}
        return told


def _start(command: list[str], store: _Store) -> int:
    """Its pid. Signals that come before it can take them wait for it: it has them blocked until then."""
    keeper = os.getpid()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, CAUGHT)
    try:
        if pid := os.fork():
            return pid
        _become(command, store, keeper)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _become(command: list[str], store: _Store, keeper: int) -> NoReturn:
    try:
        ffi = FFI()
        ffi.cdef("int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long);")
        libc: Any = ffi.dlopen(None)
        libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != keeper:  # it has ended before that
            os._exit(EX_SOFTWARE)
        os.execve(command[0], command, {**os.environ, **store.give()})
    except OSError as error:
        logs.error("lb can't be started", error=error.strerror, path=error.filename)
    os._exit(EX_SOFTWARE)


def command_without_keeper() -> list[str]:
    """How this process was started, but for ARGUMENT."""
    words = list(sys.orig_argv)
    words.remove(ARGUMENT)
    return [sys.executable, *words[1:]]
