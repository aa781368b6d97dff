"""Two made-up venues -> an lb each -> lb-books -> a client: a symbol's merged book, live, and what venues brought."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from demo.programs import Failed, books, venue

VENUES = ("binance", "bitstamp")
SYMBOL = "ETH-BTC"
_DEPTH = 5
_FRAME_S = 0.2
_LONGEST_WAIT_S = 30
_STATES = ("unknown", "live", "stale", "syncing", "down")


@dataclass
class Seen:
    """What has come. `ages_ms`: from lb-books' receiving of the newest message in a summary to ours of the summary."""

    updates: dict[str, int] = field(default_factory=dict)
    levels: dict[str, int] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    ages_ms: list[float] = field(default_factory=list)
    skipped: int = 0
    crossed: int = 0

    def take(self, summary: Any) -> None:
        if summary.received_ns:  # before the first message there is a summary, too: of venues without levels
            self.ages_ms.append((time.time_ns() - summary.received_ns) / 1e6)
        self.skipped += summary.skipped
        self.crossed += summary.crossing == 2
        for number, each in enumerate(summary.venues):
            self.states[each.name] = _STATES[each.state]
            self.updates[each.name] = self.updates.get(each.name, 0) + (each.received_ns == summary.received_ns > 0)
            self.levels[each.name] = sum(level.venue == number for level in (*summary.bids, *summary.asks))


def show(duration_s: int) -> int:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"lb-books merges the books of {SYMBOL} of two made-up venues, for {duration_s} s:")
    console.print(f"$ lb-books {' '.join(f'--venue {name}' for name in VENUES)}\n$ lb-books-client {SYMBOL}\n")
    with venue(VENUES[0]) as one, venue(VENUES[1]) as other, books([one, other]) as address:
        seen = asyncio.run(_watch(address, duration_s, console))
    console.print()
    console.print(outcome(seen))
    is_good = set(seen.levels) == set(VENUES) and all(seen.updates[name] > 0 for name in VENUES)
    console.print("both venues are in the merged book" if is_good else "A VENUE IS MISSING")
    return 0 if is_good else 1


async def _watch(address: str, duration_s: int, console: Console) -> Seen:
    import grpc

    from trade_balancer.books.service import protos

    seen = Seen()
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.stream_stream(
            f"/{protos.BOOKS}/Watch", protos.WatchRequest.SerializeToString, protos.WatchReply.FromString
        )()
        await call.write(protos.WatchRequest(add=[SYMBOL], credits=2, depth=_DEPTH))
        until_s = time.monotonic() + duration_s
        shown_s = 0.0
        with Live(console=console, auto_refresh=False) as live:
            while time.monotonic() < until_s or not _is_complete(seen):
                async with asyncio.timeout(_LONGEST_WAIT_S):
                    reply = await call.read()
                if not hasattr(reply, "summary") or reply.WhichOneof("what") != "summary":
                    raise Failed(f"lb-books has not what the demo wants: {reply}")
                seen.take(reply.summary)
                await call.write(protos.WatchRequest(credits=1))
                if time.monotonic() - shown_s > _FRAME_S:
                    shown_s = time.monotonic()
                    live.update(book(reply.summary), refresh=True)
        call.cancel()
    return seen


def _is_complete(seen: Seen) -> bool:
    return all(seen.updates.get(name) for name in VENUES)


def book(summary: Any) -> Table:
    """The best levels, bids to the left, each with its venue."""
    crossing = ("", ", locked", ", crossed: an arbitrage")[summary.crossing]
    table = Table(title=f"{summary.symbol}  no. {summary.sequence}{crossing}")
    for head in ("venue", "size", "bid", "ask", "size", "venue"):
        table.add_column(head, justify="right" if head != "venue" else "left", min_width=9)
    for at in range(_DEPTH):
        bid = _cells(summary, summary.bids, at)
        table.add_row(*bid, *reversed(_cells(summary, summary.asks, at)))
    return table


def _cells(summary: Any, side: Sequence[Any], at: int) -> list[str]:
    """Venue, size, price."""
    if at >= len(side):
        return ["", "", ""]
    level = side[at]
    return [
        summary.venues[level.venue].name,
        _decimal(level.size, summary.size_decimals),
        _decimal(level.price, summary.price_decimals),
    ]


def _decimal(value: int, decimals: int) -> str:
    whole, fraction = divmod(value, 10**decimals)
    return f"{whole:,}.{fraction:0{decimals}d}" if decimals else f"{whole:,}"


def outcome(seen: Seen) -> Table:
    ages_ms = sorted(seen.ages_ms)
    p50, p99 = ages_ms[len(ages_ms) // 2], ages_ms[len(ages_ms) * 99 // 100]
    table = Table(title=f"{len(ages_ms):,} summaries, {seen.skipped:,} skipped, {seen.crossed:,} crossed")
    for head in ("venue", "state", "updates", f"levels of the {2 * _DEPTH} shown"):
        table.add_column(head, justify="left" if head in ("venue", "state") else "right")
    for name in VENUES:
        table.add_row(name, seen.states.get(name), f"{seen.updates.get(name, 0):,}", f"{seen.levels.get(name, 0)}")
    table.caption = (
        f"from lb-books' reading of a message to the client's of the summary: p50 {p50:.1f}, p99 {p99:.1f} ms"
    )
    return table
