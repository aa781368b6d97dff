"""A venue: everything that differs from one feed to the next, under one name. Law: no I/O.

A new venue is a file in venues/ with a dialogue, and a row in the pump (Layout) that knows its records; nothing else
spells it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lb.feed.dialogue import Dialogue
from lb.pump import Layout, Topic


@dataclass(frozen=True, slots=True)
class Health:
    """What a living session looks like. Any byte of the venue's is a sign of life."""

    ping_after_s: float = 15.0
    lost_after_s: float = 30.0
    ping: bytes | None = None
    """The message that asks for one; None: a ping frame does."""


def _untold(_: bytes) -> None:
    return None


def _any_of(topic: str) -> Topic:
    return topic.encode(), None


def _none(_: bytes) -> list[str]:
    return []


def _is_any(_: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Venue:
    """`dialogue` makes a session's dialogue from the key ("" where the venue `needs_key` not) and the topics wanted.

    `sent_ns`: when the venue says that it made a record, in ns since 1970, told by the record's first 240 bytes; None
    where they do not tell. `topic`: the records that a topic means, by kind and key, as the layout tells them; "*" is
    any record. `topics_of`: the topics, as they may be subscribed, that a record belongs to, told by the same bytes.
    `place`: the record's stream, and a number that grows from one of its records to the next, told by the same bytes.
    `is_topic`: whether the venue takes such a topic. `default_topics`: what is subscribed where nobody says what.
    `unasked`: topics that come with every session; the pipes get them, too. `renew_after_s`: how old a session may get
    before another is opened beside it, since the venue ends it at some age; None: it does not, or allows no second one.
    `send_gap_s`: the least time between two messages to the venue. `max_frame_bytes`: the longest frame and record that
    is taken where nobody says another.
    """

    name: str
    layout: Layout
    needs_key: bool
    dialogue: Callable[[str, Sequence[str]], Dialogue]
    sent_ns: Callable[[bytes], int | None] = _untold
    topic: Callable[[str], Topic] = _any_of
    topics_of: Callable[[bytes], Sequence[str]] = _none
    place: Callable[[bytes], tuple[bytes, int] | None] = _untold
    is_topic: Callable[[str], bool] = _is_any
    default_topics: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()
    renew_after_s: float | None = None
    send_gap_s: float = 0.0
    max_frame_bytes: int = 16 << 20
    health: Health = field(default_factory=Health)
