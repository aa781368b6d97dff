"""From books that have changed to summaries for the market.

Law: merges what all venues' pipes have brought, not each message of theirs: under load the newest state wins, and
nothing waits in a queue.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from trade_balancer.books.books import Books
from trade_balancer.books.latency import Latency
from trade_balancer.books.market import Market
from trade_balancer.books.summary import Summary

SAMPLE_NS = 10_000_000
"""Between two samples of latency, at least."""


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
        self._last: dict[str, tuple[int, int]] = {}
        """Of each symbol that was ever merged its last sequence, and when the newest message in it was received (ns).
        Sequences rise also over times in which nobody has watched it."""
        self._sampled_ns = 0
        self.merged_total = 0
        self.since_exchange: dict[str, Latency] = {}
        """By venue, from its own time of a message, where it tells one, to the summary: samples."""
        self.since_receipt = Latency()
        """From the receipt of the message to the summary: samples."""

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
            sequence, received_ns = self._last.get(name, (0, 0))
            summary = self._books.merge(symbol, sequence + 1)
            if summary is not None:
                self._last[name] = sequence + 1, summary.received_ns
                self._market.offer(summary)
                self.merged_total += 1
                if summary.received_ns > received_ns:  # else another state of a venue has made it
                    self._sample(summary, time.time_ns())

    def _sample(self, summary: Summary, now_ns: int) -> None:
        if now_ns - self._sampled_ns < SAMPLE_NS:
            return
        self._sampled_ns = now_ns
        self.since_receipt.add((now_ns - summary.received_ns) / 1e9)
        for venue in summary.venues:
            if venue.received_ns == summary.received_ns and venue.time_ns:
                self.since_exchange.setdefault(venue.name, Latency()).add((now_ns - venue.time_ns) / 1e9)
