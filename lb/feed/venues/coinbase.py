"""Coinbase Advanced Trade, market data: what is asked for, and what the venue's own words mean.

Law: no I/O. The texts sent and received are those of docs.cdp.coinbase.com/advanced-trade. Which messages are the
venue's own words, and where the others have their shard key, is in pump/csrc/coinbase.h.

A topic is CHANNEL:PRODUCT, such as level2:BTC-USD, or CHANNEL alone, such as status.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
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
from lb.feed.venue import Venue
from lb.pump import Layout, Topic

SEND_GAP_S = 0.15
"""Between two messages of ours. The venue takes eight within a second from one address."""
MOST_PRODUCTS = 100
"""In one request."""
MAX_FRAME_BYTES = 64 << 20
"""The first message of a book holds all of it: of BTC-USD many MB."""

HEARTBEATS = "heartbeats"
_RECORDS_OF = {"level2": "l2_data"}
"""What the messages of a channel call it, where that is another name."""
_CHANNEL_OF = {name: channel for channel, name in _RECORDS_OF.items()}

_TOPIC = re.compile(r"[a-z][a-z0-9_]*(:[A-Z0-9]+(-[A-Z0-9]+)+)?")
_CHANNEL = re.compile(rb'"channel"\s*:\s*"([^"\\]+)"')
_PRODUCT = re.compile(rb'"product_id"\s*:\s*"([^"\\]+)"')


class Dialogue:
    """Nothing opens a session but its upgrade; the first request is due within 5 s. An answer lists all that the
    session is subscribed to. An error names nothing: it is taken to be about the topic that waits, where one does."""

    def __init__(self, key: str, topics: Sequence[str]) -> None:
        self._topics = topics
        self._coming: dict[str, None] = {}
        self._going: dict[str, None] = {}

    def begin(self) -> list[Action]:
        """The heartbeats first: without them the venue ends a session whose channels are quiet."""
        heartbeats = Send(orjson.dumps({"type": "subscribe", "channel": HEARTBEATS}))
        return [heartbeats, *self.change(self._topics, []), Ready()]

    def receive(self, notice: bytes) -> list[Action]:
        word, text = object_in(notice) or {}, shown(notice)
        match word:
            case {"channel": "subscriptions"}:
                return [*self._answered(_listed(word)), Said("subscriptions", text)]
            case {"type": "error"}:
                topic = next(iter(self._coming)) if len(self._coming) == 1 else None
                self._coming.pop(topic or "", None)
                return [Rejected(str(word.get("message", text))[:LONGEST_SHOWN], topic)]
            case _:
                return [Said("", text)]

    def change(self, fresh: Sequence[str], over: Sequence[str]) -> list[Action]:
        """As few messages as there can be: the venue takes one channel in each. The heartbeats come, and stay."""
        for topics, waiting, other in ((fresh, self._coming, self._going), (over, self._going, self._coming)):
            for topic in topics:
                other.pop(topic, None)
                if topic != HEARTBEATS:
                    waiting[topic] = None
        known: list[Action] = [Acknowledged(HEARTBEATS)] if HEARTBEATS in fresh else []
        return [*known, *_requests("subscribe", fresh), *_requests("unsubscribe", over)]

    def hand_over(self) -> dict[str, Any]:
        return {"coming": list(self._coming), "going": list(self._going)}

    def adopt(self, handed_over: Mapping[str, Any]) -> None:
        self._coming, self._going = (dict.fromkeys(handed_over[name]) for name in ("coming", "going"))

    def _answered(self, listed: set[str]) -> list[Action]:
        come = [topic for topic in self._coming if topic in listed]
        gone = [topic for topic in self._going if topic not in listed]
        for topic in (*come, *gone):
            self._coming.pop(topic, None)
            self._going.pop(topic, None)
        return [*map(Acknowledged, come), *map(Left, gone)]


def _requests(method: str, topics: Sequence[str]) -> Iterator[Send]:
    of_channel: dict[str, list[str]] = {}
    for topic in topics:
        channel, _, product = topic.partition(":")
        if channel != HEARTBEATS:
            of_channel.setdefault(channel, []).append(product)
    for channel, products in of_channel.items():
        named = [product for product in products if product]
        if len(named) < len(products):
            yield Send(orjson.dumps({"type": method, "channel": channel}))
        for at in range(0, len(named), MOST_PRODUCTS):
            part = named[at : at + MOST_PRODUCTS]
            yield Send(orjson.dumps({"type": method, "product_ids": part, "channel": channel}))


def _listed(word: dict[str, object]) -> set[str]:
    """The topics that an answer says the session has."""
    listed: set[str] = set()
    match word:
        case {"events": [{"subscriptions": dict(subscriptions)}, *_]}:
            for name, products in subscriptions.items():
                channel = _CHANNEL_OF.get(str(name), str(name))
                listed.add(channel)
                listed.update(f"{channel}:{product}" for product in (products if isinstance(products, list) else ()))
    return listed


def is_topic(text: str) -> bool:
    """Whether it has the form of one."""
    return _TOPIC.fullmatch(text) is not None


def topic(text: str) -> Topic:
    """ "*" is any record; a channel alone is any product's."""
    if text == "*":
        return None, None
    channel, _, product = text.partition(":")
    return _RECORDS_OF.get(channel, channel).encode(), product.encode() or None


def topics_of(record: bytes) -> list[str]:
    """The channel, and the first product named where it stands in front."""
    name, product = _CHANNEL.search(record), _PRODUCT.search(record)
    if name is None:
        return []
    channel = name[1].decode("ascii", "replace")
    channel = _CHANNEL_OF.get(channel, channel)
    return [channel, *([f"{channel}:{product[1].decode('ascii', 'replace')}"] if product else [])]


VENUE = Venue(
    name="coinbase", layout=Layout.COINBASE, needs_key=False, dialogue=Dialogue, sent_ns=timestamp_ns, topic=topic,
    topics_of=topics_of, is_topic=is_topic, unasked=(HEARTBEATS, "subscriptions"), send_gap_s=SEND_GAP_S,
    max_frame_bytes=MAX_FRAME_BYTES,
)  # fmt: skip
