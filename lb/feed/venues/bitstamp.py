"""Bitstamp, websocket v2: what is asked for, and what the venue's own words mean.

Law: no I/O. The texts sent and received are those of bitstamp.net/websocket/v2 and of recordings. Which messages are
the venue's own words, and where the others have their shard key, is in pump/csrc/bitstamp.h.

A topic is a channel's name, such as order_book_btcusd: its key is the pair, its kind all in front of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from lb.errors import Evicted
from lb.feed.dialogue import (
    LONGEST_SHOWN,
    Acknowledged,
    Action,
    Left,
    Ready,
    Rejected,
    Renew,
    Said,
    Send,
    object_in,
    shown,
)
from lb.feed.venue import Venue
from lb.pump import Layout, Topic

SEND_GAP_S = 0.005
"""Between two messages of ours. No limit is published; 29 channels within 147 ms were seen to be taken."""
RENEW_AFTER_S = 89 * 24 * 3600.0
"""The venue ends a session that is 90 days old."""
LONGEST_TOPIC = 400
"""Characters. At a message of 513 bytes the venue ends the session."""

_TOPIC = re.compile(r"[a-z]+(_[a-z]+)*_[a-z0-9-]+")
_TIME = re.compile(rb'"microtimestamp"\s*:\s*"(\d{16})"')
_CHANNEL = re.compile(rb'"channel"\s*:\s*"([^"\\]+)"')


class Dialogue:
    """Nothing opens a session but its upgrade. Answers name their channel; errors name nothing, and are taken to be
    about the channel that has been asked for the longest."""

    def __init__(self, key: str, topics: Sequence[str]) -> None:
        self._topics = topics
        self._unanswered: dict[str, None] = {}

    def begin(self) -> list[Action]:
        return [*self.change(self._topics, []), Ready()]

    def receive(self, notice: bytes) -> list[Action]:
        word, text = object_in(notice), shown(notice)
        if word is None:
            return [Said("", text)]
        channel = str(word.get("channel", ""))
        match word.get("event"):
            case "bts:subscription_succeeded":
                self._unanswered.pop(channel, None)
                return [Acknowledged(channel), Said("subscription_succeeded", channel[:LONGEST_SHOWN])]
            case "bts:unsubscription_succeeded":
                return [Left(channel), Said("unsubscription_succeeded", channel[:LONGEST_SHOWN])]
            case "bts:request_reconnect":
                return [Renew(Evicted("the feed asks for a new session: request_reconnect"))]
            case "bts:error":
                oldest = next(iter(self._unanswered), None)
                self._unanswered.pop(oldest or "", None)
                return [Rejected(_message_of(word, text), oldest)]
            case _:
                return [Said("", text)]

    def change(self, fresh: Sequence[str], over: Sequence[str]) -> list[Action]:
        """A message each: the venue takes one channel at a time."""
        self._unanswered.update(dict.fromkeys(fresh))
        for topic in over:
            self._unanswered.pop(topic, None)
        asked = [("bts:subscribe", fresh), ("bts:unsubscribe", over)]
        return [
            Send(orjson.dumps({"event": event, "data": {"channel": topic}}))
            for event, topics in asked
            for topic in topics
        ]

    def hand_over(self) -> dict[str, Any]:
        return {"unanswered": list(self._unanswered)}

    def adopt(self, handed_over: Mapping[str, Any]) -> None:
        self._unanswered = dict.fromkeys(handed_over["unanswered"])


def _message_of(word: dict[str, object], text: str) -> str:
    match word.get("data"):
        case {"message": str(message)}:
            return message[:LONGEST_SHOWN]
        case _:
            return text


def is_topic(text: str) -> bool:
    """Whether the venue takes it. Whether there is such a pair it does not say: it acknowledges any, and then sends
    nothing."""
    return len(text) <= LONGEST_TOPIC and _TOPIC.fullmatch(text) is not None


def topic(text: str) -> Topic:
    """ "*" is any record; order_book_ is every pair's that comes."""
    if text == "*":
        return None, None
    kind, underscore, key = text.rpartition("_")
    return (kind + underscore).encode(), key.encode() or None


def sent_ns(record: bytes) -> int | None:
    """By "microtimestamp", us since 1970 in a string."""
    found = _TIME.search(record)
    return None if found is None else int(found[1]) * 1000


def topics_of(record: bytes) -> list[str]:
    """The channel, where it stands in front; of books it stands behind the levels."""
    channel = _CHANNEL.search(record)
    return [channel[1].decode("utf-8", "replace")] if channel else []


VENUE = Venue(
    name="bitstamp", layout=Layout.BITSTAMP, needs_key=False, dialogue=Dialogue, sent_ns=sent_ns, topic=topic,
    topics_of=topics_of, is_topic=is_topic, send_gap_s=SEND_GAP_S, renew_after_s=RENEW_AFTER_S,
)  # fmt: skip
