"""What a look at the machine has found: one line each, with its remedy. Law: values."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class State(enum.Enum):
    OK = "ok"
    WARNING = "warning"
    """lb works, less well than it could."""
    FAILED = "failed"
    """It can't work."""


@dataclass(frozen=True, slots=True)
class Finding:
    name: str
    state: State
    text: str
    remedy: str = ""
    """What to do about it; empty where there is nothing to do."""


def ok(name: str, text: str) -> Finding:
    return Finding(name, State.OK, text)


def warning(name: str, text: str, remedy: str) -> Finding:
    return Finding(name, State.WARNING, text, remedy)


def failed(name: str, text: str, remedy: str) -> Finding:
    return Finding(name, State.FAILED, text, remedy)
