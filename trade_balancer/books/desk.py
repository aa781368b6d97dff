"""Where venues, books, merge and market meet: what pipes bring goes to the books, and what the keeper wishes is done.

Law: decides nothing of its own. All of it belongs to one asyncio loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from trade_balancer.books.books import Books
from trade_balancer.books.keeper import Fetch, Keeper, Resubscribe, Subscribe, Unsubscribe
from trade_balancer.books.key import Key
from trade_balancer.books.lbs import Lb, Ours
from trade_balancer.books.market import GRACE_S, Market
from trade_balancer.books.merger import Merger
from trade_balancer.books.rest import Rest, RestError
from trade_balancer.books.venue import BookVenue, Request, VenueSymbol
from trade_balancer.errors import tell

TICK_S = 0.1
TABLE_S = 3600.0
"""Between two looks which symbols a venue has; TABLE_RETRY_S after one that failed."""
TABLE_RETRY_S = 5.0
MOST_PAGES = 100
_READ_ONLY = ("--linger", "0")


@dataclass(frozen=True, slots=True)
class Source:
    """Of one venue: `control` the socket of an lb that runs, or None: ours, at `url`. `rest_url`: None: the venue's.
    `key`: for ours and for its REST, where the venue wants one."""

    venue: BookVenue
    control: str | None = None
    url: str | None = None
    rest_url: str | None = None
    key: Key | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """`symbols`: these and no other, whoever watches; none: what is watched. `folder`: for sockets of lbs of ours."""

    sources: Sequence[Source]
    folder: Path
    symbols: Sequence[str] = ()
    depth: int = 10
    is_whole: bool = False
    stale_after_s: float | None = None
    linger_s: float = GRACE_S


class Desk:
    """`run()` it until it is cancelled; `market` is there from the begin."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self.books = Books(depth=wanted.depth)
        venues = [source.venue for source in wanted.sources]
        self.keeper = Keeper(self.books, venues, is_whole=wanted.is_whole, stale_after_s=wanted.stale_after_s)
        self.market = Market((), self._first, self._last, grace_s=wanted.linger_s)
        self.merger = Merger(self.books, self.market, self.keeper.name_of)
        self.lbs: Mapping[str, Lb] = {source.venue.name: self._lb(source) for source in wanted.sources}
        self.rests = {
            source.venue.name: Rest(source.venue, source.rest_url, key=source.key) for source in wanted.sources
        }
        self._asked = {source.venue.name: asyncio.Event() for source in wanted.sources}
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[None] | None = None

    async def ready(self) -> None:
        """Each venue has been asked which symbols it has, with or without an answer."""
        for asked in self._asked.values():
            await asked.wait()

    async def run(self) -> None:
        """Raises what none of its parts should."""
        self._failed = asyncio.get_running_loop().create_future()
        try:
            for source in self._wanted.sources:
                self._start(self.lbs[source.venue.name].run())
                self._start(self._know(source.venue))
            self._start(self._tick())
            await self._failed
        finally:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for rest in self.rests.values():
                await rest.aclose()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) and self._failed and not self._failed.done():
            self._failed.set_exception(fault)

    def _lb(self, source: Source) -> Lb:
        venue = source.venue
        lb = Lb(
            venue.name,
            source.control or Ours(venue.name, source.url or venue.url, self._wanted.folder, _READ_ONLY, source.key),
            on_data=lambda data, received_ns: self._take(venue.name, data, received_ns),
            on_session=lambda is_open, why: self._session(venue.name, is_open, why),
            on_dropped=lambda: self._dropped(venue.name),
            backlog_bytes=venue.backlog_bytes,
        )
        lb.subscribe(venue.always)
        return lb

    def _take(self, venue: str, data: memoryview, received_ns: int) -> int:
        taken = self.books.take(self.keeper.number_of(venue), data, received_ns)
        self.keeper.heard(venue, time.monotonic())
        if taken.changed or taken.faults:
            self.keeper.taken(taken, time.monotonic())
            self._obey()
        return taken.consumed_bytes

    def _session(self, venue: str, is_open: bool, why: str) -> None:
        tell(f"{venue}: {why}")
        self.keeper.session(venue, is_open, time.monotonic())
        self._obey()

    def _dropped(self, venue: str) -> None:
        tell(f"{venue}: records are missing, we were too slow: its books begin anew")
        self.keeper.dropped(venue, time.monotonic())
        self._obey()

    def _first(self, symbol: str) -> None:
        self.keeper.watch(symbol, time.monotonic())
        self._obey()

    def _last(self, symbol: str) -> None:
        self.keeper.unwatch(symbol)
        self._obey()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.keeper.tick(time.monotonic())
            self._obey()

    def _obey(self) -> None:
        self.merger.changed(self.keeper.take_changed())
        for action in self.keeper.take_actions():
            match action:
                case Subscribe(venue, topics):
                    self.lbs[venue].subscribe(topics)
                case Unsubscribe(venue, topics):
                    self.lbs[venue].unsubscribe(topics)
                case Resubscribe(venue, topics):
                    self.lbs[venue].begin_anew(topics)
                case Fetch():
                    self._start(self._fetch(action))

    async def _fetch(self, wanted: Fetch) -> None:
        try:
            body = await self.rests[wanted.venue].get(wanted.request)
        except RestError as fault:
            tell(f"{wanted.venue}: no snapshot of {wanted.symbol}: {fault}")
            self.keeper.no_snapshot(wanted.venue, wanted.symbol, time.monotonic())
        else:
            self.keeper.snapshot(wanted.venue, wanted.symbol, body, time.time_ns(), time.monotonic())
        self._obey()

    async def _know(self, venue: BookVenue) -> None:
        """Which symbols it has, again and again."""
        while True:
            delay_s = TABLE_S
            try:
                self.keeper.know(venue.name, await self._table(venue), time.monotonic())
            except RestError as fault:
                tell(f"{venue.name}: its symbols are not known: {fault}")
                delay_s = TABLE_RETRY_S
                if fault.is_refusal and venue.assumed:
                    self._assume(venue, venue.assumed)
                    delay_s = TABLE_S
            except (KeyError, TypeError, ValueError, AttributeError) as fault:
                tell(f"{venue.name}: its symbols are not known: the answer is none of this venue's: {fault!r}")
                delay_s = TABLE_RETRY_S
            self._offer_symbols()
            self._asked[venue.name].set()
            await asyncio.sleep(delay_s)

    async def _table(self, venue: BookVenue) -> Mapping[str, VenueSymbol]:
        """Raises RestError, and what a venue's table may."""
        table: dict[str, VenueSymbol] = {}
        request: Request | None = venue.symbols
        for _ in range(MOST_PAGES):
            if request is None:
                return table
            answer = orjson.loads(await self.rests[venue.name].get(request))
            table |= venue.table(answer)
            request = venue.more(answer)
        raise RestError(f"its table of symbols has more than {MOST_PAGES} pages")

    def _assume(self, venue: BookVenue, assumed: Callable[[str], VenueSymbol]) -> None:
        """What --symbols names it is asked for, and whether there is such a symbol shows when it comes."""
        symbols = {symbol: assumed(symbol) for symbol in self._wanted.symbols}
        tell(f"{venue.name}: {len(symbols)} symbols are taken as they are named by --symbols")
        self.keeper.know(venue.name, symbols, time.monotonic())

    def _offer_symbols(self) -> None:
        known, only = self.keeper.symbols(), self._wanted.symbols
        self.market.know(known.intersection(only) if only else known)
        for symbol in only:
            if symbol in known:
                self.market.keep(symbol)
        self._obey()
