"""Binance spot, combined streams: what is asked for, and what the venue's own words mean.

Law: no I/O. The texts sent and received are those of binance-spot-api-docs (web-socket-streams.md) and of recordings,
where errors are nested in "error". Which messages are the venue's own words, and where the others have their shard key,
is in pump/csrc/binance.h.

A topic is a stream's name, such as btcusdt@depth@100ms: its key is the symbol, its kind all that follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from lb.errors import Evicted
from lb.feed.dialogue import (
    LONGEST_SHOWN,
    Acknowledged,
    Action,
    Left,
    Ready,
    Refused,
    Rejected,
    Renew,
    Said,
    Send,
    object_in,
    shown,
)
from lb.feed.venue import Venue
from lb.pump import Layout, Topic

SEND_GAP_S = 0.3
"""Between two messages of ours. The venue ends a session at the sixth within a second, pings and pongs included."""
RENEW_AFTER_S = 23 * 3600.0
"""The venue ends a session that is 24 hours old."""
MOST_NAMES = 200
"""In one request."""
_INVALID_REQUEST = 2
"""The error's code where a request is refused for what is in it: one name is enough, and the session may end, too."""

_TOPIC = re.compile(r"![A-Za-z]+(_\w+)?(@[\w:+.]+)*|[^!@\s\"'\\,/A-Z]+(@[\w:+.]+)+")
_STREAM = re.compile(rb'"stream"\s*:\s*"([^"\\]*)"')
_TIME = re.compile(rb'"E"\s*:\s*(\d{13}|\d{16})\s*[,}]')
_PLACE = re.compile(
    rb'\{"stream":"([^"\\]+)","data":\{(?:"e":"\w+","E":\d+,"s":"[^"\\]+",(?:"U":\d+,)?)?"(?:u|t|a|lastUpdateId)":(\d+)'
)
_MS_DIGITS = 13


@dataclass(frozen=True, slots=True)
class Request:
    """One that the venue has not answered yet."""

    is_for_more: bool
    topics: Sequence[str]


class Dialogue:
    """Nothing opens a session but its upgrade. Answers name their request's id."""

    def __init__(self, key: str, topics: Sequence[str]) -> None:
        self._topics = topics
        self._last_id = 0
        self._requests: dict[int, Request] = {}

    def begin(self) -> list[Action]:
        """Messages shall name their stream, whatever the URL's path: that is how a record is told from a word."""
        combined = {"method": "SET_PROPERTY", "params": ["combined", True], "id": self._next_id()}
        return [Send(orjson.dumps(combined)), *self.change(self._topics, []), Ready()]

    def receive(self, notice: bytes) -> list[Action]:
        word = object_in(notice)
        if word is None:
            return [Said("", shown(notice))]
        if _is_shutdown(word):
            return [Renew(Evicted("the feed ends the session: serverShutdown"))]
        number = word.get("id")
        request = self._requests.pop(number, None) if isinstance(number, int) else None
        fault = word.get("error", word if "code" in word else None)
        if fault is not None:
            named = _named(fault, word)
            request = request or self._request_with(named)
            if request is not None and request.is_for_more and _code(fault) == _INVALID_REQUEST:
                return [_refusal(request, _fault_text(fault, notice), named)]
            return _rejections(request, _fault_text(fault, notice), named)
        said = Said("result", shown(notice))
        if request is None:
            return [said]
        return [*((Acknowledged if request.is_for_more else Left)(topic) for topic in request.topics), said]

    def _request_with(self, named: str | None) -> Request | None:
        """That an error with no id of ours is about, where it names a topic."""
        for number, request in self._requests.items():
            if named in request.topics:
                return self._requests.pop(number)
        return None

    def change(self, fresh: Sequence[str], over: Sequence[str]) -> list[Action]:
        """As few messages as there can be: each counts against the venue's limit."""
        return [*self._asked("SUBSCRIBE", fresh), *self._asked("UNSUBSCRIBE", over)]

    def _asked(self, method: str, topics: Sequence[str]) -> Iterator[Send]:
        for at in range(0, len(topics), MOST_NAMES):
            number, part = self._next_id(), topics[at : at + MOST_NAMES]
            self._requests[number] = Request(method == "SUBSCRIBE", part)
            yield Send(orjson.dumps({"method": method, "params": part, "id": number}))

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def hand_over(self) -> dict[str, Any]:
        requests = [[number, one.is_for_more, list(one.topics)] for number, one in self._requests.items()]
        return {"last_id": self._last_id, "requests": requests}

    def adopt(self, handed_over: Mapping[str, Any]) -> None:
        self._last_id = handed_over["last_id"]
        self._requests = {number: Request(more, topics) for number, more, topics in handed_over["requests"]}


def _is_shutdown(word: dict[str, object]) -> bool:
    return word.get("stream") == "!serverShutdown" or word.get("e") == "serverShutdown"


def _rejections(request: Request | None, text: str, named: str | None) -> list[Action]:
    """An error names a topic, or its request is for one alone; else all of its request are refused."""
    topics = request.topics if request is not None else ()
    return [Rejected(text, topics[0] if len(topics) == 1 else named if named in topics else None)]


def _refusal(request: Request, text: str, named: str | None) -> Refused:
    return Refused(request.topics, text, named if named in request.topics else None)


def _code(fault: object) -> object:
    return fault.get("code") if isinstance(fault, dict) else None


def _named(fault: object, word: dict[str, object]) -> str | None:
    """The stream that some servers name in "data", beside the text or inside of it."""
    named = fault.get("data", word.get("data")) if isinstance(fault, dict) else word.get("data")
    return named if isinstance(named, str) else None


def _fault_text(fault: object, notice: bytes) -> str:
    """Nested in "error", as it comes, or flat, as it is documented."""
    if isinstance(fault, dict) and "msg" in fault:
        return f"{fault['msg']} (code {fault.get('code')})"[:LONGEST_SHOWN]
    return shown(notice)


def is_topic(text: str) -> bool:
    """Whether the venue takes it: at a name that is malformed it ends the session, and one that is not in lower case
    it never sends. Whether there is such a symbol it does not say."""
    return _TOPIC.fullmatch(text) is not None


def topic(text: str) -> Topic:
    """ "*" is any record; @trade is every symbol's that comes."""
    if text == "*":
        return None, None
    key, at_sign, kind = text.partition("@")
    return (at_sign + kind or key).encode(), key.encode() or None


def sent_ns(record: bytes) -> int | None:
    """By "E": in ms where it has 13 digits, in us (timeUnit=MICROSECOND in the URL) where it has 16. The partial books
    and the best prices have none."""
    found = _TIME.search(record)
    if found is None:
        return None
    return int(found[1]) * (1_000_000 if len(found[1]) == _MS_DIGITS else 1000)


def place(record: bytes) -> tuple[bytes, int] | None:
    """By the ids of differences, partial books, best prices and trades."""
    found = _PLACE.match(record)
    return None if found is None else (found[1], int(found[2]))


def topics_of(record: bytes) -> list[str]:
    """The stream's name."""
    stream = _STREAM.search(record)
    return [stream[1].decode("utf-8", "replace")] if stream else []


VENUE = Venue(
    name="binance", layout=Layout.BINANCE, needs_key=False, dialogue=Dialogue, sent_ns=sent_ns, topic=topic,
    topics_of=topics_of, place=place, is_topic=is_topic, send_gap_s=SEND_GAP_S, renew_after_s=RENEW_AFTER_S,
)  # fmt: skip
