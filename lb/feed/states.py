"""Where the keeper of a session stands. The table of what leads from one to the next is in keeper.py."""

from __future__ import annotations

from dataclasses import dataclass

from lb.errors import SessionError
from lb.feed.dialogue import Dialogue
from lb.feed.session import Attempt, Session


@dataclass(frozen=True, slots=True)
class Waiting:
    due_ns: int


@dataclass(frozen=True, slots=True)
class Opening:
    attempt: Attempt
    until_ns: int


@dataclass(frozen=True, slots=True)
class Talking:
    session: Session
    dialogue: Dialogue
    until_ns: int


@dataclass(frozen=True, slots=True)
class Open:
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


@dataclass(frozen=True, slots=True)
class Stopped:
    pass


State = Waiting | Opening | Talking | Open | Ending | Stopped
