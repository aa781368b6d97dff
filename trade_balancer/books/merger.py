"""From books that have changed to summaries for the market.

Law: merges what all venues' pipes have brought, not each message of theirs: under load the newest state wins, and
nothing waits in a queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from trade_balancer.books.books import Books
from trade_balancer.books.market import Market


class Merger:
    """`changed()` it as often as one likes: each symbol is merged once in the loop's next turn, behind all else that
    was ready in this one.

    Args:
        name_of: the symbol's name by its number; None: there is none of that number any more.
    """

    def __init__(self, books: Books, market: Market, name_of: Callable[[int], str | None]) -> None:
        self._books = books
        self._market = market
        self._name_of = name_of
        self._changed: dict[int, None] = {}
        self._sequences: dict[str, int] = {}
        """Of each symbol that was ever merged: they rise also over times in which nobody has watched it."""

    def changed(self, symbols: Iterable[int]) -> None:
        is_first = not self._changed
        self._changed.update(dict.fromkeys(symbols))
        if is_first and self._changed:
            asyncio.get_running_loop().call_soon(self._merge)

    def _merge(self) -> None:
        changed, self._changed = self._changed, {}
        for symbol in changed:
            name = self._name_of(symbol)
            if name is None:
                continue
            sequence = self._sequences.get(name, 0) + 1
            summary = self._books.merge(symbol, sequence)
            if summary is not None:
                self._sequences[name] = sequence
                self._market.offer(summary)
