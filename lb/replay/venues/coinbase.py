"""Coinbase Advanced Trade, market data: the websocket, and REST for what products there are.

All that a session is sent has one count, sequence_num: words, heartbeats and data of every channel. A session that asks
for nothing within 5 s is closed.
"""

import time
from collections.abc import Mapping

import orjson

from lb.replay.fake import Book, Fake, Reply, Stream, Talk, Words, iso_time
from lb.replay.trouble import Twist

FIRST_REQUEST_NS = 5 * 10**9
HEARTBEAT_NS = 10**9

_CHANNELS = frozenset({"level2", "market_trades", "heartbeats", "status", "ticker", "ticker_batch", "candles"})


class _Levels(Stream):
    able = frozenset({Twist.GAP, Twist.DUPLICATE, Twist.CROSSED})

    def __init__(self, book: Book, count: int, talk: "_Talk") -> None:
        super().__init__(book, count)
        self._talk = talk
        self._product = book.instrument.symbol

    def opening(self) -> bytes:
        state, now = self.book.made.state(self.sent), iso_time(time.time_ns())
        levels = [("bid", level) for level in state.bids] + [("offer", level) for level in state.asks]
        updates = ",".join(
            f'{{"side":"{side}","event_time":"1970-01-01T00:00:00Z","price_level":"{self.book.price(price)}",'
            f'"new_quantity":"{self.book.size(size)}"}}'
            for side, (price, size) in levels
        )
        return self._talk.enveloped("l2_data", self._event("snapshot", updates.encode()), now)

    def message(self, count: int, twist: Twist | None) -> bytes:
        now = iso_time(time.time_ns())
        text = self.text_once("updates", count, lambda: self._updates(count, None))
        if twist is Twist.CROSSED:
            text = self._updates(count, twist)
        return self._talk.enveloped("l2_data", self._event("update", text.replace(b"{time}", now.encode())), now)

    def _event(self, kind: str, updates: bytes) -> bytes:
        return b'{"type":"%s","product_id":"%s","updates":[%s]}' % (kind.encode(), self._product.encode(), updates)

    def _updates(self, count: int, twist: Twist | None) -> bytes:
        change = self.book.made.change(count)
        bids = [*change.bids, self.book.crossed(count)] if twist is Twist.CROSSED else change.bids
        levels = [("bid", level) for level in bids] + [("offer", level) for level in change.asks]
        return ",".join(
            f'{{"side":"{side}","event_time":"{{time}}","price_level":"{self.book.price(price)}",'
            f'"new_quantity":"{self.book.size(size) if size else 0}"}}'
            for side, (price, size) in levels
        ).encode()


class _Trades(Stream):
    def __init__(self, book: Book, count: int, talk: "_Talk") -> None:
        super().__init__(book, count)
        self._talk = talk

    def message(self, count: int, twist: Twist | None) -> bytes:
        change, now = self.book.made.change(count), iso_time(time.time_ns())
        price, size = change.trade
        event = (
            f'{{"type":"update","trades":[{{"trade_id":"{count}","product_id":"{self.book.instrument.symbol}",'
            f'"price":"{self.book.price(price)}","size":"{self.book.size(size)}",'
            f'"side":"{"SELL" if change.is_sell else "BUY"}","time":"{now}"}}]}}'
        )
        return self._talk.enveloped("market_trades", event.encode(), now)


class _Talk(Talk):
    def __init__(self, fake: "Coinbase") -> None:
        super().__init__()
        self._fake = fake
        self._subscribed: dict[str, dict[str, Stream | None]] = {}
        self._sequence = 0
        self._heartbeats = 0
        self.next_ns = time.monotonic_ns() + FIRST_REQUEST_NS

    def enveloped(self, channel: str, event: bytes, now: str) -> bytes:
        """The next message of the session."""
        number, self._sequence = self._sequence, self._sequence + 1
        return b'{"channel":"%s","client_id":"","timestamp":"%s","sequence_num":%d,"events":[%s]}' % (
            channel.encode(), now.encode(), number, event,
        )  # fmt: skip

    def tick(self, now_ns: int) -> Words:
        if not self._subscribed:
            return Words(close=(1008, "No subscription within 5 seconds"))
        if "heartbeats" not in self._subscribed:
            self.next_ns = float("inf")
            return Words()
        self.next_ns = now_ns + HEARTBEAT_NS
        self._heartbeats += 1
        now = iso_time(time.time_ns())
        event = f'{{"current_time":"{now}","heartbeat_counter":"{self._heartbeats}"}}'
        return Words([self.enveloped("heartbeats", event.encode(), now)])

    def hear(self, text: bytes, now_ns: int) -> Words:
        try:
            request = orjson.loads(text)
        except orjson.JSONDecodeError:
            return Words([_error("failed to unmarshal request")])
        match request:
            case {"type": "subscribe" | "unsubscribe" as kind, "channel": str(channel)} if channel in _CHANNELS:
                products = request.get("product_ids", [])
                if not isinstance(products, list):
                    return Words([_error("product_ids must be an array")])
                unknown = [product for product in products if product not in self._fake.books]
                if unknown:
                    return Words([_error(f"{kind} failed: {unknown[0]} is not a valid product")])
                self._change(kind == "subscribe", channel, products, now_ns)
                return Words([self._listed()])
            case {"type": "subscribe" | "unsubscribe"}:
                return Words([_error("channel is not a valid channel")])
            case _:
                return Words([_error("type must be subscribe or unsubscribe")])

    def _change(self, is_for_more: bool, channel: str, products: list[str], now_ns: int) -> None:
        if not is_for_more:
            self._forget(channel, products)
            return
        held = self._subscribed.setdefault(channel, {})
        for product in products:
            if product not in held:
                held[product] = stream = self._fake.stream(channel, product, now_ns, self)
                if stream is not None:
                    self.streams.append(stream)
        if channel == "heartbeats":
            self.next_ns = min(self.next_ns, now_ns + HEARTBEAT_NS)

    def _forget(self, channel: str, products: list[str]) -> None:
        held = self._subscribed.get(channel, {})
        for product in products or list(held):
            stream = held.pop(product, None)
            if stream is not None:
                stream.is_over = True
        if not held:
            self._subscribed.pop(channel, None)
            self.next_ns = float("inf") if not self._subscribed else self.next_ns

    def _listed(self) -> bytes:
        listed = {channel: list(products) or [channel] for channel, products in self._subscribed.items()}
        return self.enveloped("subscriptions", orjson.dumps({"subscriptions": listed}), iso_time(time.time_ns()))


def _error(text: str) -> bytes:
    return orjson.dumps({"type": "error", "message": text})


class Coinbase(Fake):
    name = "coinbase"
    default_quotes = frozenset({"USD", "USDT", "BTC"})

    def talk(self, path: str, query: str) -> Talk | None:
        return _Talk(self) if path in ("", "/") else None

    def stream(self, channel: str, product: str, now_ns: int, talk: _Talk) -> Stream | None:
        """None where the fake has nothing to tell on the channel."""
        book = self.books[product]
        kinds: dict[str, type[_Levels] | type[_Trades]] = {"level2": _Levels, "market_trades": _Trades}
        return kinds[channel](book, book.ticker.count(now_ns), talk) if channel in kinds else None

    def topic(self, symbol: str) -> str:
        return f"level2:{symbol}"

    def rest(self, path: str, query: Mapping[str, str]) -> Reply:
        refused_s = self.trouble.take_refusal()
        if refused_s is not None:
            return Reply.of({"error": "RESOURCE_EXHAUSTED"}, 429, **{"Retry-After": str(refused_s)})
        match path.rstrip("/"):
            case "/api/v3/brokerage/market/products":
                products = [_described(book) for book in self.books.values()]
                return Reply.of({"products": products, "num_products": len(products)})
            case "/products":
                return Reply.of([_described_for_exchange(book) for book in self.books.values()])
            case _:
                return Reply.of({"error": "NOT_FOUND", "message": "unknown path"}, 404)


def _described(book: Book) -> dict[str, object]:
    one = book.instrument
    return {
        "product_id": one.symbol, "base_increment": book.size(1), "quote_increment": book.price(1),
        "price_increment": book.price(1), "base_name": one.base, "quote_name": one.quote, "status": "online",
        "trading_disabled": False, "is_disabled": False, "view_only": False, "product_type": "SPOT",
        "base_currency_id": one.base, "quote_currency_id": one.quote,
    }  # fmt: skip


def _described_for_exchange(book: Book) -> dict[str, object]:
    one = book.instrument
    return {
        "id": one.symbol, "base_currency": one.base, "quote_currency": one.quote, "quote_increment": book.price(1),
        "base_increment": book.size(1), "display_name": one.symbol.replace("-", "/"), "status": "online",
        "trading_disabled": False,
    }  # fmt: skip
