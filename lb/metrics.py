"""What the counters say, as the values of log lines. Law: reads, never counts itself."""

from __future__ import annotations

from dataclasses import dataclass

from lb.pump import Counters, PipeCounters

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
            "full": now.full_total,
            **_listed("backlog_bytes", self.backlog_bytes),
            "reconnects": max(self.sessions_total - 1, 0),
            "restarts": self.restarts_total,
            "tls": self.tls,
        }

    def balance(self) -> dict[str, object]:
        """Every record accounted for: received is counted at the cut, delivered at the write, waiting in the
        outboxes."""
        received = self.counters.records_total
        delivered = sum(pipe.written_total for pipe in self.pipes)
        waiting = sum(pipe.waiting_records for pipe in self.pipes)
        return {
            "received": received,
            "delivered": delivered,
            "waiting": waiting,
            "exact": received == delivered + waiting,
            **_listed("per_pipe", [pipe.written_total for pipe in self.pipes]),
        }


def _listed(name: str, values: list[int]) -> dict[str, object]:
    if len(values) <= _LISTED_PIPES:
        return {name: values}
    return {f"{name}_least": min(values), f"{name}_most": max(values), f"{name}_sum": sum(values)}
