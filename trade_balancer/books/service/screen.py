"""What lb-books-client shows, drawn by rich.

Law: text of a server's is in it: none of it reaches a terminal but what can be printed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from trade_balancer.control.picture import printable
from trade_balancer.errors import MissingExtraError

try:
    from rich.console import Console, Group, RenderableType
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text
except ImportError:
    raise MissingExtraError("lb-books-client without --json", "rich", "books") from None

_A_SECOND = 8
"""So often it is drawn, for the ages."""
_STYLES = {"live": "green", "stale": "yellow", "syncing": "yellow", "crossed": "bold red", "locked": "bold yellow"}


class Shown(NamedTuple):
    """The newest of a symbol."""

    told: dict[str, Any]
    arrived_s: float
    """By the monotonic clock."""
    skipped_total: int


class Screen:
    """The terminal; where there is none, plain text.

    Args:
        symbols: in this order.
    """

    def __init__(self, symbols: Sequence[str], address: str) -> None:
        self._console = Console(highlight=False)
        self._address = address
        self._shown: dict[str, Shown | None] = dict.fromkeys(symbols)
        self._lost = ""

    def take(self, told: dict[str, Any]) -> None:
        """The newest of its symbol."""
        before = self._shown.get(told["symbol"])
        skipped_total = told["skipped"] + (before.skipped_total if before else 0)
        self._shown[told["symbol"]] = Shown(told, time.monotonic(), skipped_total)
        self._lost = ""

    def lose(self, why: str) -> None:
        """The server is gone; what there is gets old."""
        self._lost = why

    def print(self) -> None:
        """Once."""
        self._console.print(self.drawn())

    def live(self) -> Live:
        """While it is entered, it is drawn all over the terminal."""
        drawn: Callable[[], RenderableType] = self.drawn
        return Live(console=self._console, screen=True, get_renderable=drawn, refresh_per_second=_A_SECOND)

    def drawn(self) -> RenderableType:
        """The picture of this moment."""
        return Group(self._head(), *(part for symbol, shown in self._shown.items() for part in _book(symbol, shown)))

    def _head(self) -> Text:
        head = Text.assemble(("lb-books ", "bold"), f"{printable(self._address)}  ", no_wrap=True, overflow="ellipsis")
        if self._lost:
            return head.append(f"● lost, and tried again: {printable(self._lost)}", "bold red")
        is_there = any(self._shown.values())
        return head.append(
            "● connected" if is_there else "● waiting for a first book", "green" if is_there else "yellow"
        )


def _book(symbol: str, shown: Shown | None) -> Iterator[RenderableType]:
    if shown is None:
        yield Text(f"\n{printable(symbol)}  nothing yet", "dim")
        return
    told = shown.told
    spread = "one side is empty" if told["spread"] is None else f"spread {told['spread']}"
    line = Text.assemble("\n", (printable(symbol), "bold"), f"  {spread}  ")
    if told["crossing"]:
        line.append(f"{printable(told['crossing']).upper()}  ", _STYLES.get(told["crossing"], ""))
    yield line.append(f"#{told['sequence']}  skipped {shown.skipped_total:,}", "dim")
    yield _levels(told["bids"], told["asks"])
    yield _venues(told, time.monotonic() - shown.arrived_s)


def _levels(bids: Sequence[dict[str, str]], asks: Sequence[dict[str, str]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for head in ("venue", "size", "bid", "ask", "size", "venue"):
        table.add_column(head, justify="left" if head in ("ask", "venue") else "right", no_wrap=True)
    nothing = {"venue": "", "size": "", "price": ""}
    for bid, ask in zip_longest(bids, asks, fillvalue=nothing):
        table.add_row(
            Text(printable(bid["venue"])), bid["size"], Text(bid["price"], "green"),
            Text(ask["price"], "red"), ask["size"], Text(printable(ask["venue"])),
        )  # fmt: skip
    return table


def _venues(told: dict[str, Any], since_s: float) -> Text:
    """How old each is: by the clock of lb-books until its summary was made, and by ours from then on."""
    line = Text()
    for venue in told["venues"]:
        age_s = (told["received_ns"] - venue["received_ns"]) / 1e9 + since_s
        age = f" {max(age_s, 0.0):.1f} s" if venue["received_ns"] else ""
        line.append(f"{printable(venue['name'])} ").append(
            f"{printable(venue['state'])}{age}  ", _STYLES.get(venue["state"], "bold red")
        )
    return line
