"""Bitstamp, websocket v2 and REST v2. The texts are those of bitstamp.net/websocket/v2 and of recordings.

The venue acknowledges any channel of a good form, and sends nothing where there is no such pair. A message of more than
512 bytes ends the session.
"""

import abc
import re
import time
from collections.abc import Mapping, Sequence

import orjson

from lb.replay.fake import Book, Fake, Reply, Stream, Talk, Words
from lb.replay.made_books import Level
from lb.replay.trouble import Twist
from lb.replay.venue_recording import Player, VenueRecording, rebuilt, split_name, symbol_of

LONGEST_MESSAGE_BYTES = 512
MOST_CHANNELS = 1_024
DEPTH = 100

_CHANNEL = re.compile(r"[a-z_]+_[a-z0-9-]+")


class _BitstampStream(Stream):
    def __init__(self, book: Book, count: int, channel: str) -> None:
        super().__init__(book, count)
        self._tail = f'}},"channel":"{channel}","event":"data"}}'.encode()

    def message(self, count: int, twist: Twist | None) -> bytes:
        now_us = time.time_ns() // 1_000
        head = b'{"data":{"timestamp":"%d","microtimestamp":"%d",' % (now_us // 1_000_000, now_us)
        if twist is Twist.CROSSED:
            return head + self._levels(count, twist) + self._tail
        return head + self.text_once(type(self).__name__, count, lambda: self._levels(count, None)) + self._tail

    @abc.abstractmethod
    def _levels(self, count: int, twist: Twist | None) -> bytes: ...


class _Differences(_BitstampStream):
    able = frozenset({Twist.GAP, Twist.DUPLICATE, Twist.CROSSED})

    def _levels(self, count: int, twist: Twist | None) -> bytes:
        change = self.book.made.change(count)
        bids = [*change.bids, self.book.crossed(count)] if twist is Twist.CROSSED else change.bids
        return f'"bids":[{self.book.levels(bids)}],"asks":[{self.book.levels(change.asks)}]'.encode()


class _Whole(_BitstampStream):
    able = frozenset({Twist.DUPLICATE, Twist.CROSSED})

    def _levels(self, count: int, twist: Twist | None) -> bytes:
        state = self.book.made.state(count)
        bids = state.bids[:DEPTH]
        if twist is Twist.CROSSED:
            bids = [self.book.crossed(count), *bids[:-1]]
        return f'"bids":[{self.book.levels(bids)}],"asks":[{self.book.levels(state.asks[:DEPTH])}]'.encode()


class _Orders(_BitstampStream):
    """detail_order_book: an order each, so that prices repeat. Here the first level of a side is two orders."""

    def _levels(self, count: int, twist: Twist | None) -> bytes:
        state = self.book.made.state(count)
        return f'"bids":[{self._side(state.bids)}],"asks":[{self._side(state.asks)}]'.encode()

    def _side(self, levels: Sequence[Level]) -> str:
        (price, size), *others = levels[: DEPTH - 1]
        orders = [(price, size // 2), (price, size - size // 2), *others]
        return ",".join(
            f'["{self.book.price(price)}","{self.book.size(size)}","{1_485_019_713_925_121 + at}"]'
            for at, (price, size) in enumerate(orders)
        )


class _Trades(Stream):
    def __init__(self, book: Book, count: int, channel: str) -> None:
        super().__init__(book, count)
        self._channel = channel

    def message(self, count: int, twist: Twist | None) -> bytes:
        change, now_us = self.book.made.change(count), time.time_ns() // 1_000
        (price, size), number = change.trade, now_us + count
        price_text, size_text = self.book.price(price), self.book.size(size)
        return (
            f'{{"data":{{"id":{number},"timestamp":"{now_us // 1_000_000}","amount":{size_text},'
            f'"amount_str":"{size_text}","price":{price_text},"price_str":"{price_text}",'
            f'"type":{int(change.is_sell)},"microtimestamp":"{now_us}","buy_order_id":{number + 1},'
            f'"sell_order_id":{number + 2}}},"channel":"{self._channel}","event":"trade"}}'
        ).encode()


_KINDS: dict[str, type[_BitstampStream] | type[_Trades]] = {
    "order_book": _Whole,
    "diff_order_book": _Differences,
    "detail_order_book": _Orders,
    "live_trades": _Trades,
}


class _Talk(Talk):
    def __init__(self, fake: "Bitstamp") -> None:
        super().__init__()
        self._fake = fake
        self._channels: dict[str, Stream | None] = {}

    def hear(self, text: bytes, now_ns: int) -> Words:
        if len(text) > LONGEST_MESSAGE_BYTES:
            return Words(close=(1009, "read limited at 513 bytes"))
        try:
            request = orjson.loads(text)
        except orjson.JSONDecodeError:
            return Words([_error("Incorrect JSON format.")])
        match request:
            case {"event": "bts:heartbeat"}:
                return Words([_event("heartbeat", "", {"status": "success"})])
            case {"event": "bts:subscribe" | "bts:unsubscribe" as event, "data": {"channel": str(channel)}}:
                if _CHANNEL.fullmatch(channel) is None:
                    return Words([_error("Invalid channel provided.")])
                return self._subscribe(channel, now_ns) if event == "bts:subscribe" else self._unsubscribe(channel)
            case _:
                return Words([_error("Bad subscription string.")])

    def farewell(self) -> bytes:
        return _event("request_reconnect", "", "")

    def _subscribe(self, channel: str, now_ns: int) -> Words:
        if channel not in self._channels:
            if len(self._channels) >= MOST_CHANNELS:
                return Words(close=(1000, ""))
            stream = self._fake.stream(channel, now_ns)
            self._channels[channel] = stream
            if stream is not None:
                self.streams.append(stream)
        return Words([_event("subscription_succeeded", channel, {})])

    def _unsubscribe(self, channel: str) -> Words:
        stream = self._channels.pop(channel, None)
        if stream is not None:
            stream.is_over = True
        return Words([_event("unsubscription_succeeded", channel, {})])


def _event(name: str, channel: str, data: object) -> bytes:
    return orjson.dumps({"event": f"bts:{name}", "channel": channel, "data": data})


def _error(text: str) -> bytes:
    return _event("error", "", {"code": None, "message": text})


class Bitstamp(Fake):
    name = "bitstamp"
    default_quotes = frozenset({"USD", "USDT", "BTC"})
    ping_interval_s = 54

    def __init__(self, symbols: Sequence[str] | None, rate: float, seed: int, levels: int) -> None:
        super().__init__(symbols, rate, seed, levels)
        self._by_name = {(one.instrument.base + one.instrument.quote).lower(): one for one in self.books.values()}

    def talk(self, path: str, query: str) -> Talk | None:
        return _Talk(self) if path in ("", "/") else None

    def stream(self, channel: str, now_ns: int) -> Stream | None:
        """None where there is no such channel: it is acknowledged, and silent."""
        kind, _, pair = channel.rpartition("_")
        book = self._by_name.get(pair)
        if book is None or kind not in _KINDS:
            return None
        return _KINDS[kind](book, book.ticker.count(now_ns), channel)

    def topic(self, symbol: str) -> str:
        return "order_book_" + symbol.replace("-", "").lower()

    def rest(self, path: str, query: Mapping[str, str]) -> Reply:
        refused_s = self.trouble.take_refusal()
        if refused_s is not None:
            return Reply.of(
                {"status": "error", "reason": "Too many requests", "code": "API0020"},
                429,
                **{"Retry-After": str(refused_s)},
            )
        if path.rstrip("/") == "/api/v2/trading-pairs-info":
            return Reply.of(self._pairs())
        pair = path.rstrip("/").rpartition("/")[2]
        body = self._body(pair) if path.startswith("/api/v2/order_book/") else None
        return Reply(b"", 404) if body is None else Reply(body)

    def _pairs(self) -> object:
        return [_described(name, book) for name, book in self._by_name.items()]

    def _body(self, pair: str) -> bytes | None:
        """A snapshot; None: there is no such pair."""
        book = self._by_name.get(pair)
        if book is None:
            return None
        _, time_ns, state = self.snapshot(book)
        now_us = time_ns // 1_000
        return (
            f'{{"timestamp":"{now_us // 1_000_000}","microtimestamp":"{now_us}",'
            f'"bids":[{book.levels(state.bids)}],"asks":[{book.levels(state.asks)}]}}'
        ).encode()


class RecordedBitstamp(Player, Bitstamp):
    """Snapshots are the recorded ones, with what was told since."""

    def __init__(self, recording: VenueRecording) -> None:
        super().__init__(recording, _channel_of, _pair_in)
        self._replies = {path.rstrip("/"): body for path, body in reversed(recording.replies)}

    def stream(self, channel: str, now_ns: int) -> Stream | None:
        symbol = symbol_of(_pair_in(channel))
        return self._playing.stream(channel, symbol, now_ns, lambda text: text)

    def _pairs(self) -> object:
        told = self._replies.get("/api/v2/trading-pairs-info")
        if told is not None:
            return orjson.loads(told)
        pairs = ((name, *split_name(name)) for name in self._names)
        return [
            {"name": f"{base}/{quote}", "url_symbol": name, "base_decimals": 8, "counter_decimals": 8,
             "trading": "Enabled", "description": f"{base} / {quote}"}
            for name, base, quote in pairs
        ]  # fmt: skip

    def _body(self, pair: str) -> bytes | None:
        body = self._replies.get(f"/api/v2/order_book/{pair}")
        if body is None:
            return None
        whole, changes = orjson.loads(body), []
        latest = whole["microtimestamp"]
        for text in self._playing.told(f"diff_order_book_{pair}", time.monotonic_ns()):
            data = orjson.loads(text)["data"]
            if int(data["microtimestamp"]) > int(latest):
                latest = data["microtimestamp"]
                changes.append((data["bids"], data["asks"]))
        bids, asks = rebuilt((whole["bids"], whole["asks"]), changes)
        return orjson.dumps({"timestamp": latest[:-6], "microtimestamp": latest, "bids": bids, "asks": asks})


def _pair_in(channel: str) -> str:
    return channel.rpartition("_")[2]


def _channel_of(text: bytes) -> str | None:
    """None of the venue's own words."""
    message = orjson.loads(text)
    return None if str(message["event"]).startswith("bts:") else str(message["channel"])


def _described(name: str, book: Book) -> dict[str, object]:
    one = book.instrument
    return {
        "name": f"{one.base}/{one.quote}", "url_symbol": name, "base_decimals": one.size_decimals,
        "counter_decimals": one.price_decimals, "instant_order_counter_decimals": one.price_decimals,
        "minimum_order": f"10.0 {one.quote}", "trading": "Enabled", "instant_and_market_orders": "Enabled",
        "description": f"{one.base} / {one.quote}",
    }  # fmt: skip
