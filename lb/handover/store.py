"""The service manager's store of descriptors: what is put there outlives the process, and comes back at the next start.

The protocol is sd_notify(3)'s, and no other: datagrams to $NOTIFY_SOCKET with `FDSTORE=1` and `FDNAME=`, and the
descriptors by SCM_RIGHTS; `FDSTOREREMOVE=1` takes back what has a name. At the next start they are there from number 3
on: LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES (sd_listen_fds(3)). How many are kept says FDSTORE (systemd.exec(5);
before systemd 254 the unit sets it). Any manager that speaks so will do.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, MutableMapping, Sequence

from lb.service import Manager

DOCUMENT, PUMP, PIPES, SESSION = NAMES = ("lb-document", "lb-pump", "lb-pipes", "lb-session")
"""PIPES are both ends of every pipe, in any order: the document tells which is which."""

_FIRST_FD = 3
_MOST_AT_ONCE = 250
"""The kernel sends no more than 253 descriptors with one datagram (SCM_MAX_FD)."""


class Store:
    def __init__(self, manager: Manager) -> None:
        self._manager = manager

    def put(self, name: str, fds: Sequence[int]) -> bool:
        """Returns False where that can't be now: to be tried again. The manager looks at none of them (FDPOLL=0): a
        session that has ended may have more to read."""
        parts = (fds[at : at + _MOST_AT_ONCE] for at in range(0, len(fds), _MOST_AT_ONCE))
        return all(self._manager.send(part, f"FDSTORE=1\nFDPOLL=0\nFDNAME={name}") for part in parts)

    def remove(self, names: Iterable[str] = NAMES) -> bool:
        """As put()."""
        return all(self._manager.send((), f"FDSTOREREMOVE=1\nFDNAME={name}") for name in names)


def take(environment: MutableMapping[str, str] = os.environ) -> Mapping[str, list[int]]:
    """What a start before this one has left, by name. They are this process's alone, and the variables are gone."""
    count, pid, names = (environment.pop(name, "") for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"))
    taken: dict[str, list[int]] = {}
    if pid != str(os.getpid()) or not count.isdecimal():
        return taken
    for fd, name in zip(range(_FIRST_FD, _FIRST_FD + int(count)), names.split(":"), strict=False):
        os.set_inheritable(fd, False)
        if name in NAMES:
            taken.setdefault(name, []).append(fd)
    return taken
