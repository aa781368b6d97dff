"""A client's connection: whole messages in, messages out one at a time.

Law: a write returns when the kernel has all of it, so that nothing older than what the kernel holds (SEND_BYTES) is on
its way; who takes nothing for BLOCKED_S is cut off. What is no message is bounded.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator

from trade_balancer.errors import MissingExtraError

try:
    from fixcore.transport.framer import MessageFramer
except ImportError:
    raise MissingExtraError("FIX", "fixcore-engine", "fix") from None

BLOCKED_S = 10.0
SEND_BYTES = 64 << 10
"""In the kernel, for one client (which takes twice as much for its own needs)."""
LARGEST_BYTES = 64 << 10
_READ_BYTES = 16 << 10
_ALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))
"""A client without heartbeats (108=0) whose machine is gone is noticed, too."""


def prepare(listener: socket.socket) -> None:
    """What its connections take over from it."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _ALIVE:
        listener.setsockopt(socket.IPPROTO_TCP, option, value)


class Connection:
    """Of an asyncio server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        writer.transport.set_write_buffer_limits(high=0)
        peer = writer.get_extra_info("peername")
        self.peer = f"{peer[0]}:{peer[1]}"

    async def messages(self) -> AsyncGenerator[bytes, None]:
        """Until the client has ended, or says too much that is none."""
        framer = MessageFramer(LARGEST_BYTES)
        unframed_bytes = 0
        while unframed_bytes <= 2 * LARGEST_BYTES:
            try:
                data = await self._reader.read(_READ_BYTES)
            except OSError:
                return
            if not data:
                return
            unframed_bytes += len(data)
            for message in framer.feed(data):
                unframed_bytes = 0
                yield message

    async def send(self, message: bytes) -> None:
        """
        Raises:
            OSError: the client is gone, or takes nothing (TimeoutError).
        """
        self._writer.write(message)
        async with asyncio.timeout(BLOCKED_S):
            await self._writer.drain()

    async def close(self) -> None:
        """What was written still goes out, if it can go at once."""
        if self._writer.transport.get_write_buffer_size():
            self.abort()
        else:
            self._writer.close()

    def abort(self) -> None:
        """Nothing goes out any more, and `messages` ends."""
        self._writer.transport.abort()
