"""Process groups of workers: signalled, and watched until nothing of them is left. Law: nothing here waits."""

from __future__ import annotations

import contextlib
import os
import signal


def ended_child() -> int | None:
    """The pid of a child that has ended, which stays to be reaped."""
    try:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if ended is None else ended.si_pid


def is_gone(group: int) -> bool:
    """Whether all of a killed group has ended and was reaped. Orphans of it are our children (lb/slots/spawn)."""
    try:
        os.waitid(os.P_PGID, group, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


def send(group: int, number: signal.Signals) -> bool:
    """Send a signal to what there is of a group. False: there is something, and all of it is another user's."""
    try:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)
    except PermissionError:
        return False
    return True
