"""One try at opening a session, in a thread of its own, so that workers are served and signals obeyed meanwhile.

Law: the thread does name, TCP, TLS and upgrade, and touches neither the pump nor a worker. Every step has a time limit,
every failure is an LbError that names the step. The thread ends by itself; one that hangs in name resolution is left
behind.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import traceback
from collections.abc import Callable
from types import TracebackType

from lb import logs
from lb.endpoint import Endpoint
from lb.errors import ConnectFailed, LbError
from lb.feed.session import limits
from lb.feed.session.dial import Dialer
from lb.feed.session.frames import NORMAL_CLOSURE
from lb.feed.session.secure import Security, Stream, reason_of
from lb.feed.session.session import Session
from lb.feed.session.tunnel import Tunnel
from lb.feed.session.upgrade import NONCE_BYTES, Upgrade
from lb.proxy import Proxy

_RECEIVE_BYTES = 4096


class Opener:
    """What the attempts of one endpoint share: the way to it, and who holds its TLS sessions."""

    def __init__(self, endpoint: Endpoint, proxy: Proxy | None, security: Security) -> None:
        self._endpoint = endpoint
        self._proxy = proxy
        self._security = security
        self._dialer = Dialer(proxy.host, proxy.port) if proxy else Dialer(endpoint.host, endpoint.port)

    def open(self, hold: Callable[[socket.socket], None]) -> Session:
        """Blocks. `hold` is told of the connection as soon as there is one, so that another thread can end it.

        Raises SessionError or Unavailable.
        """
        sock = self._dialer.dial()
        stream: Stream = sock
        try:
            hold(sock)
            if self._proxy is not None:
                converse(sock, Tunnel(self._proxy, self._endpoint, time.time()))
            stream, description = self._security.shake_hands(sock)
            early = converse(stream, Upgrade(self._endpoint, os.urandom(NONCE_BYTES), time.time()))
            logs.debug("upgraded", url=self._endpoint.url, tls=description)
            return Session(stream, description, early)
        except BaseException:
            stream.close()
            raise


def converse(stream: Stream, exchange: Upgrade | Tunnel) -> bytes:
    """One HTTP request and its answer, within the time of a step. Returns what came behind the answer.

    Raises ConnectFailed.
    """
    until_s = time.monotonic() + limits.STEP_TIMEOUT_S
    try:
        request = exchange.request()
        while request:
            request = request[stream.send(request) :]
        early = None
        while early is None:
            stream.settimeout(max(until_s - time.monotonic(), 1e-3))
            early = exchange.receive(stream.recv(_RECEIVE_BYTES))
        stream.settimeout(limits.STEP_TIMEOUT_S)
        return early
    except OSError as error:
        raise exchange.failure(reason_of(error)) from None


class Attempt:
    """Starts at once; calls `wake` when it has ended, with either `session` or `error`."""

    def __init__(self, opener: Opener, wake: Callable[[], None]) -> None:
        self.session: Session | None = None
        self.error: LbError | None = None
        self._connection: socket.socket | None = None
        self._is_abandoned = False
        self._lock = threading.Lock()
        self._ended = threading.Event()
        thread = threading.Thread(target=self._run, args=(opener, wake), name="session-attempt", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads: as with fork, a later try may have more luck
            self.error = ConnectFailed(f"no thread to open a session: {error}")
            self._ended.set()
            wake()

    @property
    def has_ended(self) -> bool:
        return self._ended.is_set()

    def abandon(self) -> None:
        """Nobody waits for it any more; a session it has is closed, a connection it has or will have is ended."""
        with self._lock:
            self._is_abandoned = True
            if self.session is not None:
                self.session.close(NORMAL_CLOSURE)
            elif self._connection is not None:
                with contextlib.suppress(OSError):  # it has ended by itself
                    self._connection.shutdown(socket.SHUT_RDWR)

    def _run(self, opener: Opener, wake: Callable[[], None]) -> None:
        session, error = None, None
        try:
            session = opener.open(self._hold)
        except LbError as refusal:
            error = refusal
        except OSError as fault:  # of ours: a lack of descriptors, of memory
            error = ConnectFailed(f"opening a session failed here: {reason_of(fault)}")
        except Exception as bug:  # a thread's exception would vanish, and the balancer wait for ever
            logs.error("opening a session met a bug", bug=repr(bug), at=_place_of(bug.__traceback__))
            error = ConnectFailed(f"opening a session failed: {bug!r}", limits.HOPELESS_LEAST_DELAY_S)
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            if self._is_abandoned:
                if session is not None:
                    session.close(NORMAL_CLOSURE)
                return
            self.session, self.error = session, error
        self._ended.set()
        wake()

    def _hold(self, connection: socket.socket) -> None:
        """Keep a second descriptor of the connection: the first goes from hand to hand while TLS is set up."""
        with self._lock:
            if self._is_abandoned:
                raise ConnectFailed("given up before there was a connection")
            self._connection = connection.dup()


def _place_of(trace: TracebackType | None) -> str:
    """Where it was raised, innermost last."""
    return " > ".join(f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(trace))
