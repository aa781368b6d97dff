"""What an lb that was killed has left: workers that read their pipes to the end, if they are given the time. The unit
runs it, as `python3 -m lb.setup.workers`, before systemd kills them.

Law: sees the control group of its own service, and only waits; imports nothing of lb, for it runs at every end.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

LOOK_S = 0.1
LONGEST_S = 5.0
"""Nothing is received until they have ended, and lb has started again."""


def await_workers(root: Path = Path("/"), longest_s: float = LONGEST_S) -> int:
    """Until no other process is left in the control group of this one. Returns how many are, after `longest_s`.

    `root`: where /proc and /sys are looked for.
    """
    until_s = time.monotonic() + longest_s
    while (left := len(_others(root))) and time.monotonic() < until_s:
        time.sleep(LOOK_S)
    return left


def _others(root: Path) -> list[int]:
    """None where there is no unified hierarchy to look at (cgroups(7))."""
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
        (path,) = (line.removeprefix("0::/") for line in groups if line.startswith("0::/"))
        pids = (root / "sys/fs/cgroup" / path / "cgroup.procs").read_text().split()
    except (OSError, ValueError):
        return []
    return [int(pid) for pid in pids if int(pid) != os.getpid()]


if __name__ == "__main__":
    if left := await_workers():
        print(f"<4>lb was killed, and {left} of its processes did not end within {LONGEST_S:g} s")
