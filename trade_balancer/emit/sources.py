"""Where records come from: pipes, as a worker of lb or its reader; topics of Kafka's; the merged books of an lb-books.

Law: a source is read as fast as it comes, whoever listens; where the other side ends and may come back, it is tried
again.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from trade_balancer.asynchronous import readable
from trade_balancer.control.attach import Attached, attach
from trade_balancer.emit.intake import Intake
from trade_balancer.errors import NoBalancerError, RefusedError
from trade_balancer.frames import LENGTH_BYTES
from trade_balancer.pipes import COLUMNS_READ_BYTES, Pipes

if TYPE_CHECKING:
    from trade_balancer.kafka.journey import Journey

GATHER_S = 0.002
"""After a read that brought little: at a trickle each costs as much as hundreds of records."""
RETRY_S = 0.25
_LITTLE_BYTES = COLUMNS_READ_BYTES // 4
_NOT_NOW = ("not-possible", "too-many")
"""What lb says while it stops, and while others take all the room."""
_NS_PER_MS = 1_000_000


class Source(Protocol):
    """Where an emitter's records come from."""

    async def feed(self, intake: Intake) -> None:
        """Hands over what comes, as frames, and tells when nothing comes any more; returns at the end of it all.

        Raises:
            WorkerError: it can't go on.
        """

    def leave(self) -> None:
        """No more is wanted: `feed` is to return soon."""


class PipesSource:
    """The pipes that lb has given its worker: their end is the end."""

    def __init__(self, fds: Sequence[int]) -> None:
        self._fds = fds

    async def feed(self, intake: Intake) -> None:
        intake.begin()
        await _drain(Pipes(self._fds, read_bytes=COLUMNS_READ_BYTES), intake)

    def leave(self) -> None:
        """Not before its pipes have ended: lb stops its workers so."""


class ReaderSource:
    """A reader of the lb whose control socket is `path`, or of the next one there.

    Raises:
        NoBalancerError, RefusedError: as `attach`.
    """

    def __init__(self, path: str, topics: Sequence[str]) -> None:
        self._path = path
        self._is_over = False
        self._reader: Attached = attach(path, topics)

    async def feed(self, intake: Intake) -> None:
        while not self._is_over:
            intake.begin()
            await _drain(Pipes(self._reader.fds, read_bytes=COLUMNS_READ_BYTES), intake)
            if self._is_over:
                break
            intake.lose(f"the lb at {self._path} has ended: what clients have is old until one is there again")
            while not self._is_over and not await asyncio.to_thread(self._is_back):
                await asyncio.sleep(RETRY_S * random.uniform(0.5, 1.5))
        self._reader.close()

    def leave(self) -> None:
        self._is_over = True
        self._reader.leave()

    def _is_back(self) -> bool:
        try:
            self._reader.reattach(within_s=0.0)
        except NoBalancerError:
            return False
        except RefusedError as fault:
            if fault.name not in _NOT_NOW:
                raise
            return False
        return True


async def _drain(pipes: Pipes, intake: Intake) -> None:
    """To the ends of all. Raises ReadError, TruncatedFrameError."""
    async with asyncio.TaskGroup() as group:
        for fd in pipes.cutters:
            group.create_task(_drain_one(pipes, fd, intake))
    if pipes.acknowledger is not None:
        pipes.acknowledger.tell(waits=True)
    pipes.check_ends()


async def _drain_one(pipes: Pipes, fd: int, intake: Intake) -> None:
    loop = asyncio.get_running_loop()
    acknowledger = pipes.acknowledger
    while not pipes.has_ended(fd):
        if not await readable(loop, fd, None if acknowledger is None else acknowledger.finished()):
            continue
        read_bytes = 0
        for frames in pipes.read_frames(fd) or ():
            intake.take(frames)
            read_bytes += len(frames)
        if read_bytes < _LITTLE_BYTES and not pipes.has_ended(fd):
            await asyncio.sleep(GATHER_S)


class KafkaSource:
    """All of some topics, from now on: a group of its own, so that no other process takes a part of them away.

    Raises:
        UnavailableError, UsageError: as `consume`.
    """

    def __init__(self, brokers: str, topics: Sequence[str], settings: Mapping[str, str]) -> None:
        from trade_balancer.kafka.source import consume  # only here: an extra

        own = {"auto.offset.reset": "latest", "enable.auto.commit": False}
        self._journeys: deque[tuple[int, Journey]] = deque()
        self._source = consume(
            brokers,
            topics,
            f"lb-emit-{uuid.uuid4()}",
            settings={**own, **settings},
            note=lambda number, journey: self._journeys.append((number, journey)),
        )

    async def feed(self, intake: Intake) -> None:
        intake.journeys = self._journeys
        intake.begin()
        try:
            await _drain(Pipes(self._source.fds, read_bytes=COLUMNS_READ_BYTES), intake)
        finally:
            await asyncio.to_thread(self._source.close)

    def leave(self) -> None:
        self._source.leave()


class BooksSource:
    """The best bid and offer of merged books, as the vendor's quotes of crypto-currencies (XQ). `target`: see
    `trade_balancer.books.service.following`."""

    def __init__(self, target: Any, symbols: Sequence[str]) -> None:
        self._target = target
        self._symbols = symbols
        self._reading: asyncio.Task[None] | None = None

    async def feed(self, intake: Intake) -> None:
        self._reading = asyncio.ensure_future(self._read(intake))
        try:
            await self._reading
        except asyncio.CancelledError:
            if not self._reading.cancelled():  # it is this task that is to end
                raise

    def leave(self) -> None:
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self, intake: Intake) -> None:
        from trade_balancer.books.service.following import Lost, follow  # only here: an extra

        async for event in follow(self._target, self._symbols, depth=1):
            if isinstance(event, Lost):
                intake.lose(f"the lb-books at {self._target.address} is lost: {event.why}")
                continue
            intake.begin()
            record = quote(event)
            intake.take(memoryview(len(record).to_bytes(LENGTH_BYTES, "little") + record))


def quote(summary: Any) -> bytes:
    """An XQ of a `Summary` of books.proto; without the members of a side that is empty."""
    times_ns = [venue.time_ns for venue in summary.venues if venue.time_ns] or [summary.received_ns]
    record: dict[str, object] = {"ev": "XQ", "pair": summary.symbol}
    for levels, price, size in ((summary.bids, "bp", "bs"), (summary.asks, "ap", "as")):
        if levels:
            record[price] = _decimal(levels[0].price, summary.price_decimals)
            record[size] = _decimal(levels[0].size, summary.size_decimals)
    record |= {"t": max(times_ns) // _NS_PER_MS, "x": 0, "r": summary.received_ns // _NS_PER_MS}
    return orjson.dumps(record)


def _decimal(value: int, decimals: int) -> orjson.Fragment:
    return orjson.Fragment(format(Decimal(value).scaleb(-decimals), "f").encode())
