"""New workers in all slots of a running lb: at once, or one by one. Law: asks and looks; lb knows what a restart is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from trade_balancer.control import Control
from trade_balancer.errors import RefusedError

WITHIN_S = 30.0
"""How long a new worker may take until it is there."""
STANDS_S = 1.0
"""One that never says READY is there when it has run for so long."""
_LOOK_S = 0.05

Slot = Mapping[str, Any]


def restart_all(control: Control) -> None:
    """Raises RefusedError, as restart_one_by_one() does."""
    for slot in _slots(control):
        control.ask("restart", {"slot": slot["slot"]})


def restart_one_by_one(control: Control) -> None:
    """The next only when the one before is there, so that all but one of the workers read at any time.

    Raises RefusedError where lb refuses, or a new worker is not there within WITHIN_S or ends: the slots behind it
    keep the workers that they have.
    """
    before = _slots(control)
    for old in before:
        control.ask("restart", {"slot": old["slot"]})
        began_s = time.monotonic()
        while not _is_there(old, new := _slots(control)[old["slot"]]):
            late = time.monotonic() - began_s > WITHIN_S
            if late or _has_ended(old, new):
                raise RefusedError("not-possible", _told(new, len(before)))
            time.sleep(_LOOK_S)
        print(f"slot {new['slot']}: pid {old['pid']} -> {new['pid']}", flush=True)


def _slots(control: Control) -> list[Slot]:
    return list(control.ask("status")["slots"])


def _is_there(old: Slot, new: Slot) -> bool:
    if new["pid"] in (None, old["pid"]) or new["starts_total"] == old["starts_total"]:
        return False
    return bool(new["ready_total"] > old["ready_total"] or (old["ready_total"] == 0 and new["ran_s"] >= STANDS_S))


def _has_ended(old: Slot, new: Slot) -> bool:
    """Whether a worker behind the old one has."""
    ends_before = sum(old["ends_total"].values()) + (old["pid"] is not None)
    return bool(sum(new["ends_total"].values()) > ends_before)


def _told(new: Slot, slots: int) -> str:
    last = {key: value for key, value in (new["last_end"] or {}).items() if value is not None}
    end = ", ".join(f"{key} {value}" for key, value in last.items())
    kept = f"; slots {new['slot'] + 1} to {slots - 1} keep theirs" if new["slot"] + 1 < slots else ""
    return f"slot {new['slot']}: the new worker is not there: {new['state']}, the last one ended with {end}{kept}"
