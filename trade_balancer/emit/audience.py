"""Who is listening: groups of clients, and the ticks at which they are written to.

Law: no I/O but frames, and at most one per client and tick.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from operator import add

import numpy as np

from trade_balancer.emit.board import Board
from trade_balancer.emit.counters import Counters
from trade_balancer.emit.group import Group, Member, Shape, Turn
from trade_balancer.emit.sending import send_to_all

_NS_PER_MS = 1_000_000


class Audience:
    def __init__(self, board: Board, counters: Counters, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._board = board
        self._counters = counters
        self._wall_ns = wall_ns
        self._groups: dict[tuple[frozenset[str], Shape], Group] = {}

    def place(self, member: Member, topics: frozenset[str], shape: Shape) -> frozenset[str]:
        """From the next tick on it gets these topics, at first all their values. Returns the same topics, as the one
        object that all have who have asked for them."""
        self.dismiss(member)
        if not topics:
            return topics
        group = self._groups.get((topics, shape))
        if group is None:
            group = self._groups[topics, shape] = Group(self._board, topics, shape)
        group.join(member)
        return group.topics

    def dismiss(self, member: Member) -> None:
        group = member.group
        if group is not None:
            group.leave(member)
            if not group.members:
                del self._groups[group.topics, group.shape]

    def tick(self) -> None:
        """Everybody gets what has changed since they got something."""
        counters = self._counters
        begin_ns = self._wall_ns()
        self._board.turn()
        waited_ns = self._board.waited_ns(begin_ns)
        total = Turn()
        for group in self._groups.values():
            total = Turn(*map(add, total, group.turn(begin_ns // _NS_PER_MS, send_to_all)))
        for name, count in total._asdict().items():
            counters.add(name, count)
        counters.add("ticks")
        if len(waited_ns):
            counters.hops["emit"].note(waited_ns / _NS_PER_MS)
        if total.frames:
            counters.hops["tick"].note(np.array([(self._wall_ns() - begin_ns) / _NS_PER_MS]))

    @property
    def groups(self) -> int:
        return len(self._groups)
