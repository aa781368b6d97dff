"""What the counters say, as the values of log lines. Law: reads, never counts itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lb.pump import Counters, PipeCounters, Unread

_LISTED_PIPES = 16
"""Up to this many pipes a line names each one's backlog; beyond, the least, the most and the sum."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of the balancer at one moment (CLOCK_MONOTONIC)."""

    taken_ns: int
    counters: Counters
    pipes: list[PipeCounters]
    backlog_bytes: list[int]
    sessions_total: int
    restarts_total: int
    tls: str
    stuck: int = 0
    """Workers that do not read what their pipes hold."""
    stuck_total: int = 0
    gaps_total: int = 0
    takeovers_total: int = 0
    """Of the sessions: begun where the one before had not left a gap."""
    gap_s: float = 0.0
    """Between the sessions: from the last record of one to the first of the next."""
    retains: bool = False
    """Records stay in lb until they are acknowledged."""
    socket_bytes: int = 0
    """What the session's socket holds that was not read yet."""
    counted: list[int] | None = None
    """Of each pipe: the records that wait, counted one by one; where the balance is to be proven."""
    unread: list[Unread] | None = None
    """At the end, when no worker is left: what stood in each pipe."""

    def hand_over(self) -> dict[str, Any]:
        """For adopt() in another process; without what proves it."""
        return {**dataclasses.asdict(self), "counted": None, "unread": None}

    @classmethod
    def adopt(cls, handed_over: Mapping[str, Any]) -> Snapshot:
        pipes = [PipeCounters(**pipe) for pipe in handed_over["pipes"]]
        return cls(**{**handed_over, "counters": Counters(**handed_over["counters"]), "pipes": pipes})

    def statistics(self, before: Snapshot) -> dict[str, object]:
        """The values of a line of statistics; rates are over the time since `before`."""
        now = self.counters
        elapsed_s = (self.taken_ns - before.taken_ns) / 1e9
        fresh = now.records_total - before.counters.records_total
        return {
            "records": now.records_total,
            "records_per_s": round(fresh / elapsed_s),
            "bytes": now.received_bytes_total,
            "reads": now.reads_total,
            "frames": now.frames_total,
            "records_fast": now.records_total - now.records_exact_total,
            "records_exact": now.records_exact_total,
            "malformed": now.malformed_total,
            "skipped_elements": now.skipped_elements_total,
            "skipped_bytes": now.skipped_bytes_total,
            "full": now.full_total,
            **_listed("waiting", [pipe.waiting_records for pipe in self.pipes]),
            **_listed("waiting_bytes", [pipe.waiting_bytes for pipe in self.pipes]),
            **_listed("spilled", [pipe.spilled_records for pipe in self.pipes]),
            "spill_bytes": now.spill_disk_bytes,
            **_listed("dropped", [pipe.dropped_total for pipe in self.pipes]),
            **self._acknowledgement(),
            **_listed("backlog_bytes", self.backlog_bytes),
            "socket_bytes": self.socket_bytes,
            "reconnects": max(self.sessions_total - 1 - self.takeovers_total, 0),
            "takeovers": self.takeovers_total,
            "gaps_total": self.gaps_total,
            "gap_s": self.gap_s,
            "restarts": self.restarts_total,
            "stuck": self.stuck,
            "stuck_total": self.stuck_total,
            "tls": self.tls,
        }

    def status(self, capacity_bytes: Sequence[int], full_in_s: Sequence[float | None]) -> dict[str, object]:
        """All that is counted, per pipe, too. Of each pipe: what it and lb together can hold, and when that is full."""
        of_pipes = zip(self.pipes, self.backlog_bytes, self.held_bytes(), capacity_bytes, full_in_s, strict=True)
        return {
            "restarts_total": self.restarts_total,
            "stuck": self.stuck,
            "stuck_total": self.stuck_total,
            "input_age_s": self._input_age_s(),
            "balance": self.balance(),
            "counters": _members(self.counters),
            "pipes": [
                {
                    "pipe": number,
                    "backlog_bytes": backlog,
                    "held_bytes": held,
                    "capacity_bytes": capacity,
                    "full_in_s": left_s,
                    **_members(pipe),
                }
                for number, (pipe, backlog, held, capacity, left_s) in enumerate(of_pipes)
            ],
        }

    def _input_age_s(self) -> float | None:
        """Since when no byte has come, or reading stands still; None before the first."""
        last_ns = self.counters.last_input_ns
        return round((self.taken_ns - last_ns) / 1e9, 3) if last_ns else None

    def balance(self) -> dict[str, object]:
        """Every record accounted for: received is counted at the cut, written when it stands in its pipe whole, waiting
        in the outboxes, spilled on disk, recovered from there at the start, dropped where a pipe's policy says so or
        the disk has damaged it. At the end also unread: written, and taken by nobody. It is exact where all counts
        agree, those of `counted`, too, if there are any.
        `per_pipe` is what was written; the others are listed, too, where there are any."""
        received = self.counters.records_total
        recovered = sum(pipe.recovered_total for pipe in self.pipes)
        written = sum(pipe.written_total for pipe in self.pipes)
        spilled = sum(pipe.spilled_records for pipe in self.pipes)
        waiting = [pipe.waiting_records for pipe in self.pipes]
        dropped = sum(pipe.dropped_total for pipe in self.pipes)
        unread = {} if self.unread is None else {"unread": sum(pipe.records for pipe in self.unread)}
        return {
            "received": received,
            "recovered": recovered,
            "written": written,
            "waiting": sum(waiting),
            "spilled": spilled,
            "dropped": dropped,
            **unread,
            "exact": received + recovered == written + sum(waiting) + spilled + dropped
            and all(map(_is_exact, self.pipes))
            and self.counted in (None, waiting),
            **_listed("per_pipe", [pipe.written_total for pipe in self.pipes]),
            **_listed_if_any("waiting_per_pipe", waiting),
            **_listed_if_any("recovered_per_pipe", [pipe.recovered_total for pipe in self.pipes]),
            **_listed_if_any("spilled_per_pipe", [pipe.spilled_records for pipe in self.pipes]),
            **_listed_if_any("dropped_per_pipe", [pipe.dropped_total for pipe in self.pipes]),
            **self._acknowledgement(),
        }

    def _acknowledgement(self) -> dict[str, object]:
        """Of what was written: acknowledged or not. Redelivered is what was written more than once, each time."""
        if not self.retains:
            return {}
        return {
            **_listed("acknowledged", [pipe.acknowledged_total for pipe in self.pipes]),
            **_listed("unacknowledged", [pipe.unacknowledged_records for pipe in self.pipes]),
            **_listed("unacknowledged_bytes", [pipe.unacknowledged_bytes for pipe in self.pipes]),
            **_listed("redelivered", [pipe.redelivered_total for pipe in self.pipes]),
        }

    def spilled(self) -> dict[str, int]:
        """What is on disk, if there is anything."""
        records = [pipe.spilled_records for pipe in self.pipes if pipe.spilled_records]
        return {"records": sum(records), "pipes": len(records)} if records else {}

    def held_bytes(self) -> list[int]:
        """Of each pipe: what it holds, and what waits for it; or where records are retained, all that is kept."""
        if self.retains:
            return [pipe.waiting_bytes + pipe.unacknowledged_bytes for pipe in self.pipes]
        return [pipe.waiting_bytes + held for pipe, held in zip(self.pipes, self.backlog_bytes, strict=True)]

    def undelivered(self) -> Iterator[dict[str, int]]:
        """Of each pipe whose records did not all reach a worker, or were not all acknowledged where they are retained:
        how many, and where they were left."""
        for number, (pipe, unread) in enumerate(zip(self.pipes, self.unread or [], strict=False)):
            unacknowledged = {"unacknowledged": pipe.unacknowledged_records} if self.retains else {}
            if pipe.waiting_records or unread.bytes or pipe.unacknowledged_records:
                yield {
                    "pipe": number,
                    "records": pipe.waiting_records + max(unread.records, pipe.unacknowledged_records),
                    "waiting": pipe.waiting_records,
                    "unread": unread.records,
                    "unread_bytes": unread.bytes,
                    **unacknowledged,
                }


def _members(counters: Counters | PipeCounters) -> dict[str, object]:
    """Flat, and so without what makes dataclasses.asdict() cost microseconds: of each pipe, every second."""
    return {name: getattr(counters, name) for name in counters.__slots__}


def _is_exact(pipe: PipeCounters) -> bool:
    kept = pipe.written_total + pipe.waiting_records + pipe.spilled_records
    return pipe.records_total + pipe.recovered_total == kept + pipe.dropped_total


def _listed_if_any(name: str, values: list[int]) -> dict[str, object]:
    return _listed(name, values) if any(values) else {}


def _listed(name: str, values: list[int]) -> dict[str, object]:
    if len(values) <= _LISTED_PIPES:
        return {name: values}
    return {f"{name}_least": min(values), f"{name}_most": max(values), f"{name}_sum": sum(values)}
