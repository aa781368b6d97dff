"""Drain: all that was received is dealt at once, however full pipes are; each pipe is told as its backlog ends."""

from __future__ import annotations

import time

import model
import pytest
from model import TEXT, Frame, Status
from pumping import Rig

from lb.pump import PipeDrained, Source, Vectors, Wake

FAR_NS = 1 << 62
TRADE = b'{"ev":"T","sym":"AAPL","p":1}'
STATUS = b'{"ev":"status","status":"success"}'


def text(*records: bytes) -> bytes:
    return model.wire(Frame(TEXT, b"[" + b",".join(records) + b"]"))


def test_a_stuck_reader_holds_up_no_other() -> None:
    with Rig(pipes=3, pipe_size_bytes=4096, high_water_bytes=1000) as rig:
        rig.feed.send(text(*[TRADE] * 3000))
        rig.run()
        assert rig.pump.counters().stopped
        rig.begin_drain()
        rig.run()
        assert [rig.pump.pipe_counters(pipe).records_total for pipe in range(3)] == [1000] * 3
        assert rig.told == []
        for pipe in (2, 0):
            while PipeDrained(pipe) not in rig.told:
                rig.read(pipe, 1 << 16)
                rig.run_once()
        assert rig.told == [PipeDrained(2), PipeDrained(0)]
        assert rig.pump.run(time.monotonic_ns() + 1_000_000) is Wake.DEADLINE
        assert rig.pump.pipe_counters(1).waiting_records > 0
        rig.drain()
        assert rig.told == [PipeDrained(2), PipeDrained(0), PipeDrained(1)]
        assert {len(received) for received in rig.received} == {1000 * (4 + len(TRADE))}


def test_pipes_for_which_nothing_waits_are_told_at_once() -> None:
    with Rig(pipes=70) as rig:
        rig.pump.drain()
        assert [rig.pump.run(FAR_NS) for _ in range(70)] == [PipeDrained(pipe) for pipe in range(70)]
        assert rig.pump.run(FAR_NS) is Wake.DRAINED
        assert rig.pump.run(FAR_NS) is Wake.DRAINED


def test_no_pipe_is_drained_before_all_is_dealt() -> None:
    """What a notice interrupts may still bring records for a pipe that is empty."""
    with Rig(pipes=2) as rig:
        rig.feed.send(text(STATUS, TRADE))
        rig.run_once()
        rig.begin_drain()
        rig.run()
        assert rig.events == [Status(STATUS)]
        assert [rig.pump.pipe_counters(pipe).records_total for pipe in range(2)] == [1, 0]
        assert rig.told == [PipeDrained(0), PipeDrained(1)]


def test_a_second_drain_changes_nothing() -> None:
    with Rig(pipes=2) as rig:
        rig.pump.drain()
        assert rig.pump.run(FAR_NS) == PipeDrained(0)
        rig.pump.drain()
        assert rig.pump.run(FAR_NS) == PipeDrained(1)
        assert rig.pump.run(FAR_NS) is Wake.DRAINED


@pytest.mark.parametrize("is_closed_before", [True, False])
def test_a_closed_pipe_is_not_waited_for(is_closed_before: bool) -> None:
    with Rig(pipes=2, pipe_size_bytes=4096) as rig:
        rig.feed.send(text(*[TRADE] * 1000))
        rig.run()
        assert not rig.pump.counters().stopped
        if is_closed_before:
            rig.pump.close_pipe(0)
        rig.begin_drain()
        rig.run()
        if not is_closed_before:
            rig.pump.close_pipe(0)
        rig.pump.close_pipe(0)
        waiting = rig.pump.pipe_counters(0)
        rig.drain()
        assert rig.told == [PipeDrained(1)]
        assert rig.pump.pipe_counters(0) == waiting
        assert (waiting.records_total, waiting.waiting_records) == (500, 500 - waiting.written_total)
        assert waiting.waiting_records > 0


def test_a_closed_pipe_gets_nothing_that_is_dealt_to_it() -> None:
    with Rig(pipes=2) as rig:
        rig.send(text(TRADE, TRADE))
        rig.pump.close_pipe(1)
        rig.send(text(TRADE, TRADE, TRADE, TRADE))
        rig.drain()
        assert [len(received) for received in rig.received] == [3 * (4 + len(TRADE)), 4 + len(TRADE)]
        assert rig.pump.pipe_counters(1).waiting_records == 2


FLAT = b'{"ev":"T","sym":"A","pad":"' + b"x" * 60 + b'"}'


@pytest.mark.parametrize("is_full", [False, True])
@pytest.mark.parametrize(("record", "vectors"), [(b"{}", Vectors.BASELINE), *[(FLAT, vectors) for vectors in Vectors]])
def test_all_that_the_input_can_hold_fits(record: bytes, is_full: bool, vectors: Vectors) -> None:
    """Also of the smallest records, of which three bytes of input become six, and on top of full outboxes."""
    count = 999 // (len(record) + 1)
    sent = text(*[record] * count)
    with Rig(
        source=Source.CALLER, vectors=vectors, pipe_size_bytes=4096, max_frame_bytes=1000, high_water_bytes=1 << 20
    ) as rig:
        while is_full and not rig.pump.counters().stopped:
            rig.send(sent * 100)
        rig.begin_drain()
        room = rig.pump.room()
        whole = len(room) // len(sent)
        room[: whole * len(sent)] = sent * whole
        rig.pump.fed(whole * len(sent))
        dealt_total = rig.pump.counters().records_total
        rig.run()
        assert not rig.pump.has_input
        assert rig.pump.counters().records_total >= dealt_total + whole * count
        rig.drain()
        frame = len(record).to_bytes(4, "little") + record
        assert rig.received[0] == frame * rig.pump.counters().records_total
