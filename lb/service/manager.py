"""The service manager's ear: datagrams to $NOTIFY_SOCKET (sd_notify(3)).

Law: telling never waits and never fails. The variables that are for lb alone are taken out of the environment, which
workers inherit: one of theirs that said READY=1, or fed the watchdog, would speak for lb.
"""

from __future__ import annotations

import contextlib
import os
import socket
from array import array
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

_LONGEST_BYTES = 4000
"""Of a value: a feed's words may be in it."""


class Manager:
    """`watchdog_ns`: how soon after the last WATCHDOG=1 it takes lb for dead; None: it does not look. `most_kept`: how
    many descriptors it keeps for the next start (FDSTORE of systemd.exec(5))."""

    def __init__(self, address: str = "", watchdog_ns: int | None = None, most_kept: int = 0) -> None:
        """`address`: a path, or `@` and the name of an abstract socket (unix(7)); others are nobody's."""
        self.hide: Callable[[str], str] = str
        """Takes secrets out of a text."""
        self.watchdog_ns = watchdog_ns
        self.most_kept = most_kept
        self._told_address = address
        self._socket: socket.socket | None = None
        if address[:1] in ("/", "@"):
            self._address = address.replace("@", "\0", 1) if address[0] == "@" else address
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    @classmethod
    def of_environment(cls, environment: MutableMapping[str, str] = os.environ) -> Manager:
        """The one that has started this process, if any. Its variables are gone afterwards."""
        address = environment.pop("NOTIFY_SOCKET", "")
        watchdog_us = environment.pop("WATCHDOG_USEC", "")
        watched = environment.pop("WATCHDOG_PID", "")
        kept = environment.pop("FDSTORE", "")
        is_watched = watchdog_us.isdecimal() and int(watchdog_us) > 0 and watched in ("", str(os.getpid()))
        return cls(address, int(watchdog_us) * 1000 if is_watched else None, int(kept) if kept.isdecimal() else 0)

    def hand_over(self) -> dict[str, Any]:
        """For adopt() in another process."""
        return {"address": self._told_address, "watchdog_ns": self.watchdog_ns, "most_kept": self.most_kept}

    @classmethod
    def adopt(cls, handed_over: Mapping[str, Any]) -> Manager:
        return cls(handed_over["address"], handed_over["watchdog_ns"], handed_over.get("most_kept", 0))

    @property
    def listens(self) -> bool:
        return self._socket is not None

    def tell(self, **assignments: str | int) -> None:
        """One datagram of NAME=VALUE lines. What can't be sent at once is left out."""
        if self._socket is not None:
            lines = (f"{name}={_line(self.hide(str(value)))}" for name, value in assignments.items())
            with contextlib.suppress(OSError):
                self._socket.sendto("\n".join(lines).encode(errors="replace"), self._address)

    def send(self, fds: Sequence[int], lines: str) -> bool:
        """Descriptors, with what is to be done with them. Returns whether they could be sent at once."""
        if self._socket is None:
            return False
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
        try:
            self._socket.sendmsg([lines.encode()], rights, 0, self._address)
        except OSError:
            return False
        return True

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _line(text: str) -> str:
    """Without what would begin another assignment."""
    return "".join(character if character.isprintable() else " " for character in text)[:_LONGEST_BYTES]
