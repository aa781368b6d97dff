"""The way back from a worker: a socket pair (AF_UNIX, SOCK_SEQPACKET) per process, whose number it finds in LB_CHANNEL.

A message is one packet of at most LONGEST_BYTES:

    READY          it has begun to read its pipes
    ACK FD N       it has finished N records of a pipe since its own start; FD is the pipe's number among its arguments
    STATUS text    what it is doing, in UTF-8, for people

Anything else is counted and passed over; an empty packet can't be told from the end, and is one. A worker need not say
anything. Law: no I/O that waits, and never more than a few messages at a time: who talks much waits, not lb.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

PROTOCOL = "1"
"""Version of what stands on the pipes and on the channel; a worker finds it in LB_PIPES."""

LONGEST_BYTES = 1024
MOST_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Ready:
    pass


@dataclass(frozen=True, slots=True)
class Acknowledged:
    fd: int
    records: int


@dataclass(frozen=True, slots=True)
class Status:
    text: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """`message` is cut off at LONGEST_BYTES."""

    message: bytes


Message = Ready | Acknowledged | Status | Unknown

_ACK = re.compile(rb"ACK ([0-9]{1,9}) ([0-9]{1,18})")
_STATUS = b"STATUS "


def parse(packet: bytes) -> Message:
    if len(packet) > LONGEST_BYTES:
        return Unknown(packet[:LONGEST_BYTES])
    if packet == b"READY":
        return Ready()
    if (ack := _ACK.fullmatch(packet)) is not None:
        return Acknowledged(int(ack[1]), int(ack[2]))
    if packet.startswith(_STATUS):
        return Status(packet.removeprefix(_STATUS).decode(errors="replace"))
    return Unknown(packet)


class Channel:
    """Both ends. The worker's is to be closed as soon as the worker has it, or the end of it would not be seen."""

    def __init__(self, adopted_fd: int | None = None) -> None:
        """`adopted_fd`: lb's end of one whose worker runs since before this program took the process over. Raises
        OSError."""
        self._theirs: socket.socket | None = None
        if adopted_fd is None:
            self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        else:
            self._ours = socket.socket(fileno=adopted_fd)
        self._ours.setblocking(False)
        self.has_ended = False

    def fileno(self) -> int:
        """Of lb's end."""
        return self._ours.fileno()

    def worker_fd(self) -> int:
        assert self._theirs is not None
        return self._theirs.fileno()

    def close_worker_end(self) -> None:
        if self._theirs is not None:
            self._theirs.close()

    def close(self) -> None:
        self._ours.close()
        self.close_worker_end()

    def receive(self, most: int = MOST_AT_ONCE) -> list[Message]:
        """What the worker has said, up to so many messages; has_ended tells whether it can say no more."""
        messages: list[Message] = []
        while len(messages) < most and not self.has_ended:
            try:
                packet = self._ours.recv(LONGEST_BYTES + 1)
            except BlockingIOError:
                break
            except OSError:  # it is as good as closed
                packet = b""
            if packet:
                messages.append(parse(packet))
            else:
                self.has_ended = True
        return messages
