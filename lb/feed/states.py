"""Where the keeper of a session stands. The table of what leads from one to the next is in keeper.py.

`name`: for people and programs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

from lb.errors import SessionError, Superseded
from lb.feed.dialogue import Dialogue
from lb.feed.session import Attempt, Session
from lb.feed.successor import Successor


@dataclass(frozen=True, slots=True)
class Waiting:
    name: ClassVar[str] = "waiting"
    due_ns: int


@dataclass(frozen=True, slots=True)
class Opening:
    name: ClassVar[str] = "opening"
    attempt: Attempt
    until_ns: int


@dataclass(frozen=True, slots=True)
class Talking:
    name: ClassVar[str] = "talking"
    session: Session
    dialogue: Dialogue
    until_ns: int


@dataclass(frozen=True, slots=True)
class Open:
    name: ClassVar[str] = "open"
    session: Session
    dialogue: Dialogue
    began_ns: int


@dataclass(frozen=True, slots=True)
class Ending:
    session: Session
    error: SessionError
    began_ns: int | None
    """When the session was open; None where it has never been."""
    until_ns: int
    latest_ns: int
    """No later than then, although bytes still come."""

    @staticmethod
    def of(state: Talking | Open, error: SessionError, patience_s: float, most_s: float) -> Ending:
        """`patience_s`: for so long no byte may come; `most_s`: so long it may take in all."""
        now_ns, began_ns = time.monotonic_ns(), state.began_ns if isinstance(state, Open) else None
        return Ending(state.session, error, began_ns, now_ns + int(patience_s * 1e9), now_ns + int(most_s * 1e9))

    @property
    def name(self) -> str:
        """While one session goes on where another ends, there is one open."""
        return "open" if isinstance(self.error, Superseded) else "ending"


@dataclass(frozen=True, slots=True)
class Succeeding:
    successor: Successor
    error: SessionError
    """Why the session before has ended."""
    began_ns: int
    """When that one was open."""
    is_seamless: bool
    """Nothing of what the feed has sent is missing between the two."""

    @property
    def name(self) -> str:
        return "open" if self.is_seamless else "opening"


@dataclass(frozen=True, slots=True)
class Stopped:
    name: ClassVar[str] = "stopped"


State = Waiting | Opening | Talking | Open | Ending | Succeeding | Stopped
