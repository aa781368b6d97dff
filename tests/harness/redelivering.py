"""`lb --redeliver` with workers that are killed."""

from __future__ import annotations

import os
import signal
from typing import Any

from harness.lb_process import Lb

REDELIVER = ("--redeliver", "--spawn", "per-pipe")
LITTLE = ("--retain", "300000")
"""So that a test has not much to finish at its end."""
AT_ONCE = {"lb.slots.supervisor.BRIEF_S": 0.0}
"""No back-off for those that have read something."""


def kill_in_full_flight(lb: Lb, pipes: int, times: int) -> None:
    """Kill one worker after the other, each when its pipe's acknowledgements have moved since it was started."""
    pids = {int(line["slot"]): int(line["pid"]) for line in (lb.await_line("worker started") for _ in range(pipes))}
    acknowledged = [0] * pipes
    for turn in range(times):
        pipe = turn % pipes
        while (now := lb.balance()["acknowledged"][pipe]) <= acknowledged[pipe]:
            pass
        acknowledged[pipe] = now
        os.kill(pids[pipe], signal.SIGKILL)
        pids[pipe] = int(lb.await_line("worker started", slot=pipe)["pid"])


def assert_nothing_lost(balance: dict[str, Any], received: int) -> None:
    assert balance["exact"] is True
    assert balance["received"] == balance["written"] == received
    assert sum(balance["acknowledged"]) == received
    assert sum(balance["unacknowledged"]) == sum(balance["unacknowledged_bytes"]) == balance["waiting"] == 0
