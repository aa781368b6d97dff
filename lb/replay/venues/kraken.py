"""Kraken, websocket v2 and REST: books with checksums, trades. The texts are those of docs.kraken.com/api.

A book has the depth that was asked for. No message says that a level falls out at its far end: the client cuts. The
checksum is the CRC32 of the ten best asks and bids: digits of price and quantity, without the point and leading zeros.
"""

import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson

from lb.replay.fake import Book, Fake, Reply, Stream, Talk, Words, iso_time
from lb.replay.made_books import Level, State
from lb.replay.trouble import Twist

DEPTHS = (10, 25, 100, 500, 1_000)
HEARTBEAT_NS = 10**9

_OLD_NAMES = {"BTC": "XBT", "DOGE": "XDG"}
"""REST and the older websocket call them so."""


def checksum(state: State) -> int:
    levels = (*state.asks[:10], *state.bids[:10])
    return zlib.crc32("".join(f"{price}{size}" for price, size in levels).encode())


class _Levels(Stream):
    able = frozenset({Twist.GAP, Twist.DUPLICATE, Twist.CROSSED, Twist.BAD_CHECKSUM})

    def __init__(self, book: Book, count: int, depth: int, has_snapshot: bool) -> None:
        super().__init__(book, count)
        self._depth = depth
        self._has_snapshot = has_snapshot
        self._symbol = book.instrument.symbol.replace("-", "/")

    def opening(self) -> bytes | None:
        if not self._has_snapshot:
            return None
        state = self._cut(self.book.made.state(self.sent))
        return self._told("snapshot", self._data(state.bids, state.asks, checksum(state)))

    def message(self, count: int, twist: Twist | None) -> bytes | None:
        if twist in (Twist.CROSSED, Twist.BAD_CHECKSUM):
            text = self._update(count, twist)
        else:
            text = self.text_once(f"update {self._depth}", count, lambda: self._update(count, None))
        return self._told("update", text) if text else None

    def _told(self, kind: str, data: bytes) -> bytes:
        return b'{"channel":"book","type":"%s","data":[{"symbol":"%s",%s"timestamp":"%s"}]}' % (
            kind.encode(), self._symbol.encode(), data, iso_time(time.time_ns()).encode(),
        )  # fmt: skip

    def _update(self, count: int, twist: Twist | None) -> bytes:
        before, whole = self.book.made.state(count - 1), self.book.made.state(count)
        state = self._cut(whole)
        bids = _difference(before.bids[: self._depth], state.bids, whole.bids)
        asks = _difference(before.asks[: self._depth], state.asks, whole.asks)
        if twist is Twist.CROSSED:
            bid = self.book.crossed(count)
            bids, state = [*bids, bid], replace(state, bids=[bid, *state.bids])
        if not bids and not asks and twist is None:
            return b""
        return self._data(bids, asks, checksum(state) ^ (1 if twist is Twist.BAD_CHECKSUM else 0))

    def _cut(self, state: State) -> State:
        return State(state.bids[: self._depth], state.asks[: self._depth])

    def _data(self, bids: Sequence[Level], asks: Sequence[Level], crc: int) -> bytes:
        return f'"bids":[{self._levels(bids)}],"asks":[{self._levels(asks)}],"checksum":{crc},'.encode()

    def _levels(self, levels: Sequence[Level]) -> str:
        return ",".join(f'{{"price":{self.book.price(price)},"qty":{self.book.size(size)}}}' for price, size in levels)


def _difference(before: Sequence[Level], after: Sequence[Level], whole: Sequence[Level]) -> list[Level]:
    """What a client must be told that has the levels before, and cuts at the same depth."""
    there = {price for price, _ in whole}
    gone = [(price, 0) for price, _ in before if price not in there]
    known = set(before)
    return [*gone, *(level for level in after if level not in known)]


class _Trades(Stream):
    def message(self, count: int, twist: Twist | None) -> bytes:
        change = self.book.made.change(count)
        price, size = change.trade
        return (
            f'{{"channel":"trade","type":"update","data":[{{"symbol":"{self.book.instrument.symbol.replace("-", "/")}",'
            f'"side":"{"sell" if change.is_sell else "buy"}","price":{self.book.price(price)},'
            f'"qty":{self.book.size(size)},"ord_type":"limit","trade_id":{count},'
            f'"timestamp":"{iso_time(time.time_ns())}"}}]}}'
        ).encode()


class _Talk(Talk):
    def __init__(self, fake: "Kraken") -> None:
        super().__init__()
        self._fake = fake
        self._held: dict[tuple[str, str], Stream] = {}
        self.next_ns = time.monotonic_ns() + HEARTBEAT_NS

    def begin(self) -> Words:
        about = {"api_version": "v2", "connection_id": time.time_ns(), "system": "online", "version": "2.0.0"}
        return Words([orjson.dumps({"channel": "status", "data": [about], "type": "update"})])

    def tick(self, now_ns: int) -> Words:
        self.next_ns = now_ns + HEARTBEAT_NS
        return Words([b'{"channel":"heartbeat"}'] if self._held else ())

    def has_sent(self, now_ns: int) -> None:
        self.next_ns = now_ns + HEARTBEAT_NS

    def hear(self, text: bytes, now_ns: int) -> Words:
        try:
            request = orjson.loads(text)
        except orjson.JSONDecodeError:
            return Words([_answer("", None, error="Malformed request")])
        match request:
            case {"method": "ping"}:
                return Words([_answer("pong", request.get("req_id"))])
            case {"method": "subscribe" | "unsubscribe" as method, "params": {"channel": str(), "symbol": list()}}:
                return Words([self._change(method, request, str(one), now_ns) for one in request["params"]["symbol"]])
            case {"method": str(method)}:
                return Words([_answer(method, request.get("req_id"), error="Unsupported request")])
            case _:
                return Words([_answer("", None, error="Malformed request")])

    def _change(self, method: str, request: Mapping[str, Mapping[str, object]], symbol: str, now_ns: int) -> bytes:
        params, number = request["params"], request.get("req_id")
        channel, depth = str(params["channel"]), params.get("depth", DEPTHS[0])
        book = self._fake.books.get(symbol.replace("/", "-"))
        error = ""
        if book is None or "/" not in symbol:
            error = f"Currency pair not supported {symbol}"
        elif channel not in ("book", "trade"):
            error = f"Unsupported channel {channel}"
        elif channel == "book" and depth not in DEPTHS:
            error = "Subscription depth not supported"
        elif (method == "subscribe") == ((channel, symbol) in self._held):
            error = "Already subscribed" if method == "subscribe" else "Subscription Not Found"
        if error or book is None:
            return _answer(method, number, symbol=symbol, error=error)
        self._carry_out(method, channel, symbol, book, params, now_ns)
        result = {"channel": channel, "symbol": symbol}
        more = {"depth": depth} if channel == "book" else {}
        if method == "subscribe":
            more["snapshot"] = params.get("snapshot", True)
        return _answer(method, number, result={**result, **more})

    def _carry_out(
        self, method: str, channel: str, symbol: str, book: Book, params: Mapping[str, object], now_ns: int
    ) -> None:
        if method == "unsubscribe":
            self._held.pop((channel, symbol)).is_over = True
            return
        count = book.ticker.count(now_ns)
        depth = int(str(params.get("depth", DEPTHS[0])))
        stream: Stream = (
            _Levels(book, count, depth, params.get("snapshot") is not False)
            if channel == "book"
            else _Trades(book, count)
        )
        self._held[channel, symbol] = stream
        self.streams.append(stream)


def _answer(method: str, number: object, *, error: str = "", symbol: str = "", result: object = None) -> bytes:
    """Members that are empty are left out."""
    now = iso_time(time.time_ns())
    answer: dict[str, object] = {"method": method} if method else {}
    if number is not None:
        answer["req_id"] = number
    if result is not None:
        answer["result"] = result
    if symbol:
        answer["symbol"] = symbol
    if error:
        answer["error"] = error
    if method != "pong":
        answer["success"] = not error
    return orjson.dumps({**answer, "time_in": now, "time_out": now})


class Kraken(Fake):
    name = "kraken"
    default_quotes = frozenset({"USD", "USDT", "BTC"})
    path = "/v2"

    def talk(self, path: str, query: str) -> Talk | None:
        return _Talk(self) if path == "/v2" else None

    def topic(self, symbol: str) -> str:
        return "book:" + symbol.replace("-", "/")

    def rest(self, path: str, query: Mapping[str, str]) -> Reply:
        refused_s = self.trouble.take_refusal()
        if refused_s is not None:
            return Reply.of({"error": ["EGeneral:Too many requests"]}, 429, **{"Retry-After": str(refused_s)})
        if path == "/0/public/AssetPairs":
            return Reply.of({"error": [], "result": dict(_described(book) for book in self.books.values())})
        return Reply.of({"error": ["EGeneral:Unknown method"]}, 404)


def _described(book: Book) -> tuple[str, dict[str, object]]:
    one = book.instrument
    base, quote = _OLD_NAMES.get(one.base, one.base), _OLD_NAMES.get(one.quote, one.quote)
    return f"{base}{quote}", {
        "altname": f"{base}{quote}", "wsname": f"{base}/{quote}", "aclass_base": "currency", "base": base,
        "aclass_quote": "currency", "quote": quote, "pair_decimals": one.price_decimals,
        "cost_decimals": one.price_decimals, "lot_decimals": one.size_decimals, "lot_multiplier": 1,
        "tick_size": book.price(1), "status": "online",
    }  # fmt: skip
