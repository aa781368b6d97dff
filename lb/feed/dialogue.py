"""What is said on a session beside its data: a venue's words in, what to do about them out.

Law: no I/O and no clock. A dialogue lives as long as its session; the keeper carries out the actions in their order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from lb.errors import SessionError

LONGEST_SHOWN = 500
"""Characters of a venue's words that are kept: they are for the log."""


def shown(notice: bytes) -> str:
    """A venue's words as they are logged."""
    return notice.decode("utf-8", "replace")[:LONGEST_SHOWN]


def object_in(notice: bytes) -> dict[str, Any] | None:
    """What the venue says, or None where it is no JSON object."""
    try:
        word = orjson.loads(notice)
    except orjson.JSONDecodeError:
        return None
    return word if isinstance(word, dict) else None


@dataclass(frozen=True, slots=True)
class Send:
    """Send this text message."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Ready:
    """All that opens the session has been said: it counts as open from here on."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The venue says that it sends this topic from now on."""

    topic: str


@dataclass(frozen=True, slots=True)
class Left:
    """The venue says that it sends this topic no more."""

    topic: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The venue does not send something that was asked for, or did not understand it. `topic`: where it names one."""

    text: str
    topic: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The venue sends none of `topics`, which were asked for together, as it refuses the request; because of `topic`,
    where it says so, else because of one of them at least. It may end the session next."""

    topics: Sequence[str]
    text: str
    topic: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """Words of the venue's that change nothing; for the log."""

    status: str
    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The venue ends the session. What it has sent before may still be on its way."""

    error: SessionError


@dataclass(frozen=True, slots=True)
class Renew:
    """The venue asks for another session, as it is about to end this one."""

    error: SessionError


Action = Send | Ready | Acknowledged | Left | Rejected | Refused | Said | Ended | Renew


class Dialogue(Protocol):
    """One session's; begins anew with each."""

    def begin(self) -> list[Action]:
        """What to do right behind the upgrade, before the venue has said anything."""
        ...

    def receive(self, notice: bytes) -> list[Action]:
        """Take one of the venue's own words, as the pump has cut it. Never raises, whatever it is."""
        ...

    def change(self, fresh: Sequence[str], over: Sequence[str]) -> list[Action]:
        """What to do so that the session brings the topics `fresh`, too, and `over` no more. Not before Ready."""
        ...

    def hand_over(self) -> dict[str, Any]:
        """Behind Ready: what must be known to go on with the session, in JSON's words, for adopt() of a new one."""
        ...

    def adopt(self, handed_over: Mapping[str, Any]) -> None: ...
