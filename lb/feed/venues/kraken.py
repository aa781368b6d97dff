"""Kraken, websocket v2: what is asked for, and what the venue's own words mean.

Law: no I/O. The texts sent and received are those of docs.kraken.com/api (websocket v2). Which messages are the venue's
own words, and where the others have their shard key, is in pump/csrc/kraken.h.

A topic is CHANNEL:SYMBOL, such as trade:BTC/USD. A number behind the channel is what its messages do not tell: the
levels of book-25:BTC/USD, the minutes of ohlc-5:BTC/USD.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from lb.feed.dialogue import (
    LONGEST_SHOWN,
    Acknowledged,
    Action,
    Left,
    Ready,
    Rejected,
    Said,
    Send,
    object_in,
    shown,
)
from lb.feed.timestamps import timestamp_ns
from lb.feed.venue import Health, Venue
from lb.pump import Layout, Topic

SEND_GAP_S = 0.1
"""Between two messages of ours. No limit is published."""
MOST_SYMBOLS = 100
"""In one request."""

_NUMBERS = {
    "book": ("depth", (10, 25, 100, 500, 1000)),
    "ohlc": ("interval", (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)),
}
"""What the number behind a channel is called, and which there are; the first is meant where there is none."""
_TOPIC = re.compile(r"([a-z]+)(?:-(\d{1,5}))?(?::([A-Za-z0-9.]+/[A-Za-z0-9.]+))?")
_CHANNEL = re.compile(rb'"channel"\s*:\s*"([a-z0-9]+)"')
_SYMBOL = re.compile(rb'"symbol"\s*:\s*"([^"\\]+)"')


@dataclass(frozen=True, slots=True)
class Request:
    """One that the venue has not answered yet, or not for all of its topics."""

    is_for_more: bool
    waiting: dict[str, str]
    """The topics by their symbols; "" where there is none."""


class Dialogue:
    """Nothing opens a session but its upgrade. There is an answer for each symbol, and it names its request's id."""

    def __init__(self, key: str, topics: Sequence[str]) -> None:
        self._topics = topics
        self._last_id = 0
        self._requests: dict[int, Request] = {}

    def begin(self) -> list[Action]:
        return [*self.change(self._topics, []), Ready()]

    def receive(self, notice: bytes) -> list[Action]:
        word, text = object_in(notice) or {}, shown(notice)
        match word:
            case {"channel": "heartbeat"} | {"method": "pong"}:
                return []
            case {"method": "subscribe" | "unsubscribe", "success": True}:
                return [*self._answered(word), Said(str(word["method"]), text)]
            case {"error": str(error)}:
                return [Rejected(error[:LONGEST_SHOWN], self._refused(word))]
            case _:
                return [Said("", text)]

    def change(self, fresh: Sequence[str], over: Sequence[str]) -> list[Action]:
        """What is over goes first: a symbol has one book in a session, however deep."""
        return [*self._asked("unsubscribe", over), *self._asked("subscribe", fresh)]

    def _asked(self, method: str, topics: Sequence[str]) -> Iterator[Send]:
        alike: dict[str, dict[str, str]] = {}
        for topic in topics:
            channel, _, symbol = topic.partition(":")
            alike.setdefault(channel, {})[symbol] = topic
        for channel, of_symbol in alike.items():
            symbols = list(of_symbol)
            for at in range(0, len(symbols), MOST_SYMBOLS):
                part = {symbol: of_symbol[symbol] for symbol in symbols[at : at + MOST_SYMBOLS]}
                yield self._request(method, channel, part)

    def _request(self, method: str, channel: str, topics: dict[str, str]) -> Send:
        self._last_id += 1
        number = self._last_id
        self._requests[number] = Request(method == "subscribe", topics)
        name, _, value = channel.partition("-")
        params: dict[str, object] = {"channel": name}
        if any(topics):
            params["symbol"] = list(topics)
        if name in _NUMBERS:
            member, values = _NUMBERS[name]
            params[member] = int(value or values[0])
        if name == "book" and method == "subscribe":
            params["snapshot"] = True
        return Send(orjson.dumps({"method": method, "params": params, "req_id": number}))

    def hand_over(self) -> dict[str, Any]:
        requests = [[number, one.is_for_more, one.waiting] for number, one in self._requests.items()]
        return {"last_id": self._last_id, "requests": requests}

    def adopt(self, handed_over: Mapping[str, Any]) -> None:
        self._last_id = handed_over["last_id"]
        self._requests = {number: Request(more, waiting) for number, more, waiting in handed_over["requests"]}

    def _answered(self, word: dict[str, object]) -> list[Action]:
        match word.get("result"):
            case {"symbol": str(symbol)}:
                request, topic = self._take(word, symbol)
            case _:
                request, topic = self._take(word, "")
        if request is None or topic is None:
            return []
        return [Acknowledged(topic) if request.is_for_more else Left(topic)]

    def _refused(self, word: dict[str, object]) -> str | None:
        """The topic that an error is about: it names a symbol, or its request is for one alone."""
        request, topic = self._take(word, str(word.get("symbol", "")))
        if topic is None and request is not None and len(request.waiting) == 1:
            return request.waiting.popitem()[1]
        return topic

    def _take(self, word: dict[str, object], symbol: str) -> tuple[Request | None, str | None]:
        """The request that is answered, and of its topics the one of this symbol."""
        number = word.get("req_id")
        request = self._requests.get(number) if isinstance(number, int) else None
        if request is None:
            return None, None
        topic = request.waiting.pop(symbol, None)
        if not request.waiting:
            self._requests = {at: other for at, other in self._requests.items() if other is not request}
        return request, topic


def is_topic(text: str) -> bool:
    """Whether it has the form of one, and the number behind its channel is one that there is."""
    found = _TOPIC.fullmatch(text)
    if found is None:
        return False
    channel, number, symbol = found.groups()
    has_number = number is None or (channel in _NUMBERS and int(number) in _NUMBERS[channel][1])
    return has_number and (symbol is not None or channel == "instrument")


def topic(text: str) -> Topic:
    """ "*" is any record; a channel alone is any symbol's that comes."""
    if text == "*":
        return None, None
    channel, _, symbol = text.partition(":")
    return channel.partition("-")[0].encode(), symbol.encode() or None


def topics_of(record: bytes) -> list[str]:
    """Of the channel and the first symbol named, each that the record may belong to: it does not tell the number."""
    channel, symbol = _CHANNEL.search(record), _SYMBOL.search(record)
    if channel is None or symbol is None:
        return []
    name, of_symbol = channel[1].decode(), symbol[1].decode("utf-8", "replace")
    numbers = _NUMBERS[name][1] if name in _NUMBERS else ()
    return [f"{name}:{of_symbol}", *(f"{name}-{number}:{of_symbol}" for number in numbers)]


VENUE = Venue(
    name="kraken", layout=Layout.KRAKEN, needs_key=False, dialogue=Dialogue, sent_ns=timestamp_ns, topic=topic,
    topics_of=topics_of, is_topic=is_topic, send_gap_s=SEND_GAP_S, health=Health(ping=b'{"method":"ping"}'),
)  # fmt: skip
