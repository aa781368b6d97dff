"""How fast records go to the disk and come back: the pump alone, with one pipe that nobody reads at first."""

import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from harness import feed
from harness.errors import TrialError
from harness.faults import row
from harness.rows import Terms
from lb.pump import Layout, Policy, Pump, Route, Source, Spill
from lb.slots.pipes import enlarge

SPILL = "spill, million records/s to disk and back, one pipe"

_RECORDS = 3_000_000
_PIPE_BYTES = 1 << 20
_MARK_BYTES = 8 << 20
_SEGMENT_BYTES = 16 << 20


@row(SPILL)
def spill(terms: Terms) -> list[float]:
    """All are put on disk, then all are read back and written to the pipe; the reader's copying counts, too."""
    market = feed.synthetic(terms.build, "160", 20)
    passes = max((10 * len(market.records) if terms.quick else _RECORDS) // len(market.records), 1)
    return [_round(terms.build, market, passes) for _ in range(terms.rounds)]


def _round(build: Path, market: feed.Feed, passes: int) -> float:
    sent = market.path.read_bytes()
    expected = b"".join(len(record).to_bytes(4, "little") + record for record in market.records)
    records = passes * len(market.records)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=build, prefix="spill-"))
        folder_fd = os.open(folder, os.O_RDONLY)
        read_fd, write_fd = os.pipe2(os.O_NONBLOCK)
        for fd in (folder_fd, read_fd, write_fd):
            stack.callback(os.close, fd)
        enlarge(write_fd, _PIPE_BYTES)
        pump = Pump(
            pipe_fds=[write_fd],
            route=Route.ROUND_ROBIN,
            layout=Layout.POLYGON,
            max_frame_bytes=_PIPE_BYTES,
            high_water_bytes=_MARK_BYTES,
            wake_fd=folder_fd,
            stall_ns=1 << 62,
            spill=Spill(folder_fd, 1 << 40, _SEGMENT_BYTES),
        )
        pump.set_policy(0, Policy.SPILL)
        pump.attach(Source.CALLER, -1)
        elapsed_s = sum(_feed(pump, sent) for _ in range(passes))
        elapsed_s += _read_back(pump, read_fd, expected, passes)
        counted = pump.pipe_counters(0)
        if (counted.written_total, counted.damaged_total) != (records, 0) or 2 * counted.spilled_total < records:
            raise TrialError(f"{records} records were to go to the disk and back: {counted}")
    return records / elapsed_s / 1e6


def _feed(pump: Pump, sent: bytes) -> float:
    """Returns the seconds in the pump."""
    elapsed_s, at = 0.0, 0
    while at < len(sent):
        room = pump.room()
        piece = sent[at : at + min(len(room), 1 << 18)]
        room[: len(piece)] = piece
        at += len(piece)
        began_s = time.perf_counter()
        pump.fed(len(piece))
        pump.run(0)
        elapsed_s += time.perf_counter() - began_s
    return elapsed_s


def _read_back(pump: Pump, read_fd: int, expected: bytes, passes: int) -> float:
    """Returns the seconds in the pump and in reading; TrialError where one byte is another."""
    buffer = bytearray(_PIPE_BYTES)
    elapsed_s, at, left = 0.0, 0, passes * len(expected)
    while left:
        began_s = time.perf_counter()
        pump.run(0)
        try:
            got = os.readv(read_fd, [buffer])
        except BlockingIOError:
            got = 0
        elapsed_s += time.perf_counter() - began_s
        left -= got
        if got == 0:
            raise TrialError(f"{left} bytes did not come back: {pump.pipe_counters(0)}")
        seen = memoryview(buffer)[:got]
        while seen:
            here = min(len(seen), len(expected) - at)
            if seen[:here] != memoryview(expected)[at : at + here]:
                raise TrialError(f"other bytes came back, {left} before the end")
            at = (at + here) % len(expected)
            seen = seen[here:]
    return elapsed_s
