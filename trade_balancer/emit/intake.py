"""Where sources put what they read. Law: no I/O."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from trade_balancer.emit.board import Board
from trade_balancer.emit.counters import Counters
from trade_balancer.errors import tell

if TYPE_CHECKING:
    from trade_balancer.kafka.journey import Journey

_NS_PER_MS = 1_000_000


class Intake:
    def __init__(self, board: Board, counters: Counters) -> None:
        self._board = board
        self._counters = counters
        self.is_here = False
        """Whether the source may bring something."""
        self.journeys: deque[tuple[int, Journey]] = deque()
        """Of some records that come from Kafka, by their numbers, in order; may be added to by another thread."""

    def take(self, frames: memoryview) -> None:
        """Whole frames that have just been read, each a length and a record, as in lb's pipes."""
        board, counters = self._board, self._counters
        before, others_before = board.records_total, board.others_total
        now_ns = time.time_ns()
        for ages_ns in board.take(frames, now_ns):
            counters.hops["exchange"].note(ages_ns / _NS_PER_MS)
        counters.add("records", board.records_total - before)
        counters.add("others", board.others_total - others_before)
        while self.journeys and self.journeys[0][0] <= board.records_total:
            _, journey = self.journeys.popleft()
            for name, ms in journey.hops_ms(now_ns / _NS_PER_MS).items():
                counters.hops[name].note(np.array([ms]))

    def begin(self) -> None:
        self.is_here = True
        self._counters.set("source_here", 1)

    def lose(self, why: str) -> None:
        """What clients have is old from now on; the source goes on trying."""
        if self.is_here:
            tell(why)
            self._counters.add("source_losses")
        self.is_here = False
        self._counters.set("source_here", 0)
