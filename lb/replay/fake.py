"""What a venue's fake consists of: its market, what it says in a session, and its REST paths. No I/O.

A venue is one file in `venues/`: a `Fake`, with the `Talk` of its sessions and the `Stream`s that these send.
"""

import abc
import functools
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from lb.replay.made_books import PLACES, SYMBOLS, Instrument, Level, MadeBook, State, text_of
from lb.replay.trouble import Trouble, Twist

OLD_CHANGES = 1_000
OLD_NS = 60 * 10**9
"""By how much an old snapshot is behind."""


def iso_time(time_ns: int) -> str:
    """RFC 3339, to the microsecond."""
    return f"{_iso_second(time_ns // 10**9)}.{time_ns // 1_000 % 1_000_000:06d}Z"


@functools.lru_cache(maxsize=2)
def _iso_second(time_s: int) -> str:
    return f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%dT%H:%M:%S}"


@dataclass(frozen=True)
class Reply:
    """An answer by REST."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, value: object, status: int = 200, **headers: str) -> "Reply":
        return cls(json.dumps(value, separators=(",", ":")).encode(), status, headers)


@dataclass(frozen=True)
class Words:
    """What a session has to say at once, and with which code (and why) it is closed behind that, if it is."""

    texts: Sequence[bytes] = ()
    close: tuple[int, str] | None = None


class Ticker:
    """How many changes a book has had: so many a second since the start, and those made by hand."""

    def __init__(self, rate: float, start_ns: int) -> None:
        self._rate = rate
        self._start_ns = start_ns
        self._by_hand = 0

    def advance(self, changes: int) -> None:
        self._by_hand += changes

    def count(self, now_ns: int) -> int:
        """At this monotonic time."""
        return self._by_hand + max(0, int((now_ns - self._start_ns) * self._rate / 1e9))

    def due_ns(self, count: int) -> float:
        """Monotonic time of a change; infinite where only a hand will make it."""
        by_clock = count - self._by_hand
        if by_clock <= 0:
            return 0
        return self._start_ns + by_clock * 1e9 / self._rate + 1 if self._rate else float("inf")


class Book:
    """A made-up book that changes by the clock."""

    def __init__(self, made: MadeBook, ticker: Ticker) -> None:
        self.made = made
        self.ticker = ticker
        self.instrument = made.instrument
        self.texts: dict[tuple[str, int], bytes] = {}
        """By what it is and the place in the loop: what is written once. Any thread may; it writes the same."""

    def price(self, price: int, width: int | None = None) -> str:
        return text_of(price, self.instrument.price_decimals, width)

    def size(self, size: int, width: int | None = None) -> str:
        return text_of(size, self.instrument.size_decimals, width)

    def levels(self, levels: Iterable[Level], width: int | None = None) -> str:
        """As JSON: arrays of two strings."""
        return ",".join(f'["{self.price(price, width)}","{self.size(size, width)}"]' for price, size in levels)

    def crossed(self, count: int) -> Level:
        """A bid above the best ask after so many changes."""
        price, size = self.made.state(count).asks[0]
        return price + 1, size


class Stream(abc.ABC):
    """One topic of one session. `sent` is the change that was told last."""

    able: frozenset[Twist] = frozenset()
    """What can happen to its messages."""

    def __init__(self, book: Book, count: int) -> None:
        self.book = book
        self.symbol = book.instrument.symbol
        self.sent = count
        self.is_over = False

    def due_ns(self) -> float:
        """Monotonic time of the next change."""
        return self.book.ticker.due_ns(self.sent + 1)

    def opening(self) -> bytes | None:
        """What a stream begins with: the book after change number `sent`, where the venue sends that."""
        return None

    def text_once(self, what: str, count: int, write: Callable[[], bytes]) -> bytes:
        """What is the same each time the loop comes to this place."""
        place = (what, count % PLACES)
        text = self.book.texts.get(place)
        if text is None:
            text = self.book.texts[place] = write()
        return text

    @abc.abstractmethod
    def message(self, count: int, twist: Twist | None) -> bytes | None:
        """Of change number `count`, with the times of now; None where it tells nothing of it."""


class Talk:
    """The venue's half of one session. `streams` are those that have come and were not fetched yet."""

    next_ns: float = float("inf")
    """Monotonic time at which `tick` wants to be called."""

    def __init__(self) -> None:
        self.streams: list[Stream] = []

    def begin(self) -> Words:
        """What it says first."""
        return Words()

    def hear(self, text: bytes, now_ns: int) -> Words:
        """A message of the client's, at this monotonic time."""
        raise NotImplementedError

    def hear_control(self, now_ns: int) -> Words:
        """A ping or pong of the client's."""
        return Words()

    def tick(self, now_ns: int) -> Words:
        """What the venue says by the clock."""
        return Words()

    def has_sent(self, now_ns: int) -> None:
        """Data has gone out at this monotonic time."""

    def farewell(self) -> bytes | None:
        """The venue's word that the session is to end soon."""
        return None


class Fake(abc.ABC):
    """One venue. `books` are by canonical symbol; the venue's own names are its own business."""

    name: str
    default_quotes: frozenset[str]
    """Of the symbols that there are where none are asked for, it has those of these quotes."""
    path = "/"
    """Where its websocket is."""
    ping_interval_s: float = 0

    def __init__(self, symbols: Sequence[str] | None, rate: float, seed: int, levels: int) -> None:
        self.trouble = Trouble()
        self.books: dict[str, Book] = {}
        if symbols is None:
            symbols = [symbol for symbol in SYMBOLS if Instrument.of(symbol).quote in self.default_quotes]
        start_ns = time.monotonic_ns()
        for number, symbol in enumerate(symbols):
            # Symbols take turns, or all would change at the same moment.
            phase_ns = int(number / len(symbols) / rate * 1e9) if rate else 0
            made = MadeBook(Instrument.of(symbol), f"{seed} {self.name}", levels)
            self.books[symbol] = Book(made, Ticker(rate, start_ns + phase_ns))

    @abc.abstractmethod
    def talk(self, path: str, query: str) -> Talk | None:
        """A new session; None: there is no websocket at this path."""

    @property
    def symbols(self) -> list[str]:
        """Those that it has, canonical."""
        return list(self.books)

    @property
    def example(self) -> str:
        """A topic of `lb` of which there is something to hear."""
        return self.topic(self.symbols[0])

    @abc.abstractmethod
    def topic(self, symbol: str) -> str:
        """The name that `lb` has for the stream of a book."""

    @abc.abstractmethod
    def rest(self, path: str, query: Mapping[str, str]) -> Reply:
        """The answer to a GET."""

    def snapshot(self, book: Book) -> tuple[int, int, State]:
        """How many changes it has had, the wall clock in ns, and the book: of now, or of long ago where that was asked
        for."""
        time_ns, count = time.time_ns(), book.ticker.count(time.monotonic_ns())
        if self.trouble.take_old():
            time_ns, count = time_ns - OLD_NS, count - OLD_CHANGES
        return count, time_ns, book.made.state(count)
