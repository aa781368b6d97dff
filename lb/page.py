"""The process that serves --metrics: started with lb, told what those who watch are told, ended with lb.

Law: lb opens the address, so that one which can't be had is an error at the start, and never speaks HTTP. The process
gets that socket and a connection on which it may watch; no key, no pipe, and no more of the environment than Python
wants. Whatever becomes of it, lb goes on, and starts it again.
"""

from __future__ import annotations

import contextlib
import importlib.util
import ipaddress
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Collection

from lb import logs
from lb.backoff import Backoff
from lb.config import Address
from lb.errors import Unavailable
from lb.slots.allowance import Allowance
from lb.slots.spawn import Order, report, spawn

STABLE_S = 10.0
"""A process that ran this long is started again at once."""
_MAY = ("watch",)
_BACKLOG = 128
_DESCRIPTORS = 256
_KEPT = ("PATH", "PYTHON", "VIRTUAL_ENV", "LANG", "LC_", "TZ", "LD_", "ASAN_", "UBSAN_")
"""Of the environment, what begins so."""

_NEVER_NS = 1 << 62


Join = Callable[[socket.socket, Collection[str], Callable[[], object]], object]
"""Serves the other end of a connection: with these verbs alone, and a call when it is closed."""


class Page:
    """To be closed; then the process is killed. The second time, nothing happens."""

    def __init__(self, address: Address, allowance: Allowance, adopted_fd: int | None = None) -> None:
        """Listens. `adopted_fd`: on this since before this program took the process over. Raises Unavailable where that
        can't be, or the extra is missing."""
        if importlib.util.find_spec("prometheus_client") is None:
            raise Unavailable("--metrics needs the package prometheus-client: pip install 'trade-balancer[metrics]'")
        self._allowance = allowance
        self._backoff = Backoff(least_s=0.25, most_s=30.0)
        self._is_closed = False
        self._began_ns = 0
        self._process_fd: int | None = None
        self.deadline_ns = 0
        """When tend() has something to do next (CLOCK_MONOTONIC)."""
        self._listening = _listening(address) if adopted_fd is None else socket.socket(fileno=adopted_fd)
        host, port = self._listening.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        logs.info("metrics and page are served", url=url)
        if not ipaddress.ip_address(host).is_loopback:
            logs.warning("other machines may see metrics and page: nobody is asked for a password", url=url)

    def tend(self, now_ns: int, join: Join) -> None:
        """Start the process when its time has come."""
        if now_ns >= self.deadline_ns:
            self.deadline_ns = _NEVER_NS
            self._began_ns = now_ns
            try:
                self._start(join)
            except OSError as error:
                self._start_later(str(error.strerror))

    def fileno(self) -> int:
        """Where it listens: whoever connects waits there, whatever becomes of the process."""
        return self._listening.fileno()

    def close(self) -> None:
        self._is_closed = True
        self.deadline_ns = _NEVER_NS
        self._listening.close()
        self._kill()

    def _start(self, join: Join) -> None:
        """Raises OSError; then there is no process."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        report_fd, report_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        fds = [theirs.fileno(), self._listening.fileno()]
        order = Order(
            path=sys.executable,
            # -P: the directory where lb runs is no place to find modules in
            argv=[sys.executable, "-P", "-m", "trade_balancer.page", "--of-lb", *map(str, fds)],
            environment={name: value for name, value in os.environ.items() if name.startswith(_KEPT)},
            directory="/",
            fds=fds,
            soft_descriptors=_DESCRIPTORS,
            cpus=self._allowance.worker_cpus(),
        )
        try:
            with theirs, os.fdopen(report_end, "wb", 0):
                self._process_fd = os.pidfd_open(spawn(order, report_end))
        except OSError:
            ours.close()
            os.close(report_fd)
            raise
        join(ours, _MAY, lambda: self._ended(order, report_fd))

    def _ended(self, order: Order, report_fd: int) -> None:
        """Its connection is closed: it has ended, or has not read for too long."""
        self._kill()
        fault = None
        with contextlib.suppress(BlockingIOError):  # it has begun
            fault = report(order, report_fd)
        os.close(report_fd)
        if not self._is_closed:
            if time.monotonic_ns() - self._began_ns >= int(STABLE_S * 1e9):
                self._backoff.reset()
            self._start_later("it has ended, or stands still" if fault is None else str(fault))

    def _start_later(self, why: str) -> None:
        delay_s = self._backoff.next_delay_s()
        self.deadline_ns = time.monotonic_ns() + int(delay_s * 1e9)
        logs.error("metrics and page are not served for a while", why=why, delay_s=delay_s)

    def _kill(self) -> None:
        """By a descriptor: its number may be another process's by now."""
        if self._process_fd is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(self._process_fd, signal.SIGKILL)
            os.close(self._process_fd)
            self._process_fd = None


def _listening(address: Address) -> socket.socket:
    try:
        family, _, _, _, place = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((str(place[0]), int(place[1])), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise Unavailable(f"--metrics {address.host}:{address.port}: {error.strerror or error}") from None
