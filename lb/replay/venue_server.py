"""A venue's fake over real sockets: its websocket and its REST paths on one port, and its faults at a word."""

import functools
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Literal

from lb.replay.connection import Connection
from lb.replay.errors import UsageError
from lb.replay.fake import Book
from lb.replay.made_books import Level
from lb.replay.server import Server
from lb.replay.tally import Tally
from lb.replay.trouble import Twist
from lb.replay.venue_connection import VenueConnection
from lb.replay.venue_faults import Plan, VenueFault, VenueKind
from lb.replay.venue_recording import VenueRecording
from lb.replay.venues import FAKES, PLAYERS
from lb.replay.wire import WakeUp, Wire


class VenueServer(Server):
    """Made-up books, told in the protocol of a venue:

        with VenueServer(venue, symbols=["ETH-BTC"], rate=50) as server:
            start("lb", "--feed", venue, "none", server.url, ...)
            httpx.get(server.rest_url + "/...")
            server.gap("ETH-BTC")

    What happens to messages (`gap`, `duplicate`, `crossed`, `bad_checksum`) happens once, to the next message of a book
    of that symbol (None: of any) that it can happen to, in whichever session sends one.

    Args:
        venue: its name.
        symbols: canonical ones, BASE-QUOTE; any names will do. None: a dozen of which the venue has some.
        rate: changes a second of each book; 0: only by `advance`.
        seed: what the books are made from.
        levels: of a side, about.
        host, port, tls: as of ReplayServer.
        ping_interval_s: seconds between pings; None: as the venue; 0: none.
        faults: what happens by itself.
        recording: what is played in place of made-up books; there are no books then for `advance` and `levels`.

    Raises:
        UsageError: no such venue, or a name that is no symbol.
        UnavailableError: the address is unknown or not ours, or the port is in use.
    """

    def __init__(
        self,
        venue: str,
        *,
        symbols: Sequence[str] | None = None,
        rate: float = 10.0,
        seed: int = 1,
        levels: int = 200,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | Literal["self-signed"] | None = None,
        ping_interval_s: float | None = None,
        faults: Sequence[VenueFault] = (),
        recording: VenueRecording | None = None,
    ) -> None:
        if venue not in FAKES:
            raise UsageError(f"there is no fake of {venue!r}, only of {', '.join(sorted(FAKES))}")
        if recording is None:
            self._fake = FAKES[venue](symbols, rate, seed, levels)
        elif venue in PLAYERS:
            self._fake = PLAYERS[venue](recording)
        else:
            raise UsageError(f"recordings of {venue} are not played: those known are of older protocols")
        self._ping_interval_s = self._fake.ping_interval_s if ping_interval_s is None else ping_interval_s
        self._plan = Plan(faults)
        super().__init__(Tally(), host, port, self._fake.path, tls)

    def _connection(self, wire: Wire, wake_up: WakeUp) -> Connection:
        return VenueConnection(wire, wake_up, self._tally, self._fake, self._ping_interval_s, self._plan, self.suffer)

    @property
    def rest_url(self) -> str:
        """What REST paths are put behind; without a slash at the end."""
        return f"{'https' if self._tls else 'http'}://{self._host}:{self.port}"

    @property
    def symbols(self) -> list[str]:
        """Those that it has, canonical."""
        return self._fake.symbols

    def advance(self, symbol: str, changes: int = 1) -> None:
        """So many changes more of a book, at once."""
        self._book(symbol).ticker.advance(changes)
        self._order(VenueConnection.look_again)

    def levels(self, symbol: str, depth: int = 10) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """The book of now: bids and asks, price and size as decimals, without the filling zeros of the wire."""
        book = self._book(symbol)
        state = book.made.state(book.ticker.count(time.monotonic_ns()))

        def texts(levels: Sequence[Level]) -> list[tuple[str, str]]:
            return [(book.price(price), book.size(size)) for price, size in levels[:depth]]

        return texts(state.bids), texts(state.asks)

    @property
    def example(self) -> str:
        """A topic of `lb` of which there is something to hear."""
        return self._fake.example

    # Faults

    def suffer(self, fault: VenueFault) -> None:
        """Has a fault happen now, whenever it was due."""
        symbol = fault.value if isinstance(fault.value, str) else None
        number = 1 if fault.value is None or symbol else float(fault.value)
        match fault.kind:
            case VenueKind.GAP:
                self.gap(symbol)
            case VenueKind.DUPLICATE:
                self.duplicate(symbol)
            case VenueKind.CROSSED:
                self.crossed(symbol)
            case VenueKind.BAD_CHECKSUM:
                self.bad_checksum(symbol)
            case VenueKind.SILENT:
                self.silence(str(symbol))
            case VenueKind.STALL:
                self.stall(number)
            case VenueKind.DROP:
                self.disconnect()
            case VenueKind.CLOSE:
                self.close(int(number))
            case VenueKind.FAREWELL:
                self.announce_end()
            case VenueKind.LIFE:
                self.end_at(number)
            case VenueKind.OLD_SNAPSHOT:
                self.age_snapshots(int(number))
            case VenueKind.TOO_MANY_REQUESTS:
                self.refuse_requests(int(number))

    def gap(self, symbol: str | None = None) -> None:
        """The next difference is not sent."""
        self._fake.trouble.add(Twist.GAP, symbol)

    def duplicate(self, symbol: str | None = None) -> None:
        """The next message is sent twice."""
        self._fake.trouble.add(Twist.DUPLICATE, symbol)

    def crossed(self, symbol: str | None = None) -> None:
        """The next message has a best bid above the best ask. A difference leaves it there; a whole book does not."""
        self._fake.trouble.add(Twist.CROSSED, symbol)

    def bad_checksum(self, symbol: str | None = None) -> None:
        """The next message that has a checksum has a wrong one."""
        self._fake.trouble.add(Twist.BAD_CHECKSUM, symbol)

    def silence(self, symbol: str) -> None:
        """Nothing of the symbol is sent until `speak`; its book goes on."""
        self._fake.trouble.set_silent(symbol, True)

    def speak(self, symbol: str) -> None:
        self._fake.trouble.set_silent(symbol, False)

    def age_snapshots(self, count: int = 1) -> None:
        """The next so many snapshots by REST are of long ago, before all that was sent lately."""
        self._fake.trouble.age_snapshots(count)

    def refuse_requests(self, requests: int = 1, retry_after_s: int = 1) -> None:
        """The next so many requests by REST get 429."""
        self._fake.trouble.refuse(requests, retry_after_s)

    def disconnect(self) -> None:
        """Every session ends, without a close frame."""
        self._order(VenueConnection.drop)

    def close(self, code: int = 1001) -> None:
        """Every session ends with a close frame."""
        self._order(lambda connection: connection.close_with(code))

    def stall(self, stall_s: float = float("inf")) -> None:
        """The sessions of now send nothing and read nothing for so long."""
        self._order(lambda connection: connection.stall(stall_s))

    def announce_end(self) -> None:
        """The venue's own word that sessions are to end soon, where it has one; they stay open."""
        self._order(VenueConnection.say_farewell)

    def end_at(self, age_s: float) -> None:
        """Every session, those to come included, ends with a close frame when it is so old."""
        self._plan.life_s = age_s
        self._order(VenueConnection.look_at_age)

    def _order(self, what: Callable[[VenueConnection], None]) -> None:
        for connection in self.connections():
            assert isinstance(connection, VenueConnection)
            connection.order(functools.partial(what, connection))

    def _book(self, symbol: str) -> Book:
        if symbol not in self._fake.books:
            raise UsageError(f"the fake has no {symbol!r}")
        return self._fake.books[symbol]
