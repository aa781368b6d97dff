"""The way back to lb: LB_CHANNEL names a socket (SOCK_SEQPACKET) on which a worker says how it is, a word at a time.

Law: whoever runs without lb says nothing and notices nothing. That lb has gone is no error here: the pipes end then.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from dataclasses import dataclass, field

from trade_balancer.errors import ProtocolError

PIPE_PROTOCOL = "1"
"""The version of the pipe protocol that this SDK reads (docs/pipe-protocol.md)."""


@dataclass
class _Lb:
    """What this process knows of the lb that has started it, or one of its ancestors."""

    fd: int | None = None
    first: dict[int, int] = field(default_factory=dict)
    """By pipe, the number of the first record that comes; empty where lb wants no acknowledgement."""
    retain_bytes: int | None = None
    stand_ins: dict[int, int] = field(default_factory=dict)
    """By pipe, whom else it is from, by the fd of a socket as lb's."""


_lb = _Lb()


def say_ready(environment: MutableMapping[str, str] = os.environ) -> None:
    """Says READY, once in the life of a process and those that it forks: what reads the pipes is about to begin.

    LB_CHANNEL, LB_FIRST and LB_RETAIN are taken out of the environment: they are not true in a program that the
    worker starts.

    Raises:
        ProtocolError: lb writes another version of the pipe protocol (LB_PIPES), LB_CHANNEL is not its socket, or
            LB_FIRST or LB_RETAIN does not tell numbers.
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
        _lb.fd = channel.fileno()
    finally:
        channel.detach()
    _lb.first = _numbers(environment.pop("LB_FIRST", ""))
    _lb.retain_bytes = _bytes(environment.pop("LB_RETAIN", ""))
    say(b"READY", waits=True)


def stand_in_for_lb(channel: int | None, pipe: int) -> None:
    """From now on this process's words about the pipe go to that socket, and it wants to know what of it is finished;
    None: no more. Its records are numbered from 0 on, in a run (LB_RUN) of their own."""
    if channel is None:
        _lb.stand_ins.pop(pipe, None)
        _lb.first.pop(pipe, None)
    else:
        _lb.stand_ins[pipe] = channel
        _lb.first[pipe] = 0
        os.environ["LB_RUN"] = os.urandom(8).hex()


def say_finished(pipe: int, records: int, *, waits: bool) -> bool:
    """So many of the pipe's records, from the first that this process got, are finished. Returns as `say`."""
    return _send(_lb.stand_ins.get(pipe, _lb.fd), b"ACK %d %d" % (pipe, records), waits)


def say(message: bytes, *, waits: bool) -> bool:
    """Sends one message. Returns False where lb would have to be waited for, and was not."""
    return _send(_lb.fd, message, waits)


def _send(fd: int | None, message: bytes, waits: bool) -> bool:
    if fd is None:
        return True
    channel = socket.socket(fileno=fd)
    try:
        channel.send(message, 0 if waits else socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True  # lb has gone
    finally:
        channel.detach()
    return True


def wants_acknowledgement(fd: int) -> bool:
    """Whether lb keeps the records of this pipe until they are acknowledged."""
    return fd in _lb.first


def first_number(fd: int) -> int:
    """The number of the first record that this process, or the one that it was forked from, gets from a pipe.

    A record's number is how many were dealt to its pipe before it. With `lb --redeliver` the numbers go on from one
    worker to the next, and are unique together with `fd` and the environment variable LB_RUN; otherwise each worker
    begins with 0. Known once something reads pipes.
    """
    return _lb.first.get(fd, 0)


def retained_bytes() -> int | None:
    """How much of each pipe lb keeps for a successor; with so much unacknowledged, it reads the feed no further."""
    return _lb.retain_bytes


def _bytes(text: str) -> int | None:
    try:
        return int(text) if text else None
    except ValueError:
        raise ProtocolError(f"LB_RETAIN={text}: not a number of bytes") from None


def _numbers(text: str) -> dict[int, int]:
    try:
        return {int(fd): int(number) for fd, number in (pair.split(":") for pair in text.split(",") if pair)}
    except ValueError:
        raise ProtocolError(f"LB_FIRST={text}: not FD:NUMBER,...") from None
