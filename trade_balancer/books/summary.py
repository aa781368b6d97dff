"""Class Summary: the merged book of a symbol at one moment.

Law: it never changes, and is all in one piece of memory that C wrote; each encoding is made once, however many are
sent.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

from trade_balancer.books._books import ffi, lib


class State(IntEnum):
    """What a venue's book is: only live ones are merged. The numbers are those of `tradebalancer.books.v1.State`."""

    UNKNOWN = lib.STATE_UNKNOWN
    LIVE = lib.STATE_LIVE
    STALE = lib.STATE_STALE
    SYNCING = lib.STATE_SYNCING
    DOWN = lib.STATE_DOWN


class Decimals(NamedTuple):
    """How many decimals scaled numbers have: a price of 1 with 8 decimals is 0.00000001."""

    price: int
    size: int


class Level(NamedTuple):
    """How much there is at a price, at one venue; scaled by the summary's decimals."""

    venue: str
    price: int
    size: int


class VenueState(NamedTuple):
    """A venue that has a book of the symbol, merged or not; `state` as "live", "stale", "syncing", "down".

    `time_ns` is the venue's own time of its last message (0: it tells none), `received_ns` ours.
    """

    name: str
    state: str
    time_ns: int
    received_ns: int


_CROSSINGS = ("", "locked", "crossed")
_SUMMARY = ffi.typeof("struct summary *")
_BYTES = ffi.typeof("uint8_t[]")
_allocate = ffi.new_allocator(should_clear_after_alloc=False)


class Summary:
    """`Books.merge` makes them.

    Attributes:
        symbol: canonical, as BTC-USD.
        sequence: rising, for each symbol.
        received_ns: when the newest message in it was received.
        decimals: what prices and sizes are scaled by.
        depth: levels of each side, at most.
        spread: best ask less best bid, scaled; negative where they are crossed; None where a side is empty.
        crossing: "" (none), "locked" (best bid and ask are equal) or "crossed".
    """

    __slots__ = (
        *("_encoded", "_levels", "_memory", "_struct", "_venues"),
        *("decimals", "depth", "received_ns", "sequence", "symbol"),
    )

    def __init__(
        self, memory: bytes, symbol: str, decimals: Decimals, depth: int, sequence: int, received_ns: int
    ) -> None:
        self._memory = memory
        self._struct: Any = None
        self._levels: tuple[list[Level], list[Level]] | None = None
        self._venues: list[VenueState] | None = None
        self._encoded: dict[tuple[Any, int], bytes] = {}
        self.symbol = symbol
        self.decimals = decimals
        self.depth = depth
        self.sequence = sequence
        self.received_ns = received_ns

    def __repr__(self) -> str:
        return f"<Summary {self.symbol} {self.sequence}: {len(self.bids)} bids, {len(self.asks)} asks>"

    @property
    def _summary(self) -> Any:
        """Most summaries are sent, and nobody looks at their parts in Python."""
        if self._struct is None:
            self._struct = ffi.from_buffer(_SUMMARY, self._memory)
        return self._struct

    @property
    def spread(self) -> int | None:
        summary = self._summary
        return int(summary.spread) if summary.has_spread else None

    @property
    def crossing(self) -> str:
        return _CROSSINGS[self._summary.crossing]

    @property
    def bids(self) -> list[Level]:
        """Falling; at equal prices the larger size first, then by the venues' names."""
        return self._sides()[0]

    @property
    def asks(self) -> list[Level]:
        """Rising; else as `bids`."""
        return self._sides()[1]

    @property
    def venues(self) -> list[VenueState]:
        """In the order of their names."""
        if self._venues is None:
            told = lib.summary_venues(self._summary)
            self._venues = [
                VenueState(
                    ffi.string(venue.name).decode(), State(venue.state).name.lower(), venue.time_ns, venue.received_ns
                )
                for venue in (told[i] for i in range(self._summary.venues))
            ]
        return self._venues

    def v1(self, depth: int) -> bytes:
        """Encoded as `tradebalancer.books.v1.Summary`, with the best `depth` levels of each side."""
        return self._encode(lib.summary_v1, depth)

    def orderbook(self, depth: int = 10) -> bytes:
        """Encoded as `orderbook.Summary`, whose numbers are doubles, and whose spread is 0 where a side is empty."""
        return self._encode(lib.summary_orderbook, depth)

    def _encode(self, encode: Any, depth: int) -> bytes:
        depth = min(depth, self.depth)
        encoded = self._encoded.get((encode, depth))
        if encoded is None:
            room = _allocate(_BYTES, len(self._memory) * lib.SUMMARY_ENCODED_TIMES)
            encoded = ffi.buffer(room, encode(self._memory, depth, room))[:]
            self._encoded[encode, depth] = encoded
        return encoded

    def _sides(self) -> tuple[list[Level], list[Level]]:
        if self._levels is None:
            summary = self._summary
            names = [venue.name for venue in self.venues]
            bids, asks = (
                [Level(names[level.venue], level.price, level.size) for level in (levels[i] for i in range(count))]
                for levels, count in (
                    (lib.summary_bids(summary), summary.bids),
                    (lib.summary_asks(summary), summary.asks),
                )
            )
            self._levels = bids, asks
        return self._levels
