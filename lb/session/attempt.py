"""One try at opening a session, in a thread of its own, so that workers are served and signals obeyed meanwhile.

Law: the thread touches neither the pump nor a worker. It ends by itself; one that hangs in name resolution is left
behind.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from lb.config import Config, Tls
from lb.errors import InternalError, LbError
from lb.session.connect import Session, open_session


class Attempt:
    """Starts at once; calls `wake` when it has ended. `messages` is what the feed said before it had, whichever way it
    ended."""

    def __init__(self, config: Config, tls: Tls, wake: Callable[[], None]) -> None:
        self.messages: list[bytes] = []
        self.session: Session | None = None
        self.error: LbError | None = None
        self._is_abandoned = False
        self._lock = threading.Lock()
        self._ended = threading.Event()
        threading.Thread(target=self._run, args=(config, tls, wake), name="session-attempt", daemon=True).start()

    @property
    def has_ended(self) -> bool:
        return self._ended.is_set()

    def abandon(self, close_code: int | None) -> None:
        """Nobody waits for it any more; a session it has or will have is closed."""
        with self._lock:
            self._is_abandoned = True
            if self.session is not None:
                self.session.close(close_code)

    def _run(self, config: Config, tls: Tls, wake: Callable[[], None]) -> None:
        session, error = None, None
        try:
            session = open_session(config, tls, self.messages)
        except LbError as refusal:
            error = refusal
        except Exception as bug:  # a thread's exception would vanish, and the balancer wait for ever
            error = InternalError(f"opening a session failed: {bug!r}")
        with self._lock:
            if self._is_abandoned:
                if session is not None:
                    session.close(1000)
                return
            self.session, self.error = session, error
        self._ended.set()
        wake()
