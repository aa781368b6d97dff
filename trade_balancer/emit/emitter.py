"""One process of lb-emit: a source, its clients, ticks, and the end.

Law: the end is spread: clients leave one after the other, and each is told when to come back, so that those who take
over are not run down.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import orjson

from trade_balancer.emit.audience import Audience
from trade_balancer.emit.board import Board
from trade_balancer.emit.counters import Counters, Recent
from trade_balancer.emit.door import Door, Rules
from trade_balancer.emit.intake import Intake
from trade_balancer.emit.site import Give, page, readiness
from trade_balancer.emit.sources import Source
from trade_balancer.emit.visitor import SHAPES, TRY_AGAIN_LATER, House, Visitor
from trade_balancer.errors import tell

PING_S = 20
SERVICE_RESTART = 1012
_NS_PER_MS = 1_000_000
_LEAVE_S = 1.0
"""Then, for the last ones to answer."""
_MOST_SCRAPES = 64
_SLICE_S = 0.05
"""At the end, clients leave in so small portions."""


@dataclass(frozen=True)
class Settings:
    tick_s: float
    slow_s: float
    """Who has taken nothing of a frame for so long goes."""
    drain_s: float
    most_topics: int
    rules: Rules


@dataclass(frozen=True)
class Listening:
    clients: socket.socket
    metrics: socket.socket | None
    tls: ssl.SSLContext | None


class Emitter:
    def __init__(
        self, source: Source, settings: Settings, counters: Counters, metrics: Mapping[str, Give] | None = None
    ) -> None:
        self._source = source
        self._settings = settings
        self._counters = counters
        self._metrics = metrics or {}
        self._board = Board()
        self._audience = Audience(self._board, counters)
        self._intake = Intake(self._board, counters)
        self._recent = Recent(counters)
        self._hops: Mapping[str, tuple[float, float] | None] = {}
        self._stop = asyncio.Event()
        tokens = settings.rules.tokens
        self._house = House(
            self._audience,
            counters,
            Door(settings.rules, counters),
            {**page(), **readiness(lambda: self._intake.is_here, self._stop.is_set)},
            SHAPES,
            tokens.accept if tokens else None,
            settings.most_topics,
            self._pong,
        )

    async def run(self, listening: Listening, stop_signals: Sequence[signal.Signals]) -> None:
        """Until a signal, or the end of the source. Raises WorkerError: the source can't go on."""
        loop = asyncio.get_running_loop()
        for number in stop_signals:
            loop.add_signal_handler(number, self._begin_stop, number)
        server = await loop.create_server(lambda: Visitor(self._house), sock=listening.clients, ssl=listening.tls)
        servers = [server]
        if listening.metrics is not None:
            back = self._back_door()
            servers.append(await loop.create_server(lambda: Visitor(back), sock=listening.metrics))
        feeding = asyncio.ensure_future(self._source.feed(self._intake))
        stopping = asyncio.ensure_future(self._stop.wait())
        always = [asyncio.create_task(self._tick()), asyncio.create_task(self._look())]
        try:
            await asyncio.wait((feeding, stopping, *always), return_when=asyncio.FIRST_COMPLETED)
            server.close()
            self._source.leave()
            await self._drain()
            await feeding
            for work in always:
                if work.done():
                    work.result()
        finally:
            for each in servers:
                each.close()
            for each_work in (feeding, stopping, *always):
                each_work.cancel()
            await asyncio.gather(feeding, stopping, *always, return_exceptions=True)

    def _back_door(self) -> House:
        """Of the metrics: no websockets, and no limit but one that nobody meets by accident."""
        counters = Counters.alone()
        door = Door(Rules(_MOST_SCRAPES, 0), counters)
        return House(self._audience, counters, door, self._metrics, {}, None, 0, self._pong)

    def _begin_stop(self, number: signal.Signals) -> None:
        tell(f"{number.name}: stopping")
        self._stop.set()
        asyncio.get_running_loop().remove_signal_handler(number)

    async def _tick(self) -> None:
        """At fixed moments; where one takes too long, the next ones fall out."""
        loop = asyncio.get_running_loop()
        tick_s = self._settings.tick_s
        due_s = loop.time()
        while True:
            due_s = max(due_s + tick_s, loop.time())
            await asyncio.sleep(due_s - loop.time())
            self._audience.tick()

    async def _look(self) -> None:
        """Each second: at who is slow, and what is counted otherwise than as it happens."""
        loop = asyncio.get_running_loop()
        seconds = 0
        while True:
            await asyncio.sleep(1.0)
            seconds += 1
            now_s = loop.time()
            behind = 0
            for number, visitor in enumerate([*self._house.clients]):
                visitor.forget_said()
                behind += visitor.is_behind
                if visitor.is_behind and now_s - visitor.behind_since_s > self._settings.slow_s:
                    self._counters.add("closed_slow")
                    visitor.close(TRY_AGAIN_LATER, "too slow")
                elif (number + seconds) % PING_S == 0:
                    visitor.ping()
            self._counters.set("clients", len(self._house.clients))
            self._counters.set("clients_behind", behind)
            self._counters.set("topics_groups", self._audience.groups)
            self._hops = self._recent.turn()
            if self._settings.rules.tokens is not None:
                self._settings.rules.tokens.look_again()

    async def _drain(self) -> None:
        """Sends everybody away, in a random order and not at once."""
        self._counters.set("draining", 1)
        visitors = [*self._house.clients]
        random.shuffle(visitors)
        spread_s = self._settings.drain_s
        slices = max(1, round(spread_s / _SLICE_S))
        for number in range(slices):
            for visitor in visitors[number::slices]:
                retry_ms = round(random.uniform(0, spread_s) * 1000)
                told = {"ev": "status", "status": "leaving", "message": "served again soon", "retry_ms": retry_ms}
                visitor.close(SERVICE_RESTART, f"retry in {retry_ms} ms", orjson.dumps([told]))
            if visitors:
                await asyncio.sleep(spread_s / slices)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._house.door.empty.wait(), _LEAVE_S)

    def _pong(self, name: object, screen_ms: float | None) -> bytes:
        if screen_ms is not None:
            self._counters.hops["screen"].note(np.array([screen_ms]))
        is_name = isinstance(name, str | int) and len(str(name)) <= 40
        return orjson.dumps(
            {
                "pong": name if is_name else None,
                "ms": time.time_ns() / _NS_PER_MS,
                "source": "here" if self._intake.is_here else "lost",
                "hops": self._hops,
            }
        )
