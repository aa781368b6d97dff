"""Signals and other wake-ups as bytes of a socket that the pump polls.

Law: no handler does anything; the interpreter's C handler writes the signal's number to the socket
(signal.set_wakeup_fd), and the balancer reads it when the pump comes back. Otherwise a signal would wait for as long
as C stays in its loop.
"""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import time
from types import FrameType, TracebackType

CAUGHT = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGCHLD)


def _leave_it_to_the_socket(number: int, frame: FrameType | None) -> None:
    pass


class WakeUps:
    """Owns both ends of the wake-up socket, and the dispositions of the CAUGHT signals while entered."""

    def __enter__(self) -> WakeUps:
        self._read_end, self._write_end = socket.socketpair()
        self._read_end.setblocking(False)
        self._write_end.setblocking(False)
        self._fd_before = signal.set_wakeup_fd(self._write_end.fileno(), warn_on_full_buffer=False)
        # Only now, or a signal that comes in between would be taken and never told.
        self._before = {number: signal.signal(number, _leave_it_to_the_socket) for number in CAUGHT}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._fd_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._read_end.close()
        self._write_end.close()

    def fileno(self) -> int:
        """The descriptor that is readable when there is something to take()."""
        return self._read_end.fileno()

    def wake(self) -> None:
        """Make the pump come back. For any thread."""
        with contextlib.suppress(OSError):  # full: it is awake already; closed: nobody waits any more
            self._write_end.send(b"\0")

    def wait(self, deadline_ns: int) -> None:
        """Return as soon as there is something to take(), at the latest at deadline_ns (CLOCK_MONOTONIC)."""
        poll = select.poll()
        poll.register(self._read_end, select.POLLIN)
        poll.poll(max(deadline_ns - time.monotonic_ns(), 0) / 1e6)

    def take(self) -> list[int]:
        """The numbers of the signals that came, 0 for a wake()."""
        try:
            return list(self._read_end.recv(4096))
        except BlockingIOError:
            return []
