"""The worker's counts, read from the file it maps. The layout is csrc/tally.h; times are CLOCK_MONOTONIC in ns."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

_SUB_BITS = 5
_BUCKETS = 36 << _SUB_BITS
_LAYOUT = struct.Struct(f"=8Q{_BUCKETS}Q")


@dataclass(frozen=True)
class Tally:
    pid: int
    pipe_size_bytes: int
    bytes: int
    reads: int
    first_ns: int
    last_ns: int
    records: int
    latency_max_ns: int
    latency_buckets: tuple[int, ...]

    def percentile_ns(self, share: float) -> float:
        """The latency that `share` (0 to 1) of the records do not exceed, to within a bucket's width of 3.2 %."""
        wanted = share * sum(self.latency_buckets)
        for bucket, count in enumerate(self.latency_buckets):
            wanted -= count
            if wanted <= 0:
                return min(_bucket_middle_ns(bucket), float(self.latency_max_ns))
        return float(self.latency_max_ns)


def read(path: Path) -> Tally | None:
    """The counts at this moment; None until the worker is ready."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(data) < _LAYOUT.size:
        return None
    pid, pipe_size, size, reads, first, last, records, latency_max, *buckets = _LAYOUT.unpack(data)
    if not pid:
        return None
    return Tally(pid, pipe_size, size, reads, first, last, records, latency_max, tuple(buckets))


def merged(tallies: Sequence[Tally]) -> Tally:
    """The latencies of all; the rest is the first's."""
    buckets = zip(*(each.latency_buckets for each in tallies), strict=True)
    most_ns = max(each.latency_max_ns for each in tallies)
    return replace(tallies[0], latency_buckets=tuple(map(sum, buckets)), latency_max_ns=most_ns)


def _bucket_middle_ns(bucket: int) -> float:
    shift = max(0, (bucket >> _SUB_BITS) - 1)
    return ((bucket - (shift << _SUB_BITS)) + (0.5 if shift else 0)) * (1 << shift)
