"""How lb is, in the few numbers that a service manager shows. Law: values and words; no clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Condition:
    """At one moment."""

    is_ready: bool
    """The feed has let lb in and acknowledged what it is to send, and a worker runs in every slot."""
    session: str
    """State of the session in a word: open, waiting ..."""
    tls: str
    received_bytes: int
    records: int
    """Received in all."""
    socket_bytes: int
    held_bytes: int
    """What stands in pipes and waits for them."""
    is_held_up: bool
    """A full pipe stops the reading."""
    lag_ms: float | None
    """Of the last records, the median."""
    running: int
    """Workers."""
    slots: int

    def line(self, records_per_s: float) -> str:
        """For people."""
        workers = f"{self.running} of {self.slots} workers"
        if self.session != "open":
            return f"no session ({self.session}), {workers}"
        lag = "" if self.lag_ms is None else f"lag {self.lag_ms:.1f} ms, "
        held_up = ", a full pipe stops the reading" if self.is_held_up else ""
        tls = "" if self.tls == "none" else f", {self.tls}"
        return f"{records_per_s:,.0f} records/s, {lag}backlog {self.held_bytes / 1e6:,.1f} MB, {workers}{tls}{held_up}"
