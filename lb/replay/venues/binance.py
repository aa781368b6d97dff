"""Binance spot: combined and raw streams, and REST. The texts are those of binance-spot-api-docs and of recordings.

The venue acknowledges any name of a good form, and sends nothing where there is no such symbol. A malformed one ends
the session, and so does the sixth message of a client within a second, pongs included.
"""

import abc
import re
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import orjson

from lb.replay.fake import Book, Fake, Reply, Stream, Talk, Words
from lb.replay.trouble import Twist
from lb.replay.venue_recording import Player, VenueRecording, rebuilt, split_name, symbol_of

MOST_STREAMS = 1_024
MESSAGES_PER_S = 5
WEIGHT_PER_MIN = 6_000
DIGITS = 8
"""Behind the point of every price and quantity."""

_IDS_PER_CHANGE = 3
_STREAM = re.compile(r"![A-Za-z]+(_\w+)?(@[\w:+.]+)*|[^!@\s\"'\\,/A-Z]+(@[\w:+.]+)+")
_KIND = re.compile(r"(depth)(5|10|20)?(@1000?ms)?|bookTicker|trade")
_WEIGHTS = ((100, 5), (500, 25), (1_000, 50), (5_000, 250))
_INVALID_SYMBOL = {"code": -1121, "msg": "Invalid symbol."}
_ALL = frozenset({Twist.GAP, Twist.DUPLICATE, Twist.CROSSED})


class _Ids:
    """Update ids: three to each change, far from those of a server that ran before."""

    def __init__(self) -> None:
        self._base = time.time_ns() // 10_000

    def last(self, count: int) -> int:
        return self._base + _IDS_PER_CHANGE * count


class _BinanceStream(Stream):
    def __init__(self, book: Book, count: int, name: str, ids: _Ids, talk: "_Talk") -> None:
        super().__init__(book, count)
        self.name = name
        self._ids = ids
        self._talk = talk
        self._symbol = (book.instrument.base + book.instrument.quote).encode()
        self._head = b'{"stream":"%s","data":' % name.encode()

    def message(self, count: int, twist: Twist | None) -> bytes | None:
        data = self._data(count, twist)
        if data is None:
            return None
        return self._head + data + b"}" if self._talk.is_combined else data

    @abc.abstractmethod
    def _data(self, count: int, twist: Twist | None) -> bytes | None: ...


class _Differences(_BinanceStream):
    able = _ALL

    def _data(self, count: int, twist: Twist | None) -> bytes:
        last = self._ids.last(count)
        head = b'{"e":"depthUpdate","E":%d,"s":"%s","U":%d,"u":%d,' % (
            time.time_ns() // 1_000_000, self._symbol, last - _IDS_PER_CHANGE + 1, last,
        )  # fmt: skip
        if twist is Twist.CROSSED:
            return head + self._levels(count, twist)
        return head + self.text_once("differences", count, lambda: self._levels(count, None))

    def _levels(self, count: int, twist: Twist | None) -> bytes:
        change = self.book.made.change(count)
        bids = [*change.bids, self.book.crossed(count)] if twist is Twist.CROSSED else change.bids
        return f'"b":[{self.book.levels(bids, DIGITS)}],"a":[{self.book.levels(change.asks, DIGITS)}]}}'.encode()


class _Top(_BinanceStream):
    """The best levels, whole each time."""

    able = frozenset({Twist.DUPLICATE, Twist.CROSSED})

    def __init__(self, book: Book, count: int, name: str, ids: _Ids, talk: "_Talk", depth: int) -> None:
        super().__init__(book, count, name, ids, talk)
        self._depth = depth

    def _data(self, count: int, twist: Twist | None) -> bytes:
        head = b'{"lastUpdateId":%d,' % self._ids.last(count)
        if twist is Twist.CROSSED:
            return head + self._levels(count, twist)
        return head + self.text_once(f"top {self._depth}", count, lambda: self._levels(count, None))

    def _levels(self, count: int, twist: Twist | None) -> bytes:
        state = self.book.made.state(count)
        bids, asks = state.bids[: self._depth], state.asks[: self._depth]
        if twist is Twist.CROSSED:
            bids = [self.book.crossed(count), *bids[:-1]]
        return f'"bids":[{self.book.levels(bids, DIGITS)}],"asks":[{self.book.levels(asks, DIGITS)}]}}'.encode()


class _BestPrices(_BinanceStream):
    """Where the best of a side is another."""

    def _data(self, count: int, twist: Twist | None) -> bytes | None:
        text = self.text_once("best", count, lambda: self._best(count))
        return b'{"u":%d,%s' % (self._ids.last(count), text) if text else None

    def _best(self, count: int) -> bytes:
        book = self.book
        before, state = book.made.state(count - 1), book.made.state(count)
        if (before.bids[0], before.asks[0]) == (state.bids[0], state.asks[0]):
            return b""
        bid, ask = (
            (book.price(price, DIGITS), book.size(size, DIGITS)) for price, size in (state.bids[0], state.asks[0])
        )
        symbol = self._symbol.decode()
        return f'"s":"{symbol}","b":"{bid[0]}","B":"{bid[1]}","a":"{ask[0]}","A":"{ask[1]}"}}'.encode()


class _Trades(_BinanceStream):
    def _data(self, count: int, twist: Twist | None) -> bytes:
        change, now_ms = self.book.made.change(count), time.time_ns() // 1_000_000
        price, size = change.trade
        return (
            f'{{"e":"trade","E":{now_ms},"s":"{self._symbol.decode()}","t":{self._ids.last(count)},'
            f'"p":"{self.book.price(price, DIGITS)}","q":"{self.book.size(size, DIGITS)}","T":{now_ms},'
            f'"m":{"true" if change.is_sell else "false"},"M":true}}'
        ).encode()


class _Talk(Talk):
    def __init__(self, fake: "Binance", is_combined: bool, names: list[str]) -> None:
        super().__init__()
        self._fake = fake
        self.is_combined = is_combined
        self._names: dict[str, Stream | None] = {}
        self._heard_ns: deque[int] = deque()
        self._subscribe(names, time.monotonic_ns())

    def hear_control(self, now_ns: int) -> Words:
        return Words() if self._is_within_limit(now_ns) else Words(close=(1008, "Too many requests"))

    def hear(self, text: bytes, now_ns: int) -> Words:
        if not self._is_within_limit(now_ns):
            return Words(close=(1008, "Too many requests"))
        try:
            request = orjson.loads(text)
        except orjson.JSONDecodeError:
            return Words([_error(3, "Invalid JSON: expected value at line 1 column 1", None)])
        if not isinstance(request, dict):
            return Words([_error(2, "Invalid request: request must be an object", None)])
        if "method" not in request:
            return Words([_error(2, "Invalid request: missing field `method`", None)])
        return self._answer(request, now_ns)

    def farewell(self) -> bytes:
        word = b'{"e":"serverShutdown","E":%d}' % (time.time_ns() // 1_000_000)
        return b'{"stream":"!serverShutdown","data":%s}' % word if self.is_combined else word

    def _answer(self, request: dict[str, object], now_ns: int) -> Words:
        number, params = request.get("id"), request.get("params", [])
        if not (number is None or isinstance(number, int) or (isinstance(number, str) and len(number) <= 36)):
            return Words([_error(2, "Invalid request: request ID must be an unsigned integer", None)])
        match request["method"], params:
            case "SUBSCRIBE" | "UNSUBSCRIBE" as method, list():
                return self._change(method, params, number, now_ns)
            case "LIST_SUBSCRIPTIONS", _:
                return Words([_result(list(self._names), number)])
            case "SET_PROPERTY", ["combined", bool(value)]:
                self.is_combined = value
                return Words([_result(None, number)])
            case "SET_PROPERTY", ["combined", _]:
                return Words([_error(1, "Invalid value type: expected Boolean", number)])
            case "GET_PROPERTY", ["combined"]:
                return Words([_result(self.is_combined, number)])
            case "SET_PROPERTY" | "GET_PROPERTY", _:
                return Words([_error(0, "Unknown property", number)])
            case method, _:
                return Words([_error(2, f"Invalid request: unknown variant `{method}`", number)])

    def _change(self, method: str, params: list[object], number: object, now_ns: int) -> Words:
        names = [str(name) for name in params]
        if any(_STREAM.fullmatch(name) is None for name in names):
            return Words([_error(2, "Invalid request: invalid stream", number)], close=(1008, "Invalid request"))
        if method == "UNSUBSCRIBE":
            for name in names:
                stream = self._names.pop(name, None)
                if stream is not None:
                    stream.is_over = True
            return Words([_result(None, number)])
        if len({*self._names, *names}) > MOST_STREAMS:
            return Words([_error(4, "Too many subscriptions", number)])
        self._subscribe(names, now_ns)
        return Words([_result(None, number)])

    def _subscribe(self, names: list[str], now_ns: int) -> None:
        for name in names:
            if name not in self._names:
                stream = self._fake.stream(name, now_ns, self)
                self._names[name] = stream
                if stream is not None:
                    self.streams.append(stream)

    def _is_within_limit(self, now_ns: int) -> bool:
        self._heard_ns.append(now_ns)
        while self._heard_ns[0] <= now_ns - 10**9:
            self._heard_ns.popleft()
        return len(self._heard_ns) <= MESSAGES_PER_S


def _result(result: object, number: object) -> bytes:
    return orjson.dumps({"result": result, "id": number})


def _error(code: int, text: str, number: object) -> bytes:
    return orjson.dumps({"error": {"code": code, "msg": text}, "id": number})


class Binance(Fake):
    name = "binance"
    default_quotes = frozenset({"USDT", "BTC"})
    path = "/stream"
    ping_interval_s = 20

    def __init__(self, symbols: Sequence[str] | None, rate: float, seed: int, levels: int) -> None:
        super().__init__(symbols, rate, seed, levels)
        self._ids = _Ids()
        self._by_name = {(one.instrument.base + one.instrument.quote): one for one in self.books.values()}
        self._weights: deque[tuple[int, int]] = deque()
        self._snapshots = 0

    def talk(self, path: str, query: str) -> Talk | None:
        raw = path.removeprefix("/ws").strip("/")
        if path == "/stream":
            names = query.removeprefix("streams=").partition("&")[0] if query.startswith("streams=") else ""
            return _Talk(self, True, [name for name in unquote(names).split("/") if name])
        if path == "/ws" or path.startswith("/ws/"):
            return _Talk(self, False, [name for name in unquote(raw).split("/") if name])
        return None

    def stream(self, name: str, now_ns: int, talk: _Talk) -> Stream | None:
        """None where there is none of that name: it is acknowledged, and silent."""
        symbol, _, kind = name.partition("@")
        book, found = self._by_name.get(symbol.upper()), _KIND.fullmatch(kind)
        if book is None or found is None or symbol != symbol.lower():
            return None
        count = book.ticker.count(now_ns)
        if found[2]:
            return _Top(book, count, name, self._ids, talk, int(found[2]))
        classes: dict[str, type[_BinanceStream]] = {"bookTicker": _BestPrices, "trade": _Trades}
        return classes.get(kind, _Differences)(book, count, name, self._ids, talk)

    def topic(self, symbol: str) -> str:
        return symbol.replace("-", "").lower() + "@depth20@100ms"

    # REST

    def rest(self, path: str, query: Mapping[str, str]) -> Reply:
        match path:
            case "/api/v3/ping":
                return self._weighed({}, 1)
            case "/api/v3/time":
                return self._weighed({"serverTime": time.time_ns() // 1_000_000}, 1)
            case "/api/v3/exchangeInfo":
                return self._exchange_info(query)
            case "/api/v3/depth":
                return self._depth(query)
            case _:
                return Reply(b"<html><head><title>404 Not found</title></head></html>", 404)

    def _depth(self, query: Mapping[str, str]) -> Reply:
        limit_text = query.get("limit", "100")
        limit = min(int(limit_text), 5_000) if limit_text.isdigit() else 0
        weight = next(weight for most, weight in _WEIGHTS if limit <= most)
        if limit < 1:
            return self._weighed({"code": -1130, "msg": "Data sent for parameter 'limit' is not valid."}, 1, 400)
        body = self._body(query.get("symbol", ""), limit)
        return self._weighed(_INVALID_SYMBOL, weight, 400) if body is None else self._weighed(body, weight)

    def _body(self, name: str, limit: int) -> bytes | None:
        """A snapshot; None: there is no such symbol."""
        book = self._by_name.get(name)
        if book is None:
            return None
        count, _, state = self.snapshot(book)
        # Every other snapshot lies within a difference, which then is applied to what it has made already.
        self._snapshots += 1
        last = self._ids.last(count) - self._snapshots % 2
        bids, asks = (book.levels(side[:limit], DIGITS) for side in (state.bids, state.asks))
        return f'{{"lastUpdateId":{last},"bids":[{bids}],"asks":[{asks}]}}'.encode()

    def _has(self, name: str) -> bool:
        return name in self._by_name

    def _symbol(self, name: str) -> dict[str, object]:
        book = self._by_name[name]
        one = book.instrument
        return _described(name, one.base, one.quote, book.price(1, DIGITS), book.size(1, DIGITS))

    def _exchange_info(self, query: Mapping[str, str]) -> Reply:
        names = [symbol.replace("-", "") for symbol in self.symbols]
        if "symbol" in query:
            names = [query["symbol"]]
        elif "symbols" in query:
            try:
                names = [str(name) for name in orjson.loads(query["symbols"])]
            except (orjson.JSONDecodeError, TypeError):
                return self._weighed(
                    {"code": -1100, "msg": "Illegal characters found in parameter 'symbols'."}, 20, 400
                )
        if not all(self._has(name) for name in names):
            return self._weighed(_INVALID_SYMBOL, 20, 400)
        symbols = [self._symbol(name) for name in names]
        now_ms = time.time_ns() // 1_000_000
        about = {"timezone": "UTC", "serverTime": now_ms, "rateLimits": [], "exchangeFilters": [], "symbols": symbols}
        return self._weighed(about, 20)

    def _weighed(self, body: object, weight: int, status: int = 200) -> Reply:
        """Within the budget of a minute; beyond it, 429."""
        now_ns = time.monotonic_ns()
        while self._weights and self._weights[0][0] <= now_ns - 60 * 10**9:
            self._weights.popleft()
        used = sum(each for _, each in self._weights) + weight
        refused_s = self.trouble.take_refusal()
        if refused_s is None and used > WEIGHT_PER_MIN:
            refused_s = int((self._weights[0][0] + 60 * 10**9 - now_ns) / 1e9) + 1
        headers = {"X-MBX-USED-WEIGHT": str(used), "X-MBX-USED-WEIGHT-1M": str(used)}
        if refused_s is not None:
            text = "Too much request weight used; current limit is 6000 request weight per 1 MINUTE."
            return Reply.of({"code": -1003, "msg": text}, 429, **headers, **{"Retry-After": str(refused_s)})
        self._weights.append((now_ns, weight))
        return Reply(body, status, headers) if isinstance(body, bytes) else Reply.of(body, status, **headers)


class RecordedBinance(Player, Binance):
    """Snapshots are the recorded ones, with what was told since."""

    def __init__(self, recording: VenueRecording) -> None:
        super().__init__(recording, _stream_of, _symbol_in)
        self._replies = recording.replies

    def stream(self, name: str, now_ns: int, talk: _Talk) -> Stream | None:
        head_bytes = len('{"stream":"","data":') + len(name.encode())
        symbol = symbol_of(_symbol_in(name))
        return self._playing.stream(
            name, symbol, now_ns, lambda text: text if talk.is_combined else text[head_bytes:-1]
        )

    def _has(self, name: str) -> bool:
        return name in self._names

    def _symbol(self, name: str) -> dict[str, object]:
        base, quote = split_name(name)
        return _described(name, base, quote, "0.00000001", "0.00000001")

    def _body(self, name: str, limit: int) -> bytes | None:
        whole = self._recorded_snapshot(name)
        if whole is None:
            return None
        now_ns, last, changes = time.monotonic_ns(), whole["lastUpdateId"], []
        for stream in ("depth@100ms", "depth"):
            for text in self._playing.told(f"{name.lower()}@{stream}", now_ns):
                data = orjson.loads(text)["data"]
                if data["u"] > last:
                    last = data["u"]
                    changes.append((data["b"], data["a"]))
        bids, asks = rebuilt((whole["bids"], whole["asks"]), changes)
        return orjson.dumps({"lastUpdateId": last, "bids": bids[:limit], "asks": asks[:limit]})

    def _recorded_snapshot(self, name: str) -> Any:
        for path, body in self._replies:
            if path.startswith("/api/v3/depth?") and f"symbol={name}" in path.partition("?")[2].split("&"):
                return orjson.loads(body)
        if len(self._names) == 1 and self._playing.others:
            return orjson.loads(self._playing.others[0])
        return None


def _symbol_in(stream: str) -> str:
    return stream.partition("@")[0].upper()


_RECORDED_STREAM = re.compile(rb'\{"stream":"([^"]+)"')


def _stream_of(text: bytes) -> str | None:
    found = _RECORDED_STREAM.match(text)
    return found[1].decode() if found else None


def _described(name: str, base: str, quote: str, tick: str, step: str) -> dict[str, object]:
    price = {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick}
    lot = {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "9000.00000000", "stepSize": step}
    return {
        "symbol": name, "status": "TRADING", "baseAsset": base, "baseAssetPrecision": DIGITS,
        "quoteAsset": quote, "quotePrecision": DIGITS, "quoteAssetPrecision": DIGITS,
        "isSpotTradingAllowed": True, "filters": [price, lot], "permissions": [], "permissionSets": [["SPOT"]],
    }  # fmt: skip
