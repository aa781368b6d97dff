"""Class Books: messages of venues in, books kept in step, merged books out.

Law: no input or output here, and no Python object per message or level of a message. Prices and sizes are whole
numbers, scaled by the decimals of their symbol.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from trade_balancer.books._books import ffi, lib
from trade_balancer.books.summary import Decimals, State, Summary

Bytes = bytes | bytearray | memoryview

DEPTH_MAX: int = lib.BOOKS_DEPTH_MAX
VENUES_MAX: int = lib.BOOKS_VENUES_MAX
_DECIMALS_MAX: int = lib.BOOKS_DECIMALS_MAX
_LEVELS_MAX = 1_000_000
_BYTES = ffi.typeof("uint8_t[]")


class Form(IntEnum):
    """How a venue writes its messages."""

    BINANCE = lib.FORM_BINANCE
    BITSTAMP = lib.FORM_BITSTAMP
    COINBASE = lib.FORM_COINBASE
    KRAKEN = lib.FORM_KRAKEN
    POLYGON = lib.FORM_POLYGON


class Rule(IntEnum):
    """How a book keeps in step with its venue."""

    WHOLE_EACH_TIME = lib.RULE_WHOLE_EACH_TIME
    """Each message is the whole book, the best levels first."""
    IDS = lib.RULE_IDS
    """Differences with first and last id, behind a snapshot; those that come before it are kept for it."""
    SEQUENCE = lib.RULE_SEQUENCE
    """The venue counts all its messages: a missing one puts all its books out, one that comes again is passed over."""
    CHECKSUM = lib.RULE_CHECKSUM
    """Messages have a checksum of the book as it is behind them."""
    TIMES = lib.RULE_TIMES
    """Differences with times, behind a snapshot with one; nothing tells of a lost one."""


class Why(IntEnum):
    """Why a book is out."""

    GAP = lib.WHY_GAP
    CHECKSUM = lib.WHY_CHECKSUM
    CROSSED = lib.WHY_CROSSED
    INEXACT = lib.WHY_INEXACT
    """A number has more decimals than the symbol."""
    TOO_LARGE = lib.WHY_TOO_LARGE
    """A scaled number has more than 63 bits, or a message more than a million levels."""
    MALFORMED = lib.WHY_MALFORMED
    OVERFLOW = lib.WHY_OVERFLOW
    """More differences came before the snapshot than are kept (1 MiB a book, 64 MiB in all): begun anew."""
    OLD = lib.WHY_OLD
    """The snapshot is older than the first difference that was kept; those stay, for a newer snapshot."""


class Side(IntEnum):
    BID = 0
    ASK = 1


class Fault(NamedTuple):
    """A book is out and waits for a snapshot (or a whole book); symbol -1: a malformed message that names none."""

    venue: int
    symbol: int
    why: Why


class Taken(NamedTuple):
    """What came of messages: symbols whose best levels have changed (each once), and books that are out."""

    consumed_bytes: int
    changed: list[int]
    faults: list[Fault]


class BookState(NamedTuple):
    """A venue's book of a symbol; `is_live`: it is in the merge. The levels are those it has of each side."""

    is_synced: bool
    is_live: bool
    state: State
    last_id: int
    time_ns: int
    received_ns: int
    bid_levels: int
    ask_levels: int
    messages_total: int
    faults_total: int


class Books:
    """The books of up to 16 venues for any number of symbols.

    Args:
        depth: levels of each side of a merged book, at most 100.
        levels_max: levels of each side that a venue's book keeps; a deeper one is cut at its far end.

    Raises:
        ValueError: as said; or, by all methods, a venue, a symbol or a book that there is not.

    Not for use by two threads at a time.
    """

    def __init__(self, *, depth: int = 10, levels_max: int = 5000) -> None:
        if not 1 <= depth <= DEPTH_MAX:
            raise ValueError(f"a depth of {depth} is not between 1 and {DEPTH_MAX}")
        if not depth <= levels_max <= _LEVELS_MAX:
            raise ValueError(f"levels_max={levels_max} is not between depth={depth} and {_LEVELS_MAX}")
        books = lib.books_new(depth, levels_max)
        if books == ffi.NULL:
            raise MemoryError("no memory for books")
        self._books = ffi.gc(books, lib.books_free)
        self._taken = lib.books_taken(books)
        self._room = ffi.new("uint8_t[]", lib.books_merge_room(books))
        self._summary = ffi.cast("struct summary *", self._room)
        self._state = ffi.new("struct books_book *")
        self.depth = depth
        self.levels_max = levels_max
        self._venues: list[str] = []
        self._symbols: dict[int, tuple[str, Decimals]] = {}

    def add_venue(self, name: str, form: Form, stream: int | None = None) -> int:
        """Returns its number. `stream`: the venue with whose messages those of this one come (`take` is told that one),
        told from others' by their source; it has the same form.

        Raises ValueError where there are 16, or one of that name, or that has over 27 bytes.
        """
        if stream is not None and not 0 <= stream < len(self._venues):
            raise ValueError(f"there is no venue {stream}")
        encoded = _text("venue", name, lib.BOOKS_NAME_BYTES)
        number = lib.books_add_venue(self._books, encoded, Form(form), -1 if stream is None else stream)
        if number == lib.BOOKS_ERR_FULL:
            raise ValueError(f"there are {VENUES_MAX} venues: no more can be merged")
        if number == lib.BOOKS_ERR_TAKEN:
            raise ValueError(f"there is a venue {name!r}")
        self._venues.append(name)
        return int(number)

    def add_symbol(self, name: str, decimals: Decimals) -> int:
        """Returns its number, which may be that of one that was removed. Raises ValueError beyond 63 bytes."""
        encoded = _text("symbol", name, lib.BOOKS_SYMBOL_BYTES)
        for decimal in decimals:
            if not 0 <= decimal <= _DECIMALS_MAX:
                raise ValueError(f"{decimal} decimals are not between 0 and {_DECIMALS_MAX}")
        number = lib.books_add_symbol(self._books, encoded, *decimals)
        if number == lib.BOOKS_ERR_MEMORY:
            raise MemoryError("no memory for a symbol")
        self._symbols[number] = (name, Decimals(*decimals))
        return int(number)

    def remove_symbol(self, symbol: int) -> None:
        """Closes its books, too."""
        self._known(symbol)
        lib.books_remove_symbol(self._books, symbol)
        del self._symbols[symbol]

    def open_book(
        self, venue: int, symbol: int, name: bytes, rule: Rule, decimals: Decimals, depth: int = 0, source: int = 0
    ) -> None:
        """From now on messages of that name are taken. The book is live, but out until it has a snapshot.

        Args:
            name: the venue's name of the symbol, as its messages have it.
            decimals: those the venue writes; no more than the symbol's.
            depth: how many levels of a side are kept: what was subscribed, where the venue counts on that (Kraken).
                With WHOLE_EACH_TIME no more than that are read of a message, if those are in order: for venues that
                send the best first. 0: levels_max.
            source: of which exchange, where messages of several come (Polygon's x).

        Raises:
            ValueError: also where the venue has such a book.
        """
        _, scale = self._known(symbol)
        if not 0 <= venue < len(self._venues):
            raise ValueError(f"there is no venue {venue}")
        if decimals.price > scale.price or decimals.size > scale.size or min(decimals) < 0:
            raise ValueError(f"{decimals} are not within those of the symbol, {scale}")
        if depth < 0 or lib.books_is_open(self._books, venue, symbol):
            raise ValueError(f"there is a book of symbol {symbol} at venue {venue}, or depth={depth} is below 0")
        rc = lib.books_open(
            self._books, venue, symbol, name, len(name), Rule(rule), decimals.price, decimals.size, depth, source
        )
        if rc == lib.BOOKS_ERR_TAKEN:
            raise ValueError(f"venue {venue} has a book of {name!r} from source {source}")
        if rc == lib.BOOKS_ERR_MEMORY:
            raise MemoryError("no memory for a book")

    def close_book(self, venue: int, symbol: int) -> None:
        """Its memory is given back."""
        self._open(venue, symbol)
        lib.books_close(self._books, venue, symbol)

    def take(self, venue: int, data: Bytes, received_ns: int) -> Taken:
        """Takes messages of a venue, framed as in a pipe: four bytes of length, little end first, and the message.

        Whole frames are taken: what is behind them is not consumed. Nor is what follows 256 faults: call again.
        """
        if not 0 <= venue < len(self._venues):
            raise ValueError(f"there is no venue {venue}")
        frames = ffi.from_buffer(_BYTES, data)
        return self._told(lib.books_take(self._books, venue, frames, len(frames), received_ns))

    def messages_total(self, venue: int) -> int:
        """Messages of the venue that were taken, of books or not."""
        return int(lib.books_messages(self._books, venue))

    def repeats_total(self, venue: int) -> int:
        """Those of them that the venue, by its own count of them, had sent before: they are passed over."""
        return int(lib.books_repeats(self._books, venue))

    def snapshot(self, venue: int, symbol: int, body: bytes, received_ns: int) -> Taken:
        """The body of the venue's answer to a request for a snapshot. One older than a book in step changes nothing."""
        self._open(venue, symbol)
        return self._told(lib.books_snapshot(self._books, venue, symbol, body, len(body), received_ns))

    def reset(self, venue: int, symbol: int) -> None:
        """Puts the book out: it waits for a snapshot, and keeps the differences that come from now on for it."""
        self._open(venue, symbol)
        lib.books_reset(self._books, venue, symbol)

    def set_state(self, venue: int, symbol: int, state: State) -> bool:
        """Says what the book is: LIVE (as at first), STALE, SYNCING, DOWN, or UNKNOWN: then the merge does not name it.
        Returns whether that changes the merge.

        A live one that is out is merged as SYNCING, until it is in step.
        """
        self._open(venue, symbol)
        return bool(lib.books_set_state(self._books, venue, symbol, State(state)))

    def set_live(self, venue: int, symbol: int, is_live: bool) -> bool:
        """`set_state` with LIVE or STALE."""
        return self.set_state(venue, symbol, State.LIVE if is_live else State.STALE)

    def book(self, venue: int, symbol: int) -> BookState:
        self._open(venue, symbol)
        told = self._state
        lib.books_book(self._books, venue, symbol, told)
        state = State(told.state)
        is_synced = bool(told.is_synced)
        return BookState(
            is_synced,
            is_synced and state == State.LIVE,
            state,
            told.last_id,
            told.time_ns,
            told.received_ns,
            told.bid_levels,
            told.ask_levels,
            told.messages_total,
            told.faults_total,
        )

    def levels(self, venue: int, symbol: int, side: int, count: int) -> list[tuple[int, int]]:
        """The best `count` prices and sizes of a side (0 bids, 1 asks), the best first; none of a book that is out."""
        self._open(venue, symbol)
        room = ffi.new("struct books_level[]", max(0, min(count, self.levels_max + 1)))
        used = lib.books_levels(self._books, venue, symbol, Side(side), room, len(room))
        return [(room[i].price, room[i].size) for i in range(used)]

    def merge(self, symbol: int, sequence: int) -> Summary | None:
        """The best levels of all live venues, or None where these, and the venues' states, are as they were last time.

        Bids fall, asks rise; at equal prices the larger size is first, then the venues are in the order of their names.
        """
        name, decimals = self._known(symbol)
        used = lib.books_merge(self._books, symbol, sequence, self._summary)
        if not used:
            return None
        memory, received_ns = ffi.buffer(self._room, used)[:], self._summary.received_ns
        return Summary(memory, name, decimals, self.depth, sequence, received_ns)

    @property
    def memory_bytes(self) -> int:
        """What all of them take."""
        return int(lib.books_memory_bytes(self._books))

    def _told(self, rc: int) -> Taken:
        if rc < 0:
            raise MemoryError("no memory for the levels of a book: it is out")
        taken = self._taken
        faults = []
        if taken.faults:
            told = (taken.fault[i] for i in range(taken.faults))
            faults = [Fault(fault.venue, fault.symbol, Why(fault.why)) for fault in told]
        changed = ffi.unpack(taken.changed_symbols, taken.changed) if taken.changed else []
        return Taken(taken.consumed_bytes, changed, faults)

    def _known(self, symbol: int) -> tuple[str, Decimals]:
        try:
            return self._symbols[symbol]
        except KeyError:
            raise ValueError(f"there is no symbol {symbol}") from None

    def _open(self, venue: int, symbol: int) -> None:
        if symbol < 0 or venue < 0 or not lib.books_is_open(self._books, venue, symbol):
            raise ValueError(f"venue {venue} has no book of symbol {symbol}")


def _text(what: str, name: str, room_bytes: int) -> bytes:
    encoded = name.encode()
    if not 0 < len(encoded) < room_bytes or b"\0" in encoded:
        raise ValueError(f"{name!r} is no name of a {what}: it has 1 to {room_bytes - 1} bytes")
    return encoded
