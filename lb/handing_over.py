"""What the whole of a balancer leaves to the program that takes its process over (docs/upgrade.md).

Law: each part says what of it goes on and takes that up again; here is only which parts there are, and which
descriptors stay open. What wakes us, the readers' epoll instance and the page's process are made anew.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from lb import handover, logs
from lb.config import Config
from lb.control import Listener
from lb.desk import Desk
from lb.feed import succession as feed
from lb.feed.keeper import Keeper
from lb.handover import Way
from lb.page import Page
from lb.pump import Pump, account
from lb.reporter import Reporter
from lb.service import Manager, Service
from lb.signals import CAUGHT
from lb.slots import succession as slots
from lb.slots.allowance import Allowance
from lb.slots.pipes import Pipes
from lb.slots.redelivery import Redelivery
from lb.slots.spill import SpillFolder
from lb.slots.supervisor import Supervisor
from lb.stand_in import StandIn
from lb.version import VERSION


@dataclass(frozen=True)
class Parts:
    """Of a balancer."""

    config: Config
    words: Sequence[str]
    manager: Manager
    allowance: Allowance
    listener: Listener | None
    page: Page | None
    pipes: Pipes
    pump: Pump
    folder: SpillFolder | None
    redelivery: Redelivery | None
    supervisor: Supervisor
    keeper: Keeper
    desk: Desk
    reporter: Reporter
    service: Service
    high_water_bytes: int
    began_ns: int


def unsettled(parts: Parts, way: Way) -> str | None:
    """What is to come to its end before another program can take over."""
    if not feed.is_settled(parts.keeper, keeps=way is Way.MAPPING):
        is_stopped = parts.pump.counters().stopped
        return "a full pipe that stops the reading" if is_stopped else "the session's opening, or its end,"
    if not slots.is_settled(parts.supervisor):
        return "a worker's start, or its end,"
    return None if parts.desk.is_settled else "an answer to a program on the control socket"


def jump(parts: Parts, obey: Callable[[], object], estate: Callable[[], Mapping[str, Any] | None], way: Way) -> None:
    """The installed program takes the process over. Returns where `obey`, which does what signals ask for, has left
    something unsettled. `estate`: what that hands over. Raises OSError."""
    began_ns = time.monotonic_ns()
    # A signal from here on waits for the other program: by default it would end the process.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, CAUGHT)
    try:
        obey()
        if unsettled(parts, way) is None:
            with parts.service.standing_still():
                _leave(parts, began_ns, estate(), way)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _leave(parts: Parts, began_ns: int, estate: Mapping[str, Any] | None, way: Way) -> None:
    document = {**_document(parts), "jumped_ns": began_ns, "estate": estate}
    with ExitStack() as stack:
        left = _leave_account(parts, stack) if way is Way.ACCOUNT else _leave_mapping(parts, stack)
        fds = [*_fds(parts), *left.pop("fds"), *([] if estate is None else [estate["document_fd"]])]
        own = {**left, "fds": fds}
        document_fd = handover.leave({**document, **own})
        stack.callback(os.close, document_fd)
        handover.jump(document_fd, fds)


def _leave_mapping(parts: Parts, stack: ExitStack) -> dict[str, Any]:
    """A stand-in goes on with the pump until the other program has begun."""
    stand_in = StandIn(parts.pump)
    stack.callback(stand_in.stop)
    return {
        "pump_fd": parts.pump.memory_fd,
        "stand_in": stand_in.hand_over(),
        "fds": [parts.pump.memory_fd, stand_in.stop_fd],
    }


def _leave_account(parts: Parts, stack: ExitStack) -> dict[str, Any]:
    told, content = account.tell(parts.pump, parts.desk.reader_numbers)
    file = stack.enter_context(os.fdopen(os.memfd_create("lb account"), "wb"))
    file.write(content)
    file.flush()
    return {"account": told, "account_fd": file.fileno(), "fds": [file.fileno()]}


def take_account(pump: Pump, document: Mapping[str, Any]) -> None:
    """Where that is what the program before has left of its pump: this one, which is new, goes on with it."""
    if "account" in document:
        with os.fdopen(document["account_fd"], "rb") as file:
            file.seek(0)
            account.take(pump, document["account"], file.read())


def _document(parts: Parts) -> dict[str, Any]:
    return {
        "from": VERSION,
        "began_ns": parts.began_ns,
        "words": list(parts.words),
        "key": parts.config.key.hand_over(),
        "log_level": logs.level().value,
        "manager": parts.manager.hand_over(),
        "allowance": parts.allowance.hand_over(),
        "listener": None if parts.listener is None else parts.listener.hand_over(),
        "page_fd": None if parts.page is None else parts.page.fileno(),
        "pipes": parts.pipes.hand_over(),
        "high_water_bytes": parts.high_water_bytes,
        "spill_fd": None if parts.folder is None else parts.folder.fileno(),
        "redelivery": None if parts.redelivery is None else parts.redelivery.hand_over(),
        "slots": slots.hand_over(parts.supervisor),
        "keeper": feed.hand_over(parts.keeper),
        "desk": parts.desk.hand_over(),
        "reporter": parts.reporter.hand_over(),
        "service": parts.service.hand_over(),
    }


def _fds(parts: Parts) -> Iterator[int]:
    """What stays open, but for what is standard."""
    yield from (*parts.pipes.read_fds, *parts.pipes.write_fds, *parts.desk.fds)
    yield from (slot.channel.fileno() for slot in parts.supervisor.slots if slot.channel is not None)
    if parts.listener is not None:
        yield from parts.listener.hand_over().values()
    if parts.folder is not None:
        yield parts.folder.fileno()
    if (session := feed.settled_session(parts.keeper)) is not None:
        yield session.fileno()


def adopt(parts: Parts, document: Mapping[str, Any], stopped_ns: int) -> None:
    """Go on where the program before has left off. Its pipes, pump and sockets are in `parts` already; `stopped_ns`:
    when the stand-in was stopped, where there was one."""
    slots.adopt(parts.supervisor, document["slots"])
    feed.adopt(parts.keeper, document["keeper"], parts.pump.go_on)
    is_kept = feed.settled_session(parts.keeper) is not None
    if not is_kept:
        parts.pump.detach()
    answer = {"from": document["from"], "version": VERSION, "session": "kept" if is_kept else "opened anew"}
    parts.desk.adopt(document["desk"], answer)
    parts.reporter.adopt(document["reporter"])
    parts.service.adopt(document["service"])
    now_ns, jumped_ns = time.monotonic_ns(), document["jumped_ns"]
    began_ns = stopped_ns if "stand_in" in document else jumped_ns
    logs.info("upgraded", **answer, took_s=(now_ns - jumped_ns) / 1e9, stood_still_s=(now_ns - began_ns) / 1e9)
