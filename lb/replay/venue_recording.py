"""Recordings of other venues, in the forms in which public projects keep them.

- hftbacktest: `<ns since 1970> <message>`, with a snapshot by REST among the messages;
- cryptofeed, of the websocket: `<s since 1970>: <message>`, and what the client sent, which is passed over;
- cryptofeed, by REST: `<url> -> <s since 1970>: <body>`.

Files may be plain, .gz or .zst. A recording is played once, from when the first session opens; every session hears of
it what is of the moment.
"""

import math
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

from lb.replay.errors import InputError
from lb.replay.fake import Fake, Stream
from lb.replay.trouble import Twist

_NS_FRAME = re.compile(rb"(\d{19}) ([{\[].*)")
_S_FRAME = re.compile(rb"(\d+\.\d+): ([{\[].*)")
_REPLY = re.compile(rb"(https?://\S+) -> (\d+\.\d+): (.*)")
_PASSED_OVER = re.compile(rb"wss?://|https?://|configuration: ")

_QUOTES = ("USDT", "USDC", "USD", "EUR", "GBP", "BTC", "ETH", "BNB")

Sides = tuple[Sequence[Sequence[str]], Sequence[Sequence[str]]]
"""Bids and asks: price and size as they are on the wire."""


@dataclass(frozen=True)
class VenueRecording:
    """What was received, in order of time."""

    messages: Sequence[tuple[int, bytes]]
    """Each with its time, ns since 1970."""
    replies: Sequence[tuple[str, bytes]]
    """Bodies by path and query."""


def read_venue_recording(paths: Iterable[Path]) -> VenueRecording:
    """Raises InputError, with file and line, for what is in none of the forms, and where nothing is to be played."""
    from lb.replay.files import text_in  # only here: it stands on an extra, and --help does not

    messages: list[tuple[int, bytes]] = []
    replies: list[tuple[str, bytes]] = []
    for path in paths:
        for number, line in enumerate(text_in(path).split(b"\n"), 1):
            if found := _NS_FRAME.fullmatch(line):
                messages.append((int(found[1]), found[2]))
            elif found := _S_FRAME.fullmatch(line):
                messages.append((_ns(found[1]), found[2]))
            elif found := _REPLY.fullmatch(line):
                replies.append((_path_of(found[1].decode()), found[3]))
            elif line.strip() and not _PASSED_OVER.match(line):
                raise InputError(f"{path}:{number}: neither a message nor a reply of a venue, with its time")
    if not messages:
        raise InputError("the files hold no message of a venue")
    return VenueRecording(sorted(messages, key=lambda message: message[0]), replies)


def _ns(text: bytes) -> int:
    whole, _, fraction = text.partition(b".")
    return int(whole) * 10**9 + int(fraction[:9].ljust(9, b"0"))


def _path_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def split_name(name: str) -> tuple[str, str]:
    """Base and quote of a name such as BTCUSDT or btcusd, in upper case. No recording tells where the one ends."""
    upper = name.upper()
    quote = next((quote for quote in _QUOTES if upper.endswith(quote) and upper != quote), upper[-3:])
    return upper.removesuffix(quote), quote


def symbol_of(name: str) -> str:
    """The canonical one."""
    return "-".join(split_name(name))


def rebuilt(whole: Sides, changes: Iterable[Sides]) -> Sides:
    """A book after changes, bids falling and asks rising; levels keep their texts."""
    sides: list[dict[Decimal, Sequence[str]]] = [{Decimal(level[0]): level for level in side} for side in whole]
    for change in changes:
        for side, levels in zip(sides, change, strict=True):
            for level in levels:
                if Decimal(level[1]):
                    side[Decimal(level[0])] = level
                else:
                    side.pop(Decimal(level[0]), None)
    bids, asks = ([side[price] for price in sorted(side, reverse=side is sides[0])] for side in sides)
    return bids, asks


@dataclass
class _Track:
    """The messages of one name."""

    due_ns: list[int] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)


class Playing:
    """A recording under way; `name_of` says of which stream a message is, None: of none."""

    def __init__(self, recording: VenueRecording, name_of: Callable[[bytes], str | None]) -> None:
        self._start_ns: int | None = None
        self._tracks: dict[str, _Track] = {}
        first_ns = recording.messages[0][0]
        self.others: list[bytes] = []
        for time_ns, text in recording.messages:
            name = name_of(text)
            if name is None:
                self.others.append(text)
                continue
            track = self._tracks.setdefault(name, _Track())
            track.due_ns.append(time_ns - first_ns)
            track.texts.append(text)

    @property
    def names(self) -> list[str]:
        return list(self._tracks)

    def begin(self, now_ns: int) -> None:
        """A session has opened at this monotonic time; the first one counts."""
        self._start_ns = now_ns if self._start_ns is None else self._start_ns

    def stream(self, name: str, symbol: str, now_ns: int, shown: Callable[[bytes], bytes]) -> "RecordedStream | None":
        """None where the recording has none of that name. `shown` makes of a message what is sent."""
        self.begin(now_ns)
        track = self._tracks.get(name)
        return None if track is None else RecordedStream(self, track, symbol, now_ns, shown)

    def told(self, name: str, now_ns: int) -> list[bytes]:
        """What was due by now."""
        track = self._tracks.get(name, _Track())
        return track.texts[: self.count(track, now_ns)]

    def count(self, track: _Track, now_ns: int) -> int:
        """How many messages were due by now."""
        return 0 if self._start_ns is None else bisect_right(track.due_ns, now_ns - self._start_ns)

    def due_ns(self, track: _Track, number: int) -> float:
        """Monotonic time at which a message is due; infinite behind the last one."""
        if self._start_ns is None or number >= len(track.due_ns):
            return math.inf
        return self._start_ns + track.due_ns[number]


class RecordedStream(Stream):
    """Messages as they came, their old times included."""

    able = frozenset({Twist.GAP, Twist.DUPLICATE})

    def __init__(
        self, playing: Playing, track: _Track, symbol: str, now_ns: int, shown: Callable[[bytes], bytes]
    ) -> None:
        self._playing = playing
        self._track = track
        self._shown = shown
        self.symbol = symbol
        self.sent = playing.count(track, now_ns - 1)
        self.is_over = False

    def due_ns(self) -> float:
        return self._playing.due_ns(self._track, self.sent)

    def message(self, count: int, twist: Twist | None) -> bytes:
        return self._shown(self._track.texts[count - 1])


class Player(Fake):
    """A recording in place of made-up books: to be put before the venue's fake. `name_of`: see Playing; `pair_in`: the
    venue's name of the symbol that a stream of this name is of."""

    def __init__(
        self, recording: VenueRecording, name_of: Callable[[bytes], str | None], pair_in: Callable[[str], str]
    ) -> None:
        super().__init__([], 0, 0, 0)
        self._playing = Playing(recording, name_of)
        self._names = list(dict.fromkeys(map(pair_in, self._playing.names)))

    @property
    def symbols(self) -> list[str]:
        return [*map(symbol_of, self._names)]

    @property
    def example(self) -> str:
        return self._playing.names[0]
