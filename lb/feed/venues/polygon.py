"""Polygon/Massive: the dialogue that begins a session, and what status records mean.

Law: no I/O. Matches on `status`, never on `message`, which is free text. The texts sent and received are those of the
vendor's documentation (massive.com/docs/websocket) and clients; where a session's records have their shard key is in
pump/csrc/polygon.c.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from lb.errors import Evicted, Refused, SessionError

MAX_CONNECTIONS_LEAST_DELAY_S = 10.0
"""Two clients on one key evict each other for ever; the slower they return, the more of the feed either sees."""


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
        try:
            record = orjson.loads(text)
            return cls(str(record.get("status", "")), str(record.get("message", "")))
        except orjson.JSONDecodeError:
            return cls("", text.decode("utf-8", "replace"))

    def __str__(self) -> str:
        return f"{self.status}: {self.message.strip()}"


def statuses_of(message: bytes) -> list[Status]:
    """The status records of one message, in their order; none where it is not an array of objects."""
    try:
        records = orjson.loads(message)
    except orjson.JSONDecodeError:
        return []
    if not isinstance(records, list):
        return []
    return [
        Status(str(record.get("status", "")), str(record.get("message", "")))
        for record in records
        if isinstance(record, dict) and record.get("ev") == "status"
    ]


def ending_of(status: Status) -> SessionError | None:
    """The error a status announces, or None where the session goes on."""
    match status.status:
        case "auth_failed":
            return Refused(f"the feed refuses the key: {status}")
        case "max_connections" | "disconnected":
            return Evicted(f"the feed ends the session: {status}", MAX_CONNECTIONS_LEAST_DELAY_S)
        case "auth_timeout" | "force_disconnect" | "slow_consumer":
            return Evicted(f"the feed ends the session: {status}")
        case _:
            return None


class Dialogue:
    """connected -> auth -> auth_success -> subscribe. Acknowledgements come later, among the data."""

    def __init__(self, key: str, params: Sequence[str]) -> None:
        self._key = key
        self._params = ",".join(params)
        self.step = Step.AWAIT_CONNECTED

    def receive(self, status: Status) -> bytes | None:
        """Take a status and return what to send now, if anything.

        Raises Refused when the key is refused, Evicted when the feed ends the session.
        """
        ending = ending_of(status)
        if ending is not None:
            raise ending
        if self.step is Step.AWAIT_CONNECTED and status.status in ("connected", "success"):
            self.step = Step.AWAIT_AUTHENTICATED
            return orjson.dumps({"action": "auth", "params": self._key})
        if self.step is Step.AWAIT_AUTHENTICATED:
            if status.status in ("auth_success", "success"):  # "success" until 2019
                self.step = Step.SUBSCRIBED
                return orjson.dumps({"action": "subscribe", "params": self._params})
            if status.status == "error":  # until 2021
                raise Refused(f"the feed refuses the key: {status}")
        return None
