"""Memory that a long record has touched is given back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from model import PING, TEXT, Frame
from pumping import Rig

from lb.pump import Source
from lb.pump._pump import ffi

LONG_BYTES = 4 << 20
MARK_BYTES = 1 << 16
PIPES = 8
KEPT_BYTES = (2 << 20) + PIPES * (MARK_BYTES + 8192)
"""What the input keeps, and of each outbox what may wait; the pump's own part is less than 100 kB."""


def resident_bytes(rig: Rig) -> int:
    """Of the pump's mapping."""
    address = int(ffi.cast("uintptr_t", rig.pump._pump))
    mappings = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text(), flags=re.MULTILINE)
    (mapping,) = (text for text in mappings[1:] if int(text.split("-")[0], 16) <= address < _end_of(text))
    rss = re.search(r"^Rss: +(\d+) kB$", mapping, re.MULTILINE)
    assert rss is not None
    return int(rss[1]) * 1024


def _end_of(mapping: str) -> int:
    return int(mapping.split("-")[1].split()[0], 16)


def long_record(number: int) -> bytes:
    return b'{"ev":"T","sym":"S%d","pad":"' % number + b"x" * LONG_BYTES + b'"}'


def framed(record: bytes) -> bytes:
    return len(record).to_bytes(4, "little") + record


def read_until_nothing_waits(rig: Rig) -> None:
    while any(rig.pump.pipe_counters(pipe).waiting_bytes for pipe in range(PIPES)):
        rig.read_all()
        rig.send(b"")


@pytest.mark.parametrize("source", [Source.SOCKET, Source.CALLER])
def test_long_records_leave_nothing_behind(source: Source) -> None:
    records = [long_record(pipe) for pipe in range(PIPES)]
    with Rig(pipes=PIPES, source=source, max_frame_bytes=2 * LONG_BYTES, high_water_bytes=MARK_BYTES) as rig:
        others = resident_bytes(rig)  # the kernel shows neighbouring mappings of one kind as one
        for _ in range(2):
            rig.send_frames(Frame(TEXT, b"[" + record + b"]") for record in records)
            assert resident_bytes(rig) - others > PIPES * LONG_BYTES  # all stand in their outboxes at once
            read_until_nothing_waits(rig)
            rig.send_frames([Frame(PING, b"")])  # the next read gives the input's back
            assert resident_bytes(rig) - others <= KEPT_BYTES
        rig.read_all()
        is_same = rig.received == [framed(record) * 2 for record in records]
        assert is_same  # pytest would spell out how they differ
