"""What the pump has counted, as it is handed out. Law: values; nothing here counts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counters:
    """What struct pump_counters says; pump.h tells what each is."""

    reads_total: int
    received_bytes_total: int
    frames_total: int
    messages_total: int
    records_total: int
    record_bytes_total: int
    records_exact_total: int
    unwanted_total: int
    notices_total: int
    malformed_total: int
    skipped_elements_total: int
    skipped_bytes_total: int
    cut_off_bytes_total: int
    full_total: int
    pauses_total: int
    last_input_ns: int
    full_pipe: int
    stopped: int
    spill_disk_bytes: int
    spill_refusals_total: int
    spill_errno: int

    @property
    def market_total(self) -> int:
        """Records, whoever gets them."""
        return self.records_total + self.unwanted_total


@dataclass(frozen=True, slots=True)
class PipeCounters:
    """What struct pump_pipe_counters says; pump.h tells what each is."""

    records_total: int
    written_total: int
    written_bytes_total: int
    waiting_records: int
    waiting_bytes: int
    dropped_total: int
    dropped_bytes_total: int
    stopped_ns_total: int
    acknowledged_total: int = 0
    unacknowledged_records: int = 0
    unacknowledged_bytes: int = 0
    redelivered_total: int = 0
    spilled_total: int = 0
    spilled_records: int = 0
    spilled_bytes: int = 0
    recovered_total: int = 0
    damaged_total: int = 0


@dataclass(frozen=True, slots=True)
class Recovered:
    """What struct pump_recovered says; pump.h tells what each is."""

    records: int
    bytes: int
    cut_bytes: int
    is_damaged: int


@dataclass(frozen=True, slots=True)
class ReaderCounters:
    """What struct pump_reader_counters says; pump.h tells what each is."""

    offered_total: int
    delivered_total: int
    delivered_bytes_total: int
    dropped_total: int
    waiting_records: int
    waiting_bytes: int


@dataclass(frozen=True, slots=True)
class Unread:
    """What lay in a pipe when its last reader was gone: see Pump.unread()."""

    records: int
    bytes: int
