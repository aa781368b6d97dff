"""Which books are kept, what each venue's is worth, and what is to be done about it.

    state of a venue's book    when                                          in the merge
    DOWN                       its lb has no session                         no
    SYNCING                    there is a session; the book is not in step   no
    STALE                      in step, but nothing was heard for too long   no
    LIVE                       in step, and heard of                         yes
    UNKNOWN                    one exchange of several, never heard of       no, nor is it named there

Law: no I/O; the clock is the caller's. One recovery of a book at a time, later and later while it does not help.
"""

from __future__ import annotations

import random
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from trade_balancer.books.books import Books, Fault, Rule, Taken, Why
from trade_balancer.books.summary import Decimals, State
from trade_balancer.books.venue import BookVenue, Request, VenueSymbol

FIRST_DELAY_S = 0.25
"""Between two recoveries of a book; it doubles up to MOST_DELAY_S, and HEALTHY_S later begins anew."""
MOST_DELAY_S = 30.0
HEALTHY_S = 30.0
BY_ITSELF_S = 10.0
"""A book that comes when it is subscribed is asked for again where it has not come by then."""
FIRST_SNAPSHOT_S = 0.5
"""Differences come first, or the snapshot is older than all of them."""
CONFIRM_S = 5.0
"""A book that REST has told before the venue's first message is asked for once more: what it tells may be some seconds
old (Bitstamp's: 2.6 s), and what has changed between that and the subscription no message tells."""
_NEVER_S = float("inf")


class Fetch(NamedTuple):
    """A snapshot is wanted."""

    venue: str
    symbol: str
    request: Request


class Subscribe(NamedTuple):
    venue: str
    topics: list[str]


class Unsubscribe(NamedTuple):
    venue: str
    topics: list[str]


class Resubscribe(NamedTuple):
    """The venue is to begin anew with these."""

    venue: str
    topics: list[str]


Action = Fetch | Subscribe | Unsubscribe | Resubscribe


class _Merged(NamedTuple):
    """`number`: in Books; `source`: in the venue's messages."""

    number: int
    source: int


@dataclass(slots=True)
class _Venue:
    """`number`: in Books; `merged`: by name, what is in the merge of it: itself, or the exchanges that it brings."""

    about: BookVenue
    number: int
    merged: Mapping[str, _Merged]
    stale_after_s: float
    table: Mapping[str, VenueSymbol] = field(default_factory=dict)
    is_open: bool = False
    heard_s: float = 0.0
    """When anything came of it."""


@dataclass(slots=True)
class _Kept:
    """A book of a symbol: `name` and `number` are the venue's in the merge, which may be an exchange of `venue`'s."""

    name: str
    number: int
    venue: _Venue
    symbol: VenueSymbol
    recover_s: float = _NEVER_S
    """When the next recovery is due."""
    confirm_s: float = _NEVER_S
    """When it is to be asked for once more."""
    begun_total: int = 0
    """Messages when it began."""
    attempts: int = 0
    synced_s: float = _NEVER_S
    """Since when it is in step."""
    messages_total: int = 0
    heard_s: float = 0.0
    """When there were so many."""
    asked_s: float = 0.0
    """When a silent book was asked for again."""
    state: State = State.UNKNOWN


@dataclass(slots=True)
class _Symbol:
    number: int
    name: str
    decimals: Decimals
    books: dict[str, _Kept]


class Keeper:
    """Call it with what happens; then `take_actions()` is what is to be done, and `take_changed()` what to merge."""

    def __init__(
        self,
        books: Books,
        venues: Sequence[BookVenue],
        *,
        is_whole: bool = False,
        stale_after_s: float | None = None,
        dice: random.Random | None = None,
    ) -> None:
        """`is_whole`: whole books, where a venue has them. `stale_after_s`: of all venues, instead of their own."""
        self._books = books
        self._is_whole = is_whole
        self._dice = dice or random.Random()
        names = {about.name for about in venues}
        self._venues = {about.name: self._added(about, stale_after_s, names) for about in venues}
        self._names = {venue.number: name for name, venue in self._venues.items()}
        for venue in self._venues.values():
            self._names |= {merged.number: name for name, merged in venue.merged.items()}
        self._symbols: dict[str, _Symbol] = {}
        self._by_number: dict[int, _Symbol] = {}
        self._actions: list[Action] = []
        self._changed: dict[int, None] = {}
        self._fetching: set[tuple[str, str]] = set()
        """Venue and symbol of snapshots on their way, wanted or not any more: never two of one book."""
        self.faults_total: dict[tuple[str, Why], int] = {}

    def know(self, venue_name: str, table: Mapping[str, VenueSymbol], now_s: float) -> None:
        """The symbols that the venue has. The book of a watched one that it does not trade any more is closed, of one
        that it trades now opened; the books of other venues go on, unless this one has more decimals."""
        venue = self._venues[venue_name]
        venue.table = table
        for symbol in list(self._symbols.values()):
            before, new = self._opened(symbol, venue), _traded(venue, symbol.name)
            if new == before:
                continue
            if before is not None:
                self._close(symbol, venue, before)
            if new is None:
                continue
            if new.decimals.price > symbol.decimals.price or new.decimals.size > symbol.decimals.size:
                self.unwatch(symbol.name)
                self.watch(symbol.name, now_s)
            else:
                self._open(symbol, venue, new, now_s)

    def symbols(self) -> set[str]:
        """That at least one venue trades."""
        tables = (venue.table for venue in self._venues.values())
        return {canonical for table in tables for canonical, symbol in table.items() if symbol.is_trading}

    def name_of(self, number: int) -> str | None:
        """Of a symbol in Books."""
        symbol = self._by_number.get(number)
        return symbol.name if symbol else None

    def number_of(self, venue: str) -> int:
        return self._venues[venue].number

    def states(self) -> dict[str, dict[str, State]]:
        """Of each symbol that is kept, at each venue that has it."""
        return {
            name: {venue: kept.state for venue, kept in symbol.books.items()} for name, symbol in self._symbols.items()
        }

    def counts(self) -> dict[str, dict[State, int]]:
        """How many books of each venue are in which state."""
        counts = {venue: dict.fromkeys(State, 0) for venue in self._venues}
        for symbol in self._symbols.values():
            for venue, kept in symbol.books.items():
                counts.setdefault(venue, dict.fromkeys(State, 0))[kept.state] += 1
        return counts

    @property
    def watched(self) -> int:
        """How many symbols are kept."""
        return len(self._symbols)

    def known(self, venue: str) -> int:
        """How many symbols the venue has."""
        return len(self._venues[venue].table)

    def watch(self, name: str, now_s: float) -> None:
        """Keep this symbol's books, of all venues that trade it."""
        if name in self._symbols:
            return
        traded = [(venue, there) for venue in self._venues.values() if (there := _traded(venue, name)) is not None]
        scales = [there.decimals for _, there in traded] or [Decimals(0, 0)]
        decimals = Decimals(max(one.price for one in scales), max(one.size for one in scales))
        number = self._books.add_symbol(name, decimals)
        symbol = self._symbols[name] = self._by_number[number] = _Symbol(number, name, decimals, {})
        for venue, of_venue in traded:
            self._open(symbol, venue, of_venue, now_s)
        self._changed[number] = None

    def unwatch(self, name: str) -> None:
        """No more of this symbol."""
        symbol = self._symbols.pop(name)
        del self._by_number[symbol.number]
        self._changed.pop(symbol.number, None)
        self._books.remove_symbol(symbol.number)
        for venue in self._venues.values():
            if (before := self._opened(symbol, venue)) is not None:
                self._leave(venue, before)

    def taken(self, taken: Taken, now_s: float) -> None:
        """What came of messages, or of a snapshot."""
        for number in taken.changed:
            self._changed[number] = None
            symbol = self._by_number.get(number)
            if symbol is not None:
                for kept in symbol.books.values():
                    if kept.state is not State.LIVE:
                        self._judge(symbol, kept, now_s)
        for fault in taken.faults:
            self._fault(fault, now_s)

    def snapshot(self, venue: str, name: str, body: bytes, received_ns: int, now_s: float) -> None:
        """The answer to a Fetch."""
        self._fetching.discard((venue, name))
        symbol = self._symbols.get(name)
        kept = symbol.books.get(venue) if symbol else None
        if symbol is None or kept is None:
            return  # nobody wants it any more
        self.taken(self._books.snapshot(kept.number, symbol.number, body, received_ns), now_s)
        self._judge(symbol, kept, now_s)

    def no_snapshot(self, venue: str, name: str, now_s: float) -> None:
        """A Fetch has failed."""
        self._fetching.discard((venue, name))
        symbol = self._symbols.get(name)
        if symbol and (kept := symbol.books.get(venue)):
            self._put_off(kept, now_s)
            if kept.venue.about.rule(self._is_whole) is Rule.WHOLE_EACH_TIME:
                kept.confirm_s = now_s + CONFIRM_S

    def session(self, venue_name: str, is_open: bool, now_s: float) -> None:
        """The venue's session is open, or lost: what comes next does not follow on what came last."""
        venue = self._venues[venue_name]
        venue.is_open = is_open
        venue.heard_s = now_s
        for symbol, kept in self._of(venue_name):
            if not is_open:  # messages of a session that opens may be there before lb's word of it
                self._books.reset(kept.number, symbol.number)
            kept.attempts, kept.asked_s = 0, now_s
            self._begin(kept, now_s)
            self._judge(symbol, kept, now_s)

    def dropped(self, venue_name: str, now_s: float) -> None:
        """Records of this venue are missing."""
        for symbol, kept in self._of(venue_name):
            self._books.reset(kept.number, symbol.number)
            self._put_off(kept, now_s)
            self._judge(symbol, kept, now_s)

    def heard(self, venue_name: str, now_s: float) -> None:
        """Messages of this venue came, of books or not."""
        self._venues[venue_name].heard_s = now_s

    def tick(self, now_s: float) -> None:
        """Look at all of them; a few times a second."""
        for symbol in self._symbols.values():
            for kept in symbol.books.values():
                self._judge(symbol, kept, now_s)
                if not kept.venue.is_open:
                    continue
                if now_s >= kept.recover_s and (kept.venue.about.name, symbol.name) not in self._fetching:
                    self._recover(symbol, kept, now_s)
                elif now_s >= kept.confirm_s:
                    self._confirm(symbol, kept)
                elif kept.state in (State.LIVE, State.STALE):
                    self._ask_the_silent(kept, now_s)

    def take_actions(self) -> list[Action]:
        actions, self._actions = self._actions, []
        return actions

    def take_changed(self) -> Iterable[int]:
        changed, self._changed = self._changed, {}
        return changed

    def _open(self, symbol: _Symbol, venue: _Venue, of_venue: VenueSymbol, now_s: float) -> None:
        about = venue.about
        rule = about.rule(self._is_whole)
        is_cut = rule is Rule.WHOLE_EACH_TIME and not self._is_whole
        # Where the best move on before the levels do, some of these are gone: more of them are there to follow.
        spare = self._books.depth if about.has_best else 0
        depth = about.depth or (self._books.depth + spare if is_cut else 0)
        # Kraken's checksum is over the digits of its own; all others may be read with the symbol's.
        own = of_venue.decimals if rule is Rule.CHECKSUM else symbol.decimals
        self._actions.append(Subscribe(about.name, about.topics(of_venue.name, self._is_whole)))
        for name, (number, source) in venue.merged.items():
            self._books.open_book(number, symbol.number, of_venue.name.encode(), rule, own, depth, source)
            self._books.set_state(number, symbol.number, State.UNKNOWN)
            kept = symbol.books[name] = _Kept(name, number, venue, of_venue)
            self._begin(kept, now_s)
            self._judge(symbol, kept, now_s)

    def _close(self, symbol: _Symbol, venue: _Venue, before: VenueSymbol) -> None:
        """The venue does not trade it any more: its levels leave, and the others' stay."""
        for name, merged in venue.merged.items():
            self._books.close_book(merged.number, symbol.number)
            del symbol.books[name]
        self._leave(venue, before)
        self._changed[symbol.number] = None

    def _leave(self, venue: _Venue, before: VenueSymbol) -> None:
        about = venue.about
        self._actions.append(Unsubscribe(about.name, about.topics(before.name, self._is_whole)))

    def _opened(self, symbol: _Symbol, venue: _Venue) -> VenueSymbol | None:
        """The symbol as it was at the venue when its books there were opened, if they are."""
        return next((symbol.books[name].symbol for name in venue.merged if name in symbol.books), None)

    def _of(self, venue: str) -> list[tuple[_Symbol, _Kept]]:
        return [
            (symbol, kept)
            for symbol in self._symbols.values()
            for kept in symbol.books.values()
            if kept.venue.about.name == venue
        ]

    def _added(self, about: BookVenue, stale_after_s: float | None, venues: Container[str]) -> _Venue:
        """An exchange that is one of the `venues` by itself is not to be in the merge twice."""
        number = self._books.add_venue(about.name, about.form)
        merged = {about.name: _Merged(number, 0)}
        if about.exchanges:
            merged = {
                name: _Merged(self._books.add_venue(name, about.form, number), source)
                for exchange, source in about.exchanges.items()
                if exchange not in venues and (name := f"{about.name}:{exchange}")
            }
        return _Venue(about, number, merged, stale_after_s or about.stale_after_s)

    def _fault(self, fault: Fault, now_s: float) -> None:
        name = self._names[fault.venue]
        self.faults_total[name, fault.why] = self.faults_total.get((name, fault.why), 0) + 1
        symbol = self._by_number.get(fault.symbol)
        if symbol is not None and (kept := symbol.books.get(name)):
            self._put_off(kept, now_s)
            self._judge(symbol, kept, now_s)

    def _begin(self, kept: _Kept, now_s: float) -> None:
        """Messages come, or will; where more is needed, it is asked for."""
        about = kept.venue.about
        if about.begins_anew:
            kept.recover_s = now_s + BY_ITSELF_S
        elif about.snapshot(kept.symbol.name, self._is_whole) is not None:
            is_until_first = about.rule(self._is_whole) is Rule.WHOLE_EACH_TIME
            kept.recover_s = now_s + (0.0 if is_until_first else FIRST_SNAPSHOT_S)
            kept.confirm_s = now_s + CONFIRM_S if is_until_first else _NEVER_S
            kept.begun_total = kept.messages_total

    def _put_off(self, kept: _Kept, now_s: float) -> None:
        """Recover, at once the first time; a recovery that is due stays due."""
        about = kept.venue.about
        if not about.begins_anew and about.snapshot(kept.symbol.name, self._is_whole) is None:
            return  # its next message is the whole book
        delay_s = min(FIRST_DELAY_S * 2**kept.attempts, MOST_DELAY_S) if kept.attempts else 0.0
        kept.recover_s = min(kept.recover_s, now_s + delay_s * self._dice.uniform(0.75, 1.25))

    def _recover(self, symbol: _Symbol, kept: _Kept, now_s: float) -> None:
        about = kept.venue.about
        kept.attempts += 1
        kept.recover_s = _NEVER_S
        if about.begins_anew:
            kept.recover_s = now_s + max(BY_ITSELF_S, min(FIRST_DELAY_S * 2**kept.attempts, MOST_DELAY_S))
            self._actions.append(Resubscribe(about.name, about.topics(kept.symbol.name, self._is_whole)))
        else:
            self._fetch(symbol, kept)

    def _confirm(self, symbol: _Symbol, kept: _Kept) -> None:
        if kept.messages_total == kept.begun_total:
            if (kept.venue.about.name, symbol.name) in self._fetching:
                return
            self._fetch(symbol, kept)
        kept.confirm_s = _NEVER_S

    def _fetch(self, symbol: _Symbol, kept: _Kept) -> None:
        about = kept.venue.about
        if (request := about.snapshot(kept.symbol.name, self._is_whole)) is not None:
            self._fetching.add((about.name, symbol.name))
            self._actions.append(Fetch(about.name, symbol.name, request))

    def _ask_the_silent(self, kept: _Kept, now_s: float) -> None:
        """A quiet market is told from a lost subscription by the answer: the book anew. In time before it is stale."""
        about, patience_s = kept.venue.about, kept.venue.stale_after_s / 2
        if about.begins_anew and now_s - max(self._heard_s(kept), kept.asked_s) > patience_s:
            kept.asked_s = now_s
            self._actions.append(Resubscribe(about.name, about.topics(kept.symbol.name, self._is_whole)))

    def _heard_s(self, kept: _Kept) -> float:
        """When it was last sure that the book is as the venue has it."""
        return max(kept.heard_s, kept.venue.heard_s) if kept.venue.about.is_counted else kept.heard_s

    def _judge(self, symbol: _Symbol, kept: _Kept, now_s: float) -> None:
        """What is the book now?"""
        book = self._books.book(kept.number, symbol.number)
        if book.messages_total != kept.messages_total:
            kept.messages_total, kept.heard_s = book.messages_total, now_s
        if book.is_synced:
            kept.recover_s = _NEVER_S
            if kept.synced_s == _NEVER_S:
                kept.synced_s = kept.heard_s = now_s
            if now_s - kept.synced_s > HEALTHY_S:
                kept.attempts = 0
        else:
            kept.synced_s = _NEVER_S
        if kept.venue.about.exchanges and not book.messages_total:
            state = State.UNKNOWN
        elif not kept.venue.is_open:
            state = State.DOWN
        elif not book.is_synced:
            state = State.SYNCING
        elif now_s - self._heard_s(kept) > kept.venue.stale_after_s:
            state = State.STALE
        else:
            state = State.LIVE
        if state is not kept.state:
            kept.state = state
            self._books.set_state(kept.number, symbol.number, state)
            self._changed[symbol.number] = None


def _traded(venue: _Venue, name: str) -> VenueSymbol | None:
    """The symbol at the venue, if that trades it now."""
    symbol = venue.table.get(name)
    return symbol if symbol is not None and symbol.is_trading else None
