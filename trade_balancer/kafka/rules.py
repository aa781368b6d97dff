"""Which events go to which topic.

Law: every record has a topic; those of no rule go to the topic of all others.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import NamedTuple

from trade_balancer.errors import UsageError

DEFAULT_TOPIC = "records"

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")  # what Kafka allows
_LONGEST_EVENT_BYTES = 15


class Rules(NamedTuple):
    """The topic of each event, and the one of all others."""

    by_event: dict[str, str]
    others: str

    @property
    def topics(self) -> list[str]:
        """Each once."""
        return list(dict.fromkeys([*self.by_event.values(), self.others]))


def add_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--topic",
        metavar="[EVENTS=]TOPIC",
        action="append",
        dest="rules",
        default=[],
        help="where records go: T=trades,Q=quotes those of these events, a name alone all others; may be repeated "
        f"(default: {DEFAULT_TOPIC})",
    )


def rules_of(words: Sequence[str]) -> Rules:
    """What --topic says, each time it is there.

    Raises:
        UsageError: a topic can't be called so, or an event has two.
    """
    by_event: dict[str, str] = {}
    others: str | None = None
    for rule in (rule for word in words for rule in word.split(",") if rule):
        event, equals, topic = rule.rpartition("=")
        if not _TOPIC.fullmatch(topic) or len(event.encode()) > _LONGEST_EVENT_BYTES or (equals and not event):
            raise UsageError(f"--topic {rule}: TOPIC or EVENT=TOPIC is wanted, of letters, digits, '.', '_' and '-'")
        if event in by_event or (not event and others is not None):
            raise UsageError(f"--topic {rule}: {event or 'all others'} has a topic already")
        if event:
            by_event[event] = topic
        else:
            others = topic
    return Rules(by_event, others or DEFAULT_TOPIC)
