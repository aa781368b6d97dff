"""A frame to many clients at once.

Law: nothing waits. What a socket has not taken at once is its transport's, which tells its client that it is behind.
"""

from __future__ import annotations

from collections.abc import Sequence

from trade_balancer.emit._send import ffi, lib
from trade_balancer.emit.group import NO_FD, Member

_MANY = 4
"""For fewer, the call to C costs more than it saves."""


def send_to_all(frame: bytes, members: Sequence[Member]) -> None:
    """None of which is behind: a socket of its own can be written to past its transport, which holds nothing for it."""
    if len(members) < _MANY:
        for member in members:
            member.write(frame)
        return
    direct = [member for member in members if member.fd != NO_FD]
    if len(direct) < len(members):
        for member in members:
            if member.fd == NO_FD:
                member.write(frame)
    count = len(direct)
    shorts = ffi.new("struct short_send[]", count)
    found = lib.send_to_all(ffi.new("int[]", [member.fd for member in direct]), count, frame, len(frame), shorts)
    for short in shorts[0:found]:
        direct[short.place].write(frame[short.bytes :])
