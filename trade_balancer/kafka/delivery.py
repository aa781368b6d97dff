"""Class Delivery: what the reads of some pipes bring, in batches, until the brokers have it.

Law: lb is told that records are finished in the order of their reading, when the brokers have them and all before them.
While there is no room nothing is read.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from trade_balancer.acknowledgement import EVERY_S, Mark, Unfinished
from trade_balancer.errors import OutputError
from trade_balancer.kafka.health import Health
from trade_balancer.kafka.outbox import Account, AnyOutbox

_WAIT_MS = 100
"""For reports of librdkafka's, where there is nothing else to do."""
_LOOK_S = 1.0
_PACE_MESSAGES = 16_000
"""So many may be under way to brokers that answer: enough for 0.8 M a second and 20 ms to the answer."""
_BEHIND_MESSAGES = 4_000
"""With so many waiting, another message is not sooner there than a longer one."""
_NEVER_S = float("inf")


class Delivery:
    """By one outbox; `unfinished` is told what is finished. Records are kept for so long (s) to be packed; 0: not."""

    def __init__(self, outbox: AnyOutbox, unfinished: Unfinished, pack_s: float) -> None:
        self.outbox = outbox
        self._unfinished = unfinished
        self._pack_s = pack_s
        self._health = Health(outbox)
        self._batches: deque[tuple[int, Mark]] = deque()
        """Those that are not finished, with how far the pipes were read with them."""
        self._close_at_s = _NEVER_S
        self._finished: Mark = {}
        self._tell_at_s = 0.0
        self._look_at_s = 0.0
        self._is_silent = False
        """The brokers have not answered for a while."""

    def take(self, pipe: int, frames: memoryview) -> tuple[int, int, bytes]:
        """Takes all frames that are whole, or fewer, and then `serve` raises. Returns their bytes, how many there are,
        and the last one's record."""
        begin = records = 0
        while (taken := self.outbox.take(pipe, frames[begin:])).is_full:
            begin += taken.consumed_bytes
            records += taken.records
            if not (self._pack_s and self.outbox.flush()):
                try:
                    self._hear(_WAIT_MS)
                except OutputError:  # it is raised again, when what was taken is counted
                    return begin, records, bytes(taken.newest)
        records += taken.records
        if records:
            self._close_at_s = min(self._close_at_s, time.monotonic() + self._pack_s)
        return begin + taken.consumed_bytes, records, bytes(taken.newest)

    def serve(self) -> None:
        """What is due; to be called after each round of reads.

        Raises:
            OutputError: as `Outbox.poll`.
        """
        if self._is_due():
            self._close_batch(lambda: True)
        self._hear(0)
        self._keep_pace()

    def finish(self, last_s: float) -> Account:
        """Waits until nothing waits any more, or for so long. Returns the account.

        Raises:
            OutputError: as `Outbox.poll`.
        """
        end_s = time.monotonic() + last_s
        self._close_batch(lambda: time.monotonic() < end_s)
        while self.outbox.account().waiting and time.monotonic() < end_s:
            self._hear(_WAIT_MS)
        self._unfinished.finish(self._finished)
        self._health.look()
        return self.outbox.account()

    def _keep_pace(self) -> None:
        """While the brokers answer, few messages wait: those beyond would only have left the CPU's cache when it is
        their turn. While they do not, as many as there is room for."""
        while not self._is_silent and (waiting := self.outbox.waiting_messages) > _PACE_MESSAGES:
            self._hear(_WAIT_MS)
            self._is_silent = self.outbox.waiting_messages >= waiting

    def _is_due(self) -> bool:
        """Not while messages wait: more records in each of those that follow cost no time then."""
        if self._close_at_s == _NEVER_S:
            return False
        return self._unfinished.is_much() or (
            time.monotonic() >= self._close_at_s and self.outbox.waiting_messages < _BEHIND_MESSAGES
        )

    def _close_batch(self, may_wait: Callable[[], bool]) -> None:
        """All that was read belongs to it, and has been handed over."""
        while not self.outbox.flush() or (batch := self.outbox.close_batch()) is None:
            if not may_wait():
                return
            self._hear(_WAIT_MS)
        self._close_at_s = _NEVER_S
        self._batches.append((batch, self._unfinished.mark()))
        if not self.outbox.account().waiting:  # all of it is acknowledged already
            self._hear(0)

    def _hear(self, timeout_ms: int) -> None:
        waiting = self.outbox.waiting_messages
        done = self.outbox.poll(timeout_ms)
        self._is_silent &= self.outbox.waiting_messages >= waiting
        while self._batches and self._batches[0][0] <= done:
            self._finished = self._batches.popleft()[1]
        now_s = time.monotonic()
        if self._finished and now_s >= self._tell_at_s:
            self._tell_at_s = now_s + EVERY_S
            self._unfinished.finish(self._finished)
        if now_s >= self._look_at_s:
            self._look_at_s = now_s + _LOOK_S
            self._health.look()
