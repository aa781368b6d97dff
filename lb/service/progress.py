"""Whether the main loop gets on: what the feed has sent is read, or there is a reason why not.

Law: pure. That a loop turns is no proof: one that turned and read nothing would look alive for ever.
"""

from __future__ import annotations


class Progress:
    """Looked at now and then."""

    def __init__(self) -> None:
        self._received_bytes = -1

    def look(self, received_bytes: int, socket_bytes: int, *, is_held_up: bool) -> bool:
        """`received_bytes`: read from the feed in all. `socket_bytes`: what was not. `is_held_up`: by a full pipe,
        which is a worker's affair."""
        has_read = received_bytes != self._received_bytes
        self._received_bytes = received_bytes
        return has_read or is_held_up or not socket_bytes
