"""The way back to lb: LB_CHANNEL names a socket (SOCK_SEQPACKET) on which a worker says how it is, a word at a time.

Law: whoever runs without lb says nothing and notices nothing. That lb has gone is no error here: the pipes end then.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import MutableMapping

from trade_balancer.errors import ProtocolError

PIPE_PROTOCOL = "1"
"""The version of the pipe protocol that this SDK reads (docs/pipe-protocol.md)."""


def say_ready(environment: MutableMapping[str, str] = os.environ) -> None:
    """Says READY, once in the life of a process and those that it forks: what reads the pipes is about to begin.

    LB_CHANNEL is taken out of the environment: in a program that the worker starts, the number is not that socket.

    Raises:
        ProtocolError: lb writes another version of the pipe protocol (LB_PIPES), or LB_CHANNEL is not its socket.
    """
    version = environment.get("LB_PIPES", PIPE_PROTOCOL)
    if version != PIPE_PROTOCOL:
        raise ProtocolError(
            f"LB_PIPES={version}: lb writes version {version} of the pipe protocol, "
            f"this worker's trade_balancer reads version {PIPE_PROTOCOL}: install the same release for both"
        )
    name = environment.pop("LB_CHANNEL", None)
    if name is None:
        return
    try:
        channel = socket.socket(fileno=int(name))
    except (OSError, ValueError, OverflowError) as fault:
        raise ProtocolError(f"LB_CHANNEL={name}: not a socket ({fault})") from fault
    try:
        channel.set_inheritable(False)
        with contextlib.suppress(OSError):
            channel.send(b"READY")
    finally:
        channel.detach()
