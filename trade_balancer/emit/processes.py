"""A process for each core, each with a socket of its own at one address (SO_REUSEPORT): the kernel deals them clients.

Law: what a signal ends is started again, after a while; what is told to stop is waited for. The sockets are made before
the processes: clients that come while one is started again wait in its socket.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import NoReturn

from trade_balancer.errors import WorkerError, report, tell
from trade_balancer.processes import bond_to_this_process

RESTART_S = 1.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

Work = Callable[[int], int]
"""What a process does, by its number; returns its exit code."""


def serve(processes: int, work: Work, mourn: Callable[[int], None], forget: Callable[[], None]) -> int:
    """Runs `work` in so many processes until a signal, of which they are told, or until they have ended by themselves.

    `mourn` is called with the number of each that has ended; `forget` when all are to end: it closes the parent's own
    of their sockets.

    Returns the exit code, the first of theirs that is not 0. The first one that can't begin or go on ends all.
    """
    parent = _Parent(work)
    for number in range(processes):
        parent.fork(number)
    exit_code = 0
    is_over = False
    while parent.pids:
        for told in parent.signals():
            is_last = told in STOP_SIGNALS
            for number, code in parent.reap():
                mourn(number)
                if code < 0 and not is_over and not is_last:
                    name = signal.Signals(-code).name
                    tell(f"process {number} was ended by {name}: another follows in {RESTART_S:g} s")
                    time.sleep(RESTART_S)
                    parent.fork(number)
                elif code:
                    exit_code = exit_code or (code if code > 0 else 128 - code)
                    is_last = True
            if is_last:
                is_over = True
                forget()
                parent.stop()
    return exit_code


class _Parent:
    def __init__(self, work: Work) -> None:
        self._work = work
        self._bind = bond_to_this_process()
        self.pids: dict[int, int] = {}
        """The processes' numbers by their pids."""
        self._read_fd, self._write_fd = os.pipe()
        os.set_blocking(self._write_fd, False)
        # Not sigwait(): a signal may come to a thread of NumPy's, which does not block it.
        signal.set_wakeup_fd(self._write_fd)
        for number in (signal.SIGCHLD, *STOP_SIGNALS):
            signal.signal(number, lambda *_: None)

    def signals(self) -> Iterator[int]:
        """Those that have come, when one has."""
        yield from os.read(self._read_fd, 64)

    def reap(self) -> Iterator[tuple[int, int]]:
        """The number of each process that has ended, and its exit code, or the signal below 0."""
        for pid in list(self.pids):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                yield self.pids.pop(pid), os.waitstatus_to_exitcode(status)

    def stop(self) -> None:
        for pid in self.pids:
            os.kill(pid, signal.SIGTERM)

    def fork(self, number: int) -> None:
        sys.stdout.flush()  # what is still buffered would come out of parent and child
        sys.stderr.flush()
        if pid := os.fork():
            self.pids[pid] = number
        else:
            self._live(number)

    def _live(self, number: int) -> NoReturn:
        exit_code = 1
        try:
            self._bind()
            signal.set_wakeup_fd(-1)
            os.close(self._read_fd)
            os.close(self._write_fd)
            for each in (signal.SIGCHLD, *STOP_SIGNALS):
                signal.signal(each, signal.SIG_DFL)
            exit_code = self._work(number)
        except WorkerError as fault:
            exit_code = report(fault)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(exit_code)
