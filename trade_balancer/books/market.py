"""Who watches which symbol, and the newest summary of each.

Law: nothing queues. A watcher has one place for each of its symbols; what is put there takes the place of what was not
taken, and is counted. All of it belongs to one asyncio loop. An unknown symbol leaves nothing behind.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

from trade_balancer.books.near import Near
from trade_balancer.errors import UsageError

GRACE_S = 5.0
"""For how long the venues go on with a symbol that nobody watches any more: who comes back soon finds its book."""


class Summary(Protocol):
    """What the market knows of one: a merged book at one moment."""

    @property
    def symbol(self) -> str: ...

    @property
    def sequence(self) -> int:
        """Rising, for each symbol."""


class UnknownSymbolError(UsageError):
    """No venue has this symbol; `near` are some that may have been meant (exit code 64)."""

    def __init__(self, symbol: str, near: list[str]) -> None:
        meant = f"; there is {', '.join(near)}" if near else ""
        super().__init__(f"no venue has the symbol {symbol[:64]!r}{meant}")
        self.symbol = symbol
        self.near = near


class ClosedError(Exception):
    """This watcher gets nothing any more."""


def _nothing(_symbol: str) -> None:
    return None


@dataclass(slots=True)
class _Watched:
    """A symbol that somebody watches, or has watched a moment ago; or that is kept whoever does."""

    watchers: dict[Watcher, None] = field(default_factory=dict)
    newest: Summary | None = None
    leaving: asyncio.TimerHandle | None = None
    is_kept: bool = False


class Market:
    """Between what makes summaries and who watches them.

    Args:
        symbols: all that at least one venue has.
        on_first: called with a symbol that nobody has watched, before `Watcher.add` returns.
        on_last: called with a symbol that nobody has watched for `grace_s`.
    """

    def __init__(
        self,
        symbols: Iterable[str] = (),
        on_first: Callable[[str], object] = _nothing,
        on_last: Callable[[str], object] = _nothing,
        *,
        grace_s: float = GRACE_S,
    ) -> None:
        self._on_first = on_first
        self._on_last = on_last
        self._grace_s = grace_s
        self._watched: dict[str, _Watched] = {}
        self.skipped_total = 0
        """Summaries that a watcher did not take before the next of the same symbol came: counted for each watcher."""
        self.know(symbols)

    def know(self, symbols: Iterable[str]) -> None:
        """These are the symbols from now on. One that is gone stays with those who watch it."""
        self._symbols = sorted(set(symbols))
        self._known = frozenset(self._symbols)
        self._near = Near(self._symbols)

    def symbols(self) -> list[str]:
        return list(self._symbols)

    def __contains__(self, symbol: str) -> bool:
        """Whether it can be watched."""
        return symbol in self._known or symbol in self._watched

    def check(self, symbol: str) -> None:
        """
        Raises:
            UnknownSymbolError: it cannot be watched.
        """
        if symbol not in self:
            raise UnknownSymbolError(symbol, self._near(symbol))

    def watched(self) -> list[str]:
        """The symbols that the venues are asked for: watched by somebody, or until a moment ago, or kept."""
        return list(self._watched)

    def watchers(self, symbol: str) -> int:
        """How many there are."""
        watched = self._watched.get(symbol)
        return len(watched.watchers) if watched else 0

    def watch(self) -> Watcher:
        return Watcher(self)

    def keep(self, symbol: str) -> None:
        """From now on its newest is there for whoever comes. Raises UnknownSymbolError."""
        self._begun(symbol).is_kept = True

    def offer(self, summary: Summary) -> None:
        """The newest of its symbol. One that is not newer (by its sequence) than the last, or that nobody watches, is
        passed over."""
        watched = self._watched.get(summary.symbol)
        if watched is None or (watched.newest is not None and summary.sequence <= watched.newest.sequence):
            return
        watched.newest = summary
        for watcher in watched.watchers:
            watcher._put(summary)

    def _join(self, watcher: Watcher, symbol: str) -> Summary | None:
        """The newest, if there is one."""
        watched = self._begun(symbol)
        watched.watchers[watcher] = None
        return watched.newest

    def _begun(self, symbol: str) -> _Watched:
        """It is asked for at the venues, if it was not before."""
        watched = self._watched.get(symbol)
        if watched is None:
            self.check(symbol)
            watched = self._watched[symbol] = _Watched()
            try:
                self._on_first(symbol)
            except BaseException:
                del self._watched[symbol]
                raise
        elif watched.leaving is not None:
            watched.leaving.cancel()
            watched.leaving = None
        return watched

    def _leave(self, watcher: Watcher, symbol: str) -> None:
        watched = self._watched[symbol]
        del watched.watchers[watcher]
        if not watched.watchers and not watched.is_kept:
            loop = asyncio.get_running_loop()
            watched.leaving = loop.call_later(self._grace_s, self._forget, symbol)

    def _forget(self, symbol: str) -> None:
        del self._watched[symbol]
        self._on_last(symbol)


@dataclass(slots=True)
class _Place:
    """Of one symbol, in one watcher."""

    depth: int
    newest: Summary | None = None
    skipped: int = 0


class Watcher:
    """What one client watches. Made by Market.watch(); to be closed.

    with market.watch() as watcher:
        watcher.add("BTC-USD")
        summary, skipped = await watcher.next()
    """

    def __init__(self, market: Market) -> None:
        self._market = market
        self._places: dict[str, _Place] = {}
        self._changed: OrderedDict[str, None] = OrderedDict()
        """Symbols whose place is full, those that have waited the longest first."""
        self._waiting: asyncio.Future[None] | None = None
        self._is_closed = False

    def __enter__(self) -> Watcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def symbols(self) -> list[str]:
        return list(self._places)

    def depth(self, symbol: str) -> int:
        """That it was added with."""
        return self._places[symbol].depth

    def add(self, symbol: str, *, depth: int = 10) -> None:
        """What there is of it comes at once, then what changes. A second time: the depth changes, and what there is
        comes again.

        Raises:
            UnknownSymbolError: no venue has it; nothing has happened.
            ClosedError: the watcher is closed.
        """
        if self._is_closed:
            raise ClosedError
        newest = self._market._join(self, symbol)
        place = self._places.setdefault(symbol, _Place(depth))
        place.depth = depth
        if newest is not None and place.newest is None:
            self._fill(place, newest)

    def remove(self, symbol: str) -> None:
        """Nothing more of it comes. One that was not added is passed over."""
        if self._places.pop(symbol, None) is not None:
            self._changed.pop(symbol, None)
            self._market._leave(self, symbol)

    async def next(self) -> tuple[Summary, int]:
        """The newest of a symbol that has changed since it was taken, in turn; and how many of that symbol were skipped
        in between. Cancelled, it has taken nothing. For one task at a time.

        Raises:
            ClosedError: the watcher is closed, now or while it is waited.
        """
        while not self._changed and not self._is_closed:
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        if self._is_closed:
            raise ClosedError
        symbol, _ = self._changed.popitem(last=False)
        place = self._places[symbol]
        summary, skipped = place.newest, place.skipped
        assert summary is not None
        place.newest, place.skipped = None, 0
        return summary, skipped

    def close(self) -> None:
        """Remove all. The second time, nothing happens."""
        self._is_closed = True
        for symbol in self.symbols():
            self.remove(symbol)
        self._wake()

    def _put(self, summary: Summary) -> None:
        """By the market."""
        place = self._places[summary.symbol]
        if place.newest is not None:
            place.skipped += 1
            self._market.skipped_total += 1
            place.newest = summary
        else:
            self._fill(place, summary)

    def _fill(self, place: _Place, summary: Summary) -> None:
        place.newest = summary
        self._changed[summary.symbol] = None
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
