"""One try at opening a session, in a thread of its own, so that workers are served and signals obeyed meanwhile.

Law: the thread touches neither the pump nor a worker. It ends by itself; one that hangs in name resolution is left
behind.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from lb.config import Config, Tls
from lb.errors import ConnectFailed, InternalError, LbError
from lb.feed.session.connect import Messages, Session, open_session


class Attempt:
    """Starts at once; calls `wake` when it has ended. `messages` is what the feed said before it had, whichever way it
    ended."""

    def __init__(self, config: Config, tls: Tls, wake: Callable[[], None]) -> None:
        self.messages: Messages = []
        self.session: Session | None = None
        self.error: LbError | None = None
        self._connection: socket.socket | None = None
        self._is_abandoned = False
        self._lock = threading.Lock()
        self._ended = threading.Event()
        thread = threading.Thread(target=self._run, args=(config, tls, wake), name="session-attempt", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads: as with fork, a later try may have more luck
            self.error = ConnectFailed(f"no thread to open a session: {error}")
            self._ended.set()
            wake()

    @property
    def has_ended(self) -> bool:
        return self._ended.is_set()

    def abandon(self, close_code: int | None) -> None:
        """Nobody waits for it any more; a session it has is closed, a connection it has or will have is ended."""
        with self._lock:
            self._is_abandoned = True
            if self.session is not None:
                self.session.close(close_code)
            elif self._connection is not None:
                with contextlib.suppress(OSError):  # it has ended by itself
                    self._connection.shutdown(socket.SHUT_RDWR)

    def _run(self, config: Config, tls: Tls, wake: Callable[[], None]) -> None:
        session, error = None, None
        try:
            session = open_session(config, tls, self.messages, self._hold)
        except LbError as refusal:
            error = refusal
        except Exception as bug:  # a thread's exception would vanish, and the balancer wait for ever
            error = InternalError(f"opening a session failed: {bug!r}")
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            if self._is_abandoned:
                if session is not None:
                    session.close(1000)
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
