"""A slot: a numbered place for a worker, which comes and goes while the slot and its pipes stay."""

from __future__ import annotations

import enum
import signal
import time
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from lb.backoff import Backoff
from lb.slots.channel import Channel
from lb.slots.crashes import Crashes
from lb.slots.spawn import Order
from lb.slots.standstill import Still

NEVER_NS = 1 << 62

_HANDED_OVER = (
    "restart_ns", "starts_total", "unaligned", "pid", "is_held", "is_paused", "is_replaced", "oom_kills_before",
    "started_ns", "ran_s", "last_end", "ends_total", "taken_bytes_before", "stuck_since_ns", "ready_total",
    "unknown_messages_total", "status", "is_excess_told",
)  # fmt: skip
"""What another program that takes the process over is told as it is."""


_OUTLIVES = ("starts_total", "last_end", "ends_total", "ready_total", "unknown_messages_total", "is_excess_told")
"""What whoever comes after a kill is told as it is."""


class State(enum.Enum):
    EMPTY = "no process"
    STARTING = "forked, and does not run its program yet"
    RUNNING = "runs its program"
    STUCK = "runs it, and does not read"
    LEAVING = "ends, or has ended while not all of its group has"


class Event(enum.Enum):
    DUE = "the time to start has come"
    REFUSED = "no process could be made"
    RUNS = "the process runs its program"
    FAILS = "the process can't run its program, says why and ends"
    STICKS = "what its pipes hold has not been read for too long"
    READS = "it is read again"
    ENDS = "the process has ended"
    GONE = "and so has all of its group"


@dataclass
class Slot:
    """What is known of a place, and of the worker that is or was last in it."""

    number: int
    pipe_by_fd: Mapping[int, int]
    """The pipes that are read here, by their read ends."""
    crashes: Crashes
    state: State = State.EMPTY
    backoff: Backoff = field(default_factory=lambda: Backoff(least_s=0.25, most_s=30.0))
    restart_ns: int = NEVER_NS
    starts_total: int = 0
    """Workers that ran their program."""
    unaligned: list[int] = field(default_factory=list)
    """Pipes that may begin with the rest of a record."""
    retired_pipes: int = 0
    """Of its pipes, those into which nothing will be written any more."""

    # of the worker
    pid: int = 0
    """Its process group too, also after its end."""
    order: Order | None = None
    report_fd: int | None = None
    channel: Channel | None = None
    fault: OSError | None = None
    """Why it does not run."""
    is_held: bool = False
    """By what it has left running, and is another user's."""
    is_paused: bool = False
    """By whoever asked for it (SIGSTOP)."""
    is_replaced: bool = False
    """Its end is what was asked for, and no crash."""
    sent: signal.Signals | None = None
    """By lb, for it to end."""
    has_finished: bool = False
    """It has ended as it was to: after its pipes, with exit code 0."""
    oom_kills_before: int | None = None
    """When it was started."""
    started_ns: int = 0
    ran_s: float = 0.0
    last_end: Mapping[str, object] | None = None
    """How the one before it ended; None where there was none."""
    ends_total: Counter[str] = field(default_factory=Counter)
    """Of its workers, by the signal's name or `exit CODE`."""
    taken_bytes_before: int = 0
    """What had been taken from the pipes when it was started."""
    still: Still | None = None
    """The pipe that it has not read for longest, as of the last look."""
    stuck_since_ns: int = 0

    # what the workers have told
    ready_total: int = 0
    unknown_messages_total: int = 0
    status: str = ""
    acknowledged: dict[int, int] = field(default_factory=dict)
    """Records by pipe, of the worker that is or was last here."""
    first_record: dict[int, int] = field(default_factory=dict)
    """By pipe, the number of the first one that this worker gets; only where records are retained."""
    is_excess_told: bool = False
    """It has acknowledged more than it was given."""

    def hand_over(self) -> dict[str, Any]:
        """For adopt() in another process. The slot is EMPTY, RUNNING or STUCK."""
        return {
            **{name: getattr(self, name) for name in _HANDED_OVER},
            "state": self.state.name,
            "sent": None if self.sent is None else int(self.sent),
            "failures": self.backoff.failures,
            "crashes": self.crashes.hand_over(),
            "channel_fd": None if self.channel is None else self.channel.fileno(),
            "acknowledged": list(self.acknowledged.items()),
            "first_record": list(self.first_record.items()),
        }

    def adopt(self, handed_over: Mapping[str, Any]) -> None:
        """Its worker has not noticed anything."""
        for name in _HANDED_OVER:
            setattr(self, name, handed_over[name])
        self.ends_total = Counter(self.ends_total)
        self.state = State[handed_over["state"]]
        self.sent = None if handed_over["sent"] is None else signal.Signals(handed_over["sent"])
        self.backoff.failures = handed_over["failures"]
        self.crashes.adopt(handed_over["crashes"])
        self.channel = None if handed_over["channel_fd"] is None else Channel(handed_over["channel_fd"])
        self.acknowledged = dict(handed_over["acknowledged"])
        self.first_record = dict(handed_over["first_record"])

    def bequeath(self) -> dict[str, Any]:
        """For inherit() in another process, after a kill."""
        told = {name: getattr(self, name) for name in _OUTLIVES}
        return {**told, "failures": self.backoff.failures, "crashes": self.crashes.hand_over()}

    def inherit(self, left: Mapping[str, Any]) -> None:
        """Its worker is gone, and how far it has read is not known."""
        for name in _OUTLIVES:
            setattr(self, name, left[name])
        self.ends_total = Counter(self.ends_total)
        self.backoff.failures = left["failures"]
        self.crashes.adopt(left["crashes"])
        self.unaligned = list(self.pipes)

    @property
    def is_alive(self) -> bool:
        """Whether its worker can be signalled."""
        return self.pid > 0 and self.state in (State.STARTING, State.RUNNING, State.STUCK)

    @property
    def runs(self) -> bool:
        """Whether its worker runs its program."""
        return self.state in (State.RUNNING, State.STUCK)

    @property
    def is_finishing(self) -> bool:
        """Whether its worker is to end by itself: every pipe has its end in sight."""
        return self.retired_pipes == len(self.pipe_by_fd)

    @property
    def pipes(self) -> Collection[int]:
        return self.pipe_by_fd.values()

    def has_ended(self, cause: Mapping[str, object], why: str | None) -> None:
        """Its worker has: by what lb/slots/ending.py calls the cause."""
        self.last_end = {**cause, "ran_s": self.ran_s, "why": why}
        self.ends_total[str(cause["signal"]) if "signal" in cause else f"exit {cause['exit_code']}"] += 1

    def summary(self) -> dict[str, object]:
        """What there is to tell about it."""
        return {
            "slot": self.number,
            "state": self.state.name.lower(),
            "pid": self.pid if self.is_alive else None,
            "paused": self.is_paused,
            "pipes": list(self.pipes),
            "starts_total": self.starts_total,
            "ready_total": self.ready_total,
            "failures": self.backoff.failures,
            "says": self.status,
            "ran_s": round((time.monotonic_ns() - self.started_ns) / 1e9, 3) if self.is_alive else None,
            "ends_total": self.ends_total,
            "last_end": self.last_end,
        }
