"""`systemctl restart` keeps the session, `systemctl stop` ends it; both begin alike, and only systemd knows which it
is. The unit asks here (ExecStop): `python3 -m lb.setup.restart UNIT PID COMMAND...`, as the next start has the command.

Law: lb is told to leave only where a start follows, and with the same command, for another one could not go on with
what is left. Otherwise nothing is done, and systemd stops lb. Imports nothing of lb, for it runs at every stop.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

LEAVE = signal.SIGUSR2


def leave_for_a_restart(unit: str, pid: int, command: Sequence[str]) -> None:
    """Returns once it is gone, where it is to leave. Raises OSError."""
    process_fd = os.pidfd_open(pid)
    try:
        if is_called_so(pid, command) and is_restarted(unit):
            signal.pidfd_send_signal(process_fd, LEAVE)
            select.select([process_fd], [], [])  # systemd waits no longer than for any stop
    finally:
        os.close(process_fd)


def is_called_so(pid: int, command: Sequence[str]) -> bool:
    """Behind the interpreter. A word that was wiped, as a key is, is another one."""
    words = [os.fsdecode(word) for word in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]]
    return words[len(words) - len(command) :] == list(command)


def is_restarted(unit: str) -> bool:
    """Whether systemd starts it again, once it has stopped: then its job is one of restart until that."""
    listed = subprocess.run(
        ["systemctl", "list-jobs", "--no-legend", "--plain", unit], capture_output=True, text=True, check=False
    )
    return any(line.split()[1:3] == [unit, "restart"] for line in listed.stdout.splitlines())


if __name__ == "__main__" and sys.argv[2]:  # otherwise it has ended by itself
    leave_for_a_restart(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
