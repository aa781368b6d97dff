"""Where sources put what they read. Law: no I/O."""

from __future__ import annotations

import time

from trade_balancer.emit.board import Board
from trade_balancer.emit.counters import Counters
from trade_balancer.errors import tell

_NS_PER_MS = 1_000_000


class Intake:
    def __init__(self, board: Board, counters: Counters) -> None:
        self._board = board
        self._counters = counters
        self.is_here = False
        """Whether the source may bring something."""

    def take(self, frames: memoryview) -> None:
        """Whole frames that have just been read, each a length and a record, as in lb's pipes."""
        board, counters = self._board, self._counters
        before, others_before = board.records_total, board.others_total
        for ages_ns in board.take(frames, time.time_ns()):
            counters.hops["exchange"].note(ages_ns / _NS_PER_MS)
        counters.add("records", board.records_total - before)
        counters.add("others", board.others_total - others_before)

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
