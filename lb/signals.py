"""What makes the pump come back: signals, other threads, and descriptors that others want to hear of.

Law: no handler does anything; the interpreter's C handler writes the signal's number to a socket
(signal.set_wakeup_fd), and the balancer reads it when the pump comes back. Otherwise a signal would wait for as long
as C stays in its loop. The pump polls one descriptor, an epoll instance with that socket and all others in it.
"""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import time
from collections.abc import Callable
from types import FrameType, TracebackType

CAUGHT = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD)

_LONGEST_WAIT_NS = (2**31 - 1) * 1_000_000
"""poll(2) takes milliseconds as an int."""


def _leave_it_to_the_socket(number: int, frame: FrameType | None) -> None:
    pass


class WakeUps:
    """Owns the wake-up socket, the epoll instance, and the dispositions of the CAUGHT signals while entered.

    A SIGHUP that was ignored before stays so: that is what nohup(1) is for. Signals that were blocked are not while
    this is entered: whoever started `lb` may have left them so, and then no stop and no worker's end would come
    through.
    """

    def __enter__(self) -> WakeUps:
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._read_end, self._write_end = socket.socketpair()
        self._read_end.setblocking(False)
        self._write_end.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(self._read_end, select.EPOLLIN)
        self._fd_before = signal.set_wakeup_fd(self._write_end.fileno(), warn_on_full_buffer=False)
        # Only now, or a signal that comes in between would be taken and never told.
        is_hang_up_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        caught = [number for number in CAUGHT if number != signal.SIGHUP or not is_hang_up_ignored]
        self._before = {number: signal.signal(number, _leave_it_to_the_socket) for number in caught}
        self._mask_before = signal.pthread_sigmask(signal.SIG_UNBLOCK, caught)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask_before)
        signal.set_wakeup_fd(self._fd_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._epoll.close()
        self._read_end.close()
        self._write_end.close()

    def fileno(self) -> int:
        """The descriptor that is readable when there is something to take()."""
        return self._epoll.fileno()

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        """Call `callback` in take() whenever `fd` is readable, or its other end is closed. It must not block.

        Raises OSError where that can't be.
        """
        self._epoll.register(fd, select.EPOLLIN)
        self._callbacks[fd] = callback

    def unwatch(self, fd: int) -> None:
        """To be called before `fd` is closed: a child that has inherited it would keep it in the epoll instance.

        Does nothing where `fd` is not watched.
        """
        if self._callbacks.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def wake(self) -> None:
        """Make the pump come back. For any thread."""
        with contextlib.suppress(OSError):  # full: it is awake already; closed: nobody waits any more
            self._write_end.send(b"\0")

    def wait(self, deadline_ns: int) -> None:
        """Return as soon as there is something to take(), at the latest at deadline_ns (CLOCK_MONOTONIC)."""
        poll = select.poll()
        poll.register(self._epoll, select.POLLIN)
        poll.poll(min(max(deadline_ns - time.monotonic_ns(), 0), _LONGEST_WAIT_NS) / 1e6)

    def take(self) -> list[int]:
        """Call back for what is ready; return the numbers of the signals that came, 0 for a wake().

        An error of a callback comes out of here; what it kept from being taken is taken the next time.
        """
        ready = [fd for fd, _ in self._epoll.poll(0)]
        for fd in ready:
            if (callback := self._callbacks.get(fd)) is not None:  # one that came before may have ended it
                callback()
        try:
            return list(self._read_end.recv(4096)) if self._read_end.fileno() in ready else []
        except BlockingIOError:
            return []
