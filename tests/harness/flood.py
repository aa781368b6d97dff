"""Numbered records, sent as fast as `lb` takes them."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Sequence
from types import TracebackType

from harness.feed import Peer, frame, message

_PADS = [b"x" * (7 * number % 211) for number in range(64)]
_BATCH = 100
SYMBOLS = 50
"""Record N is of the symbol SM, M = N % 50."""


def record(number: int) -> bytes:
    """The record with this number; lengths vary from one to the next."""
    return b'{"ev":"T","sym":"S%d","n":%d,"pad":"%s"}' % (number % SYMBOLS, number, _PADS[number % 64])


def numbers_of(records: Sequence[bytes]) -> list[int]:
    """Of whole records; a record that is not one of a flood's fails."""
    numbers = [int(json.loads(text)["n"]) for text in records]
    assert all(record(number) == text for number, text in zip(numbers, records, strict=True))
    return numbers


class Flood:
    """Sends from its own thread while entered: records 0, 1, 2 ..., or up to `limit`, as `make` makes them. `pause_s`:
    between two hundred of them, where the machine has something else to do besides."""

    def __init__(
        self,
        peer: Peer,
        *,
        begin: int = 0,
        limit: int | None = None,
        make: Callable[[int], bytes] = record,
        pause_s: float = 0.0,
    ) -> None:
        self._peer = peer
        self._make = make
        self._limit = limit
        self._pause_s = pause_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(begin,))
        self.sent = begin
        """All before this number have been handed to the socket."""

    def __enter__(self) -> Flood:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def wait(self) -> None:
        """Until all is sent."""
        self._thread.join()

    def _run(self, number: int) -> None:
        with contextlib.suppress(OSError):  # lb has left
            while not self._over.is_set() and (self._limit is None or number < self._limit):
                count = _BATCH if self._limit is None else min(_BATCH, self._limit - number)
                self._peer.send(frame(message(self._make(number + k) for k in range(count))))
                number += count
                self.sent = number
                self._over.wait(self._pause_s)
