"""A full pipe that stops the reading for long is told, once; a short stop is not; the time is booked on the pipe."""

from __future__ import annotations

import time

import model
import pytest
from model import TEXT, Frame
from pumping import Rig

from lb.pump import Resumed, Source, Stalled, Wake

FAR_NS = 1 << 62
TRADE = b'{"ev":"T","sym":"AAPL","p":1}'
MESSAGE = model.wire(Frame(TEXT, b"[" + b",".join([TRADE] * 1000) + b"]"))
STALL_NS = 20_000_000


def stopped_rig(stall_ns: int, pipes: int = 1, source: Source = Source.SOCKET) -> Rig:
    rig = Rig(pipes=pipes, pipe_size_bytes=4096, high_water_bytes=1, stall_ns=stall_ns, source=source)
    rig.send(MESSAGE)
    assert rig.pump.counters().stopped
    return rig


@pytest.mark.parametrize("source", [Source.SOCKET, Source.CALLER])
def test_a_stall_is_told_once_and_so_is_its_end(source: Source) -> None:
    before_ns = time.monotonic_ns()
    with stopped_rig(STALL_NS, source=source) as rig:
        assert rig.pump.run(FAR_NS) == Stalled(0)
        assert time.monotonic_ns() - before_ns >= STALL_NS
        for _ in range(3):
            assert rig.pump.run(time.monotonic_ns() + 1_000_000) is Wake.DEADLINE
        while rig.pump.counters().stopped:
            rig.read_all()
            rig.run_once()
        elapsed_ns = time.monotonic_ns() - before_ns
        rig.run()
        (resumed,) = rig.told
        assert isinstance(resumed, Resumed)
        assert resumed.pipe == 0
        assert STALL_NS <= resumed.stalled_ns <= elapsed_ns
        assert rig.pump.pipe_counters(0).stopped_ns_total == resumed.stalled_ns


def test_the_deadline_is_kept_while_a_stall_is_waited_for() -> None:
    with stopped_rig(FAR_NS) as rig:
        assert rig.pump.run(time.monotonic_ns() + 1_000_000) is Wake.DEADLINE
        assert rig.pump.run(0) is Wake.DEADLINE


def test_short_stops_are_not_told_but_booked() -> None:
    """However many: each one begins anew."""
    with stopped_rig(FAR_NS) as rig:
        booked_ns = 0
        for turn in range(5):
            while rig.pump.counters().stopped:
                rig.read_all()
                rig.run()
            assert rig.pump.pipe_counters(0).stopped_ns_total > booked_ns
            booked_ns = rig.pump.pipe_counters(0).stopped_ns_total
            assert rig.pump.pipe_counters(0).stopped_ns_total == booked_ns
            rig.send(MESSAGE)
            assert rig.pump.counters().full_total == turn + 2
        assert rig.told == []


def test_a_stop_is_booked_while_it_lasts() -> None:
    with stopped_rig(FAR_NS, pipes=2) as rig:
        full = rig.pump.counters().full_pipe
        first_ns = rig.pump.pipe_counters(full).stopped_ns_total
        assert rig.pump.pipe_counters(full).stopped_ns_total > first_ns
        assert rig.pump.pipe_counters(1 - full).stopped_ns_total == 0


def test_another_pipe_that_stops_the_reading_begins_a_stop_of_its_own() -> None:
    with stopped_rig(0, pipes=2) as rig:
        (first,) = rig.told
        assert isinstance(first, Stalled)
        rig.told.clear()
        while rig.pump.counters().full_pipe == first.pipe:
            rig.read(first.pipe, 1 << 16)
            rig.run()
        assert rig.pump.counters().stopped
        resumed, second = rig.told
        assert isinstance(resumed, Resumed)
        assert resumed.pipe == first.pipe
        assert second == Stalled(1 - first.pipe)


def test_a_drain_ends_a_stall() -> None:
    with stopped_rig(0) as rig:
        assert rig.told == [Stalled(0)]
        rig.begin_drain()
        rig.run()
        assert isinstance(rig.told[1], Resumed)
        assert not rig.pump.counters().stopped
