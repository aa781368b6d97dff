"""Slots and the workers in them: start, notice the end, start again.

    state     event                    action                          next state
    EMPTY     start(), the restart     spawn                           RUNNING, or EMPTY with back-off
    RUNNING   the worker ends          log, kill its group             LEAVING
    LEAVING   all of its group ended   realign the pipes               EMPTY with back-off
    any       stop()                   restart nothing any more

Law: a worker is its slot's process group; when it ends nothing of it may go on reading the slot's pipes. Only this
file spawns.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lb import logs
from lb.backoff import Backoff
from lb.config import Config, Spawn
from lb.errors import Unavailable
from lb.slots.spawn import spawn

STABLE_S = 10.0
"""A worker that ran this long is healthy: its end is no part of a crash loop."""

_NEVER_NS = 1 << 62


@dataclass
class Slot:
    """A numbered place for a worker, and the pipes that are read there."""

    number: int
    pipes: Sequence[int]
    read_fds: Sequence[int]
    backoff: Backoff = field(default_factory=lambda: Backoff(least_s=0.25, most_s=30.0))
    pid: int | None = None
    leaving: int | None = None
    """The process group of a worker that has ended, while not all of it has."""
    unaligned: list[int] = field(default_factory=list)
    """Pipes that may begin with the rest of a record."""
    started_ns: int = 0
    ran_s: float = 0.0
    restart_ns: int = _NEVER_NS
    restarts_total: int = 0


class Supervisor:
    """Keeps a worker in every slot. `realign` makes a pipe begin with a whole frame again after its reader died."""

    def __init__(self, config: Config, read_fds: Sequence[int], realign: Callable[[int], int]) -> None:
        self._config = config
        self._realign = realign
        self._is_stopping = False
        self._cpus = os.sched_getaffinity(0)
        """Of the workers, also when lb has chosen fewer for itself."""
        numbers = range(len(read_fds))
        shares = [numbers] if config.spawn is Spawn.SHARED else [[number] for number in numbers]
        self.slots = [Slot(n, share, [read_fds[k] for k in share]) for n, share in enumerate(shares)]

    def start(self) -> None:
        """Start every worker. Raises Unavailable where one can't be started."""
        for slot in self.slots:
            try:
                self._spawn(slot)
            except OSError as error:
                raise Unavailable(f"worker can't be started: {error.strerror}: {error.filename!r}") from None

    def tend(self, now_ns: int) -> None:
        """Start the workers whose time has come."""
        for slot in self.slots:
            if now_ns < slot.restart_ns:
                continue
            try:
                self._realign_pipes(slot)
                self._spawn(slot)
                slot.restarts_total += 1
            except OSError as error:
                logs.error("worker can't be started", slot=slot.number, error=error.strerror, path=error.filename)
                self._restart_later(slot, time.monotonic_ns())

    def reap(self) -> None:
        """Take the exit of every process that has ended: workers, and what they had started and left to us."""
        while (pid := _ended_child()) is not None:
            slot = next((slot for slot in self.slots if slot.pid == pid), None)
            if slot is not None:
                self._end(slot)
            else:
                os.waitpid(pid, 0)
        for slot in self.slots:
            if slot.leaving is not None and _is_gone(slot.leaving):
                slot.leaving = None
                self._vacated(slot)

    def stop(self) -> None:
        """From now on nothing is restarted."""
        self._is_stopping = True
        for slot in self.slots:
            slot.restart_ns = _NEVER_NS

    def kill(self) -> None:
        """SIGKILL for every worker and what it started."""
        for slot in self.slots:
            if slot.pid is not None:
                logs.warning("worker killed: it did not end in time", slot=slot.number, pid=slot.pid)
                self._end(slot)

    @property
    def running(self) -> int:
        return sum(slot.pid is not None for slot in self.slots)

    @property
    def restarts_total(self) -> int:
        return sum(slot.restarts_total for slot in self.slots)

    @property
    def deadline_ns(self) -> int:
        """When tend() has something to do next."""
        return min(slot.restart_ns for slot in self.slots)

    def _spawn(self, slot: Slot) -> None:
        config = self._config
        slot.restart_ns = _NEVER_NS
        argv = [config.worker, *config.worker_args, *(str(fd) for fd in slot.read_fds)]
        path = find_program(config.worker, config.directory)
        slot.pid = spawn(path, argv, os.environ, config.directory, slot.read_fds, self._cpus)
        slot.started_ns = time.monotonic_ns()
        logs.info("worker started", slot=slot.number, pid=slot.pid, pipes=len(slot.pipes))

    def _end(self, slot: Slot) -> None:
        """The worker has ended, or shall. Its group is killed before it is reaped: its number stays its own until
        then."""
        assert slot.pid is not None
        _kill_group(slot.pid)
        _, status = os.waitpid(slot.pid, 0)
        slot.ran_s = (time.monotonic_ns() - slot.started_ns) / 1e9
        slot.pid, slot.leaving = None, slot.pid
        is_clean = self._is_stopping and status == 0
        (logs.info if is_clean else logs.error)(
            "worker ended", slot=slot.number, pid=slot.leaving, **_cause(status), ran_s=slot.ran_s
        )

    def _vacated(self, slot: Slot) -> None:
        """Nothing of the worker reads the slot's pipes any more."""
        if self._is_stopping:
            return
        slot.unaligned = list(slot.pipes)
        with contextlib.suppress(OSError):  # said when it happens again, before the next start
            self._realign_pipes(slot)
        if slot.ran_s >= STABLE_S:
            slot.backoff.reset()
        self._restart_later(slot, time.monotonic_ns())

    def _realign_pipes(self, slot: Slot) -> None:
        """Raises OSError with the pipe as its filename."""
        while slot.unaligned:
            pipe = slot.unaligned[-1]
            dropped_bytes = self._realign(pipe)
            slot.unaligned.pop()
            if dropped_bytes:
                logs.warning("rest of a half-read record dropped", pipe=pipe, bytes=dropped_bytes)

    def _restart_later(self, slot: Slot, now_ns: int) -> None:
        is_first = slot.backoff.failures == 0
        delay_s = slot.backoff.next_delay_s()
        slot.restart_ns = now_ns if is_first else now_ns + int(delay_s * 1e9)
        if not is_first:
            logs.info("worker is restarted later", slot=slot.number, delay_s=delay_s)


def find_program(worker: str, directory: str) -> str:
    """The path to run, seen from `directory`: a name without a slash is looked for there, then in PATH."""
    if "/" in worker or os.access(Path(directory) / worker, os.X_OK):
        return worker if "/" in worker else f"./{worker}"
    return shutil.which(worker) or worker


def _ended_child() -> int | None:
    """The pid of a child that has ended, which stays to be reaped."""
    try:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if ended is None else ended.si_pid


def _is_gone(group: int) -> bool:
    """Whether all of a killed group has ended and was reaped. Orphans of it are our children (lb/slots/spawn)."""
    try:
        os.waitid(os.P_PGID, group, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _cause(status: int) -> dict[str, object]:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        known = {member.value: member.name for member in signal.Signals}  # real-time signals but two have no name
        return {"signal": known.get(number, number)}
    return {"exit_code": os.WEXITSTATUS(status)}
