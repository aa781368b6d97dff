"""Plays a tape to a session, over and over, as fast as `lb` takes it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType

from harness import Peer, frame
from harness.feed import TIMEOUT_S

PIECE_BYTES = 1 << 16
"""Handed to the socket at once: a session is as little ahead as its buffers allow."""


class TapePlayer:
    """Plays from its own thread while entered; at the end it comes to the tape's end."""

    def __init__(self, peer: Peer, messages: Sequence[bytes]) -> None:
        self._peer = peer
        self._tape = memoryview(b"".join(map(frame, messages)))
        self._over = threading.Event()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._play)
        self.sent_bytes = 0
        self.playings = 0
        self.failure: OSError | None = None

    def __enter__(self) -> TapePlayer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()

    @property
    def tape_bytes(self) -> int:
        return len(self._tape)

    def finish(self) -> None:
        """The last playing, to its end."""
        self._over.set()
        self._thread.join()

    def await_bytes(self, count: int) -> None:
        """Until so many more have been sent."""
        with self._changed:
            until = self.sent_bytes + count
            assert self._changed.wait_for(lambda: self.sent_bytes >= until or self.failure, TIMEOUT_S), (
                "lb reads nothing"
            )
        assert self.failure is None, self.failure

    def _play(self) -> None:
        try:
            while not self._over.is_set():
                for at in range(0, len(self._tape), PIECE_BYTES):
                    piece = self._tape[at : at + PIECE_BYTES]
                    self._peer.send(piece)
                    with self._changed:
                        self.sent_bytes += len(piece)
                        self._changed.notify_all()
                self.playings += 1
        except OSError as error:  # lb has left
            with self._changed:
                self.failure = error
                self._changed.notify_all()
