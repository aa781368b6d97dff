"""What a supervisor hands over to the one of another program in the same process, whose children the workers stay.

Law: nothing here starts, ends or signals anybody. A worker that is being started or ended is waited for.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from lb.slots.slot import NEVER_NS, State
from lb.slots.supervisor import Supervisor


def is_settled(supervisor: Supervisor) -> bool:
    """Whether no worker is being started or ended: only then can another program take the slots over."""
    return not supervisor.orders.are_open and all(slot.state is State.EMPTY or slot.runs for slot in supervisor.slots)


def hand_over(supervisor: Supervisor) -> dict[str, Any]:
    """To be settled."""
    return {
        "slots": [slot.hand_over() for slot in supervisor.slots],
        "stuck_total": supervisor.stuck_total,
        "failures_total": supervisor.failures_total,
        "has_run": supervisor.has_run,
        "standstills": supervisor._watch.hand_over(),
    }


def adopt(supervisor: Supervisor, handed_over: Mapping[str, Any]) -> None:
    """Instead of start(). Who has ended meanwhile is seen by the next reap()."""
    supervisor.stuck_total, supervisor.failures_total = handed_over["stuck_total"], handed_over["failures_total"]
    supervisor._has_run = handed_over["has_run"]
    supervisor._watch.adopt(handed_over["standstills"])
    for slot, of_slot in zip(supervisor.slots, handed_over["slots"], strict=True):
        slot.adopt(of_slot)
        if slot.channel is not None:
            supervisor._wake_ups.watch(slot.channel.fileno(), partial(supervisor._hear, slot))
            if supervisor._redelivery is not None:
                supervisor._redelivery.go_on(slot)
        if slot.runs:
            supervisor._by_pid[slot.pid] = slot
        if slot.restart_ns < NEVER_NS:
            supervisor._due.add(slot, slot.restart_ns)


def mark(supervisor: Supervisor) -> object:
    """Another one where a worker has been started, or has ended."""
    return [(slot.pid, slot.state) for slot in supervisor.slots]


def bequeath(supervisor: Supervisor) -> dict[str, Any]:
    """At any time, for inherit() in another process, whose children the workers are not."""
    totals = {"stuck_total": supervisor.stuck_total, "failures_total": supervisor.failures_total}
    return {"slots": [slot.bequeath() for slot in supervisor.slots], **totals}


def inherit(supervisor: Supervisor, left: Mapping[str, Any]) -> None:
    """Instead of start(): every worker is to be started, and its pipes may begin with the rest of a record."""
    supervisor.stuck_total, supervisor.failures_total = left["stuck_total"], left["failures_total"]
    supervisor._has_run = True
    for slot, of_slot in zip(supervisor.slots, left["slots"], strict=True):
        slot.inherit(of_slot)
    supervisor.start()
