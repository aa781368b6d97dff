"""Rigs that spill into a folder, and what they leave there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import model
from model import TEXT, Frame
from pumping import Rig

from lb.pump import Policy, Recovered, Spill

MAX_BYTES = 1 << 40
HEADER_BYTES, BLOCK_HEADER_BYTES = 32, 32


def numbered(number: int, length: int = 60) -> bytes:
    return b'{"ev":"T","sym":"S%d","i":%d,"pad":"%s"}' % (number % 7, number, b"x" * length)


def sent_as(records: Sequence[bytes]) -> bytes:
    return b"".join(
        model.wire(Frame(TEXT, b"[" + b",".join(records[at : at + 40]) + b"]")) for at in range(0, len(records), 40)
    )


def framed(records: Sequence[bytes]) -> bytes:
    return b"".join(len(record).to_bytes(4, "little") + record for record in records)


def whole_records(stream: bytes) -> list[bytes]:
    """A record whose end is missing is none."""
    records, at = [], 0
    while at + 4 <= len(stream) and (end := at + 4 + int.from_bytes(stream[at : at + 4], "little")) <= len(stream):
        records.append(stream[at + 4 : end])
        at = end
    return records


TRADES = [numbered(number) for number in range(3000)]


@contextmanager
def spilling(
    folder: Path,
    *,
    max_bytes: int = MAX_BYTES,
    segment_bytes: int = 1 << 14,
    pipe_size_bytes: int = 4096,
    **rig: object,
) -> Iterator[Rig]:
    """A rig that spills into this folder."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        spill = Spill(fd, max_bytes, segment_bytes)
        with Rig(policy=Policy.SPILL, spill=spill, pipe_size_bytes=pipe_size_bytes, **rig) as made:  # type: ignore[arg-type]
            yield made
    finally:
        os.close(fd)


def close_all(rig: Rig) -> None:
    """The end of a stop: workers read what is in their pipes."""
    if not rig.has_ended:
        rig.detach()
    rig.begin_drain()
    rig.run()
    for pipe in range(len(rig.read_fds)):
        rig.pump.close_pipe(pipe)
    rig.read_all()
    rig.check_balance()


def spilled_segment(folder: Path, count: int = 40) -> tuple[Path, list[bytes], list[bytes]]:
    """A segment as a killed pump leaves it; which records went into the pipe, and which are in it."""
    with spilling(folder, high_water_bytes=1 << 16, segment_bytes=1 << 20) as rig:
        filler = [numbered(number) for number in range(400)]
        rig.send(sent_as(filler))
        before = rig.pump.pipe_counters(0)
        assert before.waiting_records
        rig.read_all()
        rig.send(b"")
        rig.read_all()
        while rig.pump.pipe_counters(0).waiting_records:
            rig.read_all()
            rig.run()
        rig.read_all()
        rig.send(sent_as([b'{"i":"%s"}' % (b"y" * 5000)]))  # it fills the pipe, and waits in part
        records = [numbered(number, 10) for number in range(count)]
        rig.send(sent_as(records))
        rig.begin_drain()
        rig.run()
        rig.pump.close_pipe(0)
    (file,) = folder.glob("*.spill")
    return file, [b'{"i":"%s"}' % (b"y" * 5000)], records


def recovered(folder: Path) -> tuple[Recovered, list[bytes], Rig]:
    with spilling(folder, high_water_bytes=1 << 16) as rig:
        rig.is_bytewise = False
        found = rig.recover(folder)
        rig.deliver()
        assert not any(Path(folder).iterdir())
        return found, whole_records(bytes(rig.received[0])), rig
