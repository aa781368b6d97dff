"""Merged books as market data messages: 35=W, and 35=X of what has changed.

Law: no I/O. Prices and sizes are written from whole numbers, exactly. A view is what its client has been shown; the
next message is the difference, and where there is none, there is no message.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

from trade_balancer.books.service.told import scaled
from trade_balancer.books.summary import Decimals, Level, VenueState
from trade_balancer.errors import MissingExtraError

try:
    from fixcore.message.field import Group
    from fixcore.message.message import Message
except ImportError:
    raise MissingExtraError("FIX", "fixcore-engine", "fix") from None


class Side(StrEnum):
    """MDEntryType (269)."""

    BID = "0"
    OFFER = "1"


class Action(StrEnum):
    """MDUpdateAction (279)."""

    NEW = "0"
    CHANGE = "1"
    DELETE = "2"


class Summary(Protocol):
    """What is shown of one: books.summary.Summary has it, and service.mirror.Book."""

    symbol: str
    sequence: int
    decimals: Decimals

    @property
    def received_ns(self) -> int: ...

    @property
    def bids(self) -> Sequence[Level]: ...

    @property
    def asks(self) -> Sequence[Level]: ...

    @property
    def venues(self) -> Sequence[VenueState]: ...


Key = tuple[Side, str, int]
"""Of an entry: side, venue, price. A venue has one size at a price."""


@dataclass(slots=True)
class View:
    """Of one symbol, by one request: its best `depth` levels (0: all) of `sides`."""

    request: str
    sides: frozenset[Side]
    depth: int
    is_incremental: bool
    shown: dict[Key, int] | None = None
    """Sizes by entry; None: nothing yet."""
    decimals: Decimals | None = None

    def next(self, summary: Summary) -> Message | None:
        """What its client has to be told; None: nothing."""
        entries = dict(self._entries(summary))
        shown, self.shown = self.shown, entries
        is_new = shown is None or self.decimals != summary.decimals
        self.decimals = summary.decimals
        if entries == shown and not is_new:
            return None
        if is_new or shown is None or not self.is_incremental:
            return snapshot(self.request, summary, entries)
        return increment(self.request, summary, shown, entries)

    def _entries(self, summary: Summary) -> Iterator[tuple[Key, int]]:
        for side, levels in ((Side.BID, summary.bids), (Side.OFFER, summary.asks)):
            if side in self.sides:
                for level in levels[: self.depth or None]:
                    yield (side, level.venue, level.price), level.size


def snapshot(request: str, summary: Summary, entries: dict[Key, int]) -> Message:
    """35=W. An empty book has 268=0."""
    message = Message()
    message.header.set(35, "W")
    message.set_field(262, request)
    message.set_field(55, summary.symbol)
    message.set_field(268, "0")
    times = _times(summary)
    for (side, venue, price), size in entries.items():
        fields = [(269, side), (270, scaled(price, summary.decimals.price)), (271, scaled(size, summary.decimals.size))]
        message.add_group(268, _group([*fields, *times, (282, venue)]))
    return message


def increment(request: str, summary: Summary, shown: dict[Key, int], entries: dict[Key, int]) -> Message:
    """35=X: first what is gone, then what is another size or new, in the book's order."""
    message = Message()
    message.header.set(35, "X")
    message.set_field(262, request)
    times = _times(summary)
    changes: list[tuple[Action, Key, int | None]] = [(Action.DELETE, key, None) for key in shown if key not in entries]
    for key, size in entries.items():
        if (before := shown.get(key)) != size:
            changes.append((Action.NEW if before is None else Action.CHANGE, key, size))
    for action, (side, venue, price), now in changes:
        text = scaled(price, summary.decimals.price)
        fields = [(279, action), (269, side), (278, entry_id(summary.symbol, side, venue, text)), (55, summary.symbol)]
        fields.append((270, text))
        if now is not None:
            fields.append((271, scaled(now, summary.decimals.size)))
        message.add_group(268, _group([*fields, *times, (282, venue)]))
    return message


def entry_id(symbol: str, side: str, venue: str, price: str) -> str:
    """MDEntryID (278). Made of what an entry is: FIX 4.4 has no place for it in 35=W, and who has that can make it."""
    return f"{symbol}/{side}/{venue}/{price}"


def _times(summary: Summary) -> list[tuple[int, str]]:
    """When the newest message in it was received: MDEntryDate and MDEntryTime, in UTC."""
    received = datetime.fromtimestamp(summary.received_ns // 1_000_000 / 1000, UTC)
    return [(272, received.strftime("%Y%m%d")), (273, received.strftime("%H:%M:%S.%f")[:-3])]


def _group(fields: Sequence[tuple[int, Any]]) -> Group:
    group = Group()
    for tag, value in fields:
        group.set_field(tag, value)
    return group
