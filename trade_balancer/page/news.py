"""What lb tells those who watch: asked for once, read from then on, and kept as a view.

Law: it only reads. lb tells its status every second; where it has not for STALE_S it stands still, or is too busy to
be told from one that does.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

import orjson

from trade_balancer.control.view import Status, View

STALE_S = 4.0
_ASK = b'{"v":1,"id":1,"verb":"watch"}\n'
_LONGEST_LINE_BYTES = 64 << 20
"""A status of the most pipes that there can be is shorter."""


class News:
    """`changed` is called whenever there is something new to see."""

    def __init__(self, changed: Callable[[], object]) -> None:
        self._changed = changed
        self._told_s: float | None = None
        self.view = View()
        self.why = "lb has said nothing yet"
        """Where there are no news: why not, as far as that is known."""

    @property
    def status(self) -> Status | None:
        """The newest, as long as lb is there."""
        return None if self._told_s is None else self.view.status

    @property
    def age_s(self) -> float | None:
        """Since when lb has not told its status; None: it never has."""
        return None if self._told_s is None else time.monotonic() - self._told_s

    @property
    def is_fresh(self) -> bool:
        return self._told_s is not None and time.monotonic() - self._told_s < STALE_S

    async def read(self, connection: socket.socket) -> None:
        """Until lb ends the connection, or says what it never would."""
        reader, writer = await asyncio.open_unix_connection(sock=connection, limit=_LONGEST_LINE_BYTES)
        try:
            writer.write(_ASK)
            self.why = "lb stands still, or is stopped"
            async for line in reader:
                self._take(line)
        except (OSError, ValueError) as fault:  # a line too long, or no JSON
            self.why = f"the connection to lb is broken: {fault}"
        else:
            self.why = "lb has ended"
        finally:
            self._told_s = None
            writer.close()

    def _take(self, line: bytes) -> None:
        said = orjson.loads(line)
        if "error" in said:
            raise ValueError(said["error"].get("text"))
        event = said.get("event", {})
        if event.get("name") == "status":
            self._told_s = time.monotonic()
        if self.view.take(event, time.time()):
            self._changed()
