"""How what the pump knows comes to the other program."""

from __future__ import annotations

import enum


class Way(enum.StrEnum):
    MAPPING = "mapping"
    """As it is, in its memory, with the session."""
    ACCOUNT = "account"
    """Told in numbers and frames (lb/pump/account.py): its mapping looks otherwise. The session is opened anew."""
