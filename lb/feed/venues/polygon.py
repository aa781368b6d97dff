"""Polygon/Massive: connected -> auth -> auth_success -> subscribe, and what status records mean.

Law: no I/O. Matches on `status`; `message` is free text, read only to tell which topic an acknowledgement is about. The
texts sent and received are those of the vendor's documentation (massive.com/docs/websocket) and clients. Which records
are status records, and where the others have their shard key, is in pump/csrc/polygon.h.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from lb.errors import Evicted, Refused, SessionError
from lb.feed.dialogue import (
    LONGEST_SHOWN,
    Acknowledged,
    Action,
    Ended,
    Left,
    Ready,
    Rejected,
    Said,
    Send,
    object_in,
    shown,
)
from lb.feed.venue import Venue
from lb.pump import Layout, Topic

MAX_CONNECTIONS_LEAST_DELAY_S = 10.0
"""Two clients on one key evict each other for ever; the slower they return, the more of the feed either sees."""

_MS_DIGITS = 13
_TIME = re.compile(rb'"t"\s*:\s*(\d{13}|\d{19})\s*[,}]')
"""Nothing else looks so: inside of a string, the quotes would be escaped."""

_SUBSCRIBED_TO, _UNSUBSCRIBED_TO = "subscribed to: ", "unsubscribed to: "

_EVENT = re.compile(rb'"ev"\s*:\s*"([^"\\]*)"')
_SYMBOL = re.compile(rb'"(?:sym|pair|p|T)"\s*:\s*"([^"\\]*)"')
"""The first that is a string; see pump/csrc/polygon.h."""


class Step(enum.Enum):
    """Where the dialogue stands."""

    AWAIT_CONNECTED = enum.auto()
    AWAIT_AUTHENTICATED = enum.auto()
    SUBSCRIBED = enum.auto()


@dataclass(frozen=True, slots=True)
class Status:
    """A status record: the feed's word and its free text."""

    status: str
    message: str

    @classmethod
    def parse(cls, text: bytes) -> Status:
        """Never raises: a status record that is no JSON object is one with status "" and its raw text as message."""
        record = object_in(text)
        if record is None:
            return cls("", shown(text))
        return cls(*(str(record.get(name, ""))[:LONGEST_SHOWN] for name in ("status", "message")))

    def __str__(self) -> str:
        return f"{self.status}: {self.message.strip()}"


class Dialogue:
    """Asks for the topics once the key is accepted. Acknowledgements come later, among the data."""

    def __init__(self, key: str, topics: Sequence[str]) -> None:
        self._key = key
        self._topics = topics
        self.step = Step.AWAIT_CONNECTED

    def begin(self) -> list[Action]:
        return []  # the vendor speaks first

    def receive(self, notice: bytes) -> list[Action]:
        status = Status.parse(notice)
        ending = ending_of(status)
        if ending is not None:
            return [Ended(ending)]
        match self.step:
            case Step.AWAIT_CONNECTED if status.status in ("connected", "success"):
                self.step = Step.AWAIT_AUTHENTICATED
                return [Send(orjson.dumps({"action": "auth", "params": self._key}))]
            case Step.AWAIT_AUTHENTICATED if status.status in ("auth_success", "success"):  # "success" until 2019
                self.step = Step.SUBSCRIBED
                return [*self.change(self._topics, []), Ready()]
            case Step.AWAIT_AUTHENTICATED if status.status == "error":  # until 2021
                return [Ended(Refused(f"the feed refuses the key: {status}"))]
        if status.status == "error":
            return [Rejected(status.message)]  # "not authorized" names no topic
        said = Said(status.status, status.message)
        if status.status == "success" and status.message.startswith(_UNSUBSCRIBED_TO):
            return [Left(status.message.removeprefix(_UNSUBSCRIBED_TO).strip()), said]
        if status.status == "success" and status.message.startswith(_SUBSCRIBED_TO):
            return [Acknowledged(status.message.removeprefix(_SUBSCRIBED_TO).strip()), said]
        return [said]

    def change(self, fresh: Sequence[str], over: Sequence[str]) -> list[Action]:
        """New topics first: one that goes may have covered one that comes."""
        asked: list[tuple[str, Sequence[str]]] = [("subscribe", fresh), ("unsubscribe", over)]
        return [
            Send(orjson.dumps({"action": action, "params": ",".join(topics)})) for action, topics in asked if topics
        ]

    def hand_over(self) -> dict[str, Any]:
        return {}

    def adopt(self, handed_over: Mapping[str, Any]) -> None:
        self.step = Step.SUBSCRIBED


def topic(text: str) -> Topic:
    """EVENT.SYMBOL, or EVENT.* for all symbols of an event; a symbol may have dots itself. "*" is any record."""
    event, _, symbol = text.partition(".")
    if text == "*":
        return None, None
    return event.encode(), symbol.encode() if symbol not in ("", "*") else None


def ending_of(status: Status) -> SessionError | None:
    """The error a status announces, or None where the session goes on."""
    match status.status:
        case "auth_failed":
            return Refused(f"the feed refuses the key: {status}")
        case "max_connections":
            text = f"this key is used elsewhere, the feed ends the session: {status}"
            return Evicted(text, MAX_CONNECTIONS_LEAST_DELAY_S)
        case "disconnected":  # max_connections until 2020, among other reasons
            return Evicted(f"the feed ends the session: {status}", MAX_CONNECTIONS_LEAST_DELAY_S)
        case "auth_timeout" | "force_disconnect" | "slow_consumer":
            return Evicted(f"the feed ends the session: {status}")
        case _:
            return None


def sent_ns(record: bytes) -> int | None:
    """By "t": in ms where it has 13 digits (trades, quotes), in ns where it has 19 (LULD, FMV, NOI). Aggregates have
    none."""
    found = _TIME.search(record)
    if found is None:
        return None
    return int(found[1]) * (1_000_000 if len(found[1]) == _MS_DIGITS else 1)


def topics_of(record: bytes) -> list[str]:
    """All of its event, and its symbol's or pair's alone."""
    event, symbol = _EVENT.search(record), _SYMBOL.search(record)
    if event is None:
        return []
    name = event[1].decode("ascii", "replace")
    return [f"{name}.*", *([f"{name}.{symbol[1].decode('ascii', 'replace')}"] if symbol else [])]


VENUE = Venue(
    name="polygon", layout=Layout.POLYGON, needs_key=True, dialogue=Dialogue, sent_ns=sent_ns,
    topic=topic, topics_of=topics_of, default_topics=("T.*",),
)  # fmt: skip
