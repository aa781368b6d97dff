"""The route that looks at the readers: who reads slowly gets less, and nothing is stopped or dropped while another pipe
has room. That every record is in one pipe, in order, is tested with everything else, in test_pump_delivery.py."""

from __future__ import annotations

import time

import model
import pytest
from model import TEXT, Frame
from pumping import Rig, assert_delivered, modelled

from lb.pump import Policy, Route, Vectors

TRADES = [b'{"ev":"T","sym":"S%d","i":%d,"pad":"%s"}' % (i % 7, i, b"x" * (60 + i % 30)) for i in range(4000)]
FRAMES = [Frame(TEXT, b"[" + b",".join(TRADES[at : at + 20]) + b"]") for at in range(0, len(TRADES), 20)]
PORTION_BYTES = 4096
LOOK_NS = 1_000_000
ODD = b'{"ev":"T","x":{}}'


def unread_bytes(rig: Rig) -> list[int]:
    pipes = range(len(rig.read_fds))
    return [rig.queued_bytes(pipe) + rig.pump.pipe_counters(pipe).waiting_bytes for pipe in pipes]


@pytest.mark.parametrize("pipes", [1, 2, 5])
@pytest.mark.parametrize("vectors", Vectors)
@pytest.mark.parametrize("extra", [b"", b"," + ODD], ids=["flat", "not all flat"])
def test_where_nobody_reads_all_pipes_fill_alike(pipes: int, vectors: Vectors, extra: bytes) -> None:
    frames = [Frame(TEXT, b"[" + b",".join(TRADES[at : at + 20]) + extra + b"]") for at in range(0, len(TRADES), 20)]
    expected = modelled(pipes, Route.LEAST_BACKLOG)
    expected.session(frames)
    with Rig(pipes=pipes, route=Route.LEAST_BACKLOG, vectors=vectors, high_water_bytes=1 << 20) as rig:
        sent = b"".join(map(model.wire, frames))
        for at in range(0, len(sent), 50_000):
            rig.send(sent[at : at + 50_000])
            assert max(unread_bytes(rig)) - min(unread_bytes(rig)) <= PORTION_BYTES + 200
        rig.finish()
        assert_delivered(rig, expected)


def test_a_slow_reader_gets_less() -> None:
    """Also of what comes in single records: who has read nothing has the most unread."""
    with Rig(pipes=3, route=Route.LEAST_BACKLOG) as rig:
        rig.send(b"".join(map(model.wire, FRAMES[:10])))
        first = rig.pump.pipe_counters(0).records_total
        assert first > 0
        for number in range(2000):
            rig.read(1, 1 << 20)
            rig.read(2, 1 << 20)
            rig.send_frames([Frame(TEXT, b"[" + TRADES[number] + b"]")])
        slow, *quick = (rig.pump.pipe_counters(pipe).records_total for pipe in range(3))
        assert slow - first < min(quick) / 2


def test_readers_that_are_equally_quick_take_turns() -> None:
    with Rig(pipes=4, route=Route.LEAST_BACKLOG) as rig:
        for number in range(40):
            looked_at_ns = time.monotonic_ns()
            rig.send_frames([Frame(TEXT, b"[" + TRADES[number] + b"]")])
            rig.read_all()
            while time.monotonic_ns() < looked_at_ns + LOOK_NS:
                pass
        assert [rig.pump.pipe_counters(pipe).records_total for pipe in range(4)] == [10] * 4


@pytest.mark.parametrize("vectors", Vectors)
@pytest.mark.parametrize("policy", Policy)
@pytest.mark.parametrize("high_water_bytes", [1, 1 << 14])
def test_a_frozen_reader_stops_and_loses_nothing(policy: Policy, high_water_bytes: int, vectors: Vectors) -> None:
    """However small its pipe: the others' have room."""
    with Rig(
        pipes=3,
        route=Route.LEAST_BACKLOG,
        pipe_size_bytes=4096,
        high_water_bytes=high_water_bytes,
        vectors=vectors,
        policy=policy,
    ) as rig:
        for frame in FRAMES[:100]:
            rig.send_frames([frame])
            for pipe in (1, 2):
                rig.read(pipe, 1 << 20)
                rig.run()
                rig.read(pipe, 1 << 20)
        counted = [rig.pump.pipe_counters(pipe) for pipe in range(3)]
        assert sum(pipe.records_total for pipe in counted) == 2000
        assert [pipe.dropped_total for pipe in counted] == [0, 0, 0]
        assert rig.pump.counters().full_total == 0
        assert counted[0].written_bytes_total <= 4096


def test_when_all_are_full_one_stops_the_reading_and_any_may_end_that() -> None:
    with Rig(pipes=3, route=Route.LEAST_BACKLOG, pipe_size_bytes=4096, high_water_bytes=1000, stall_ns=1) as rig:
        sent = b"".join(map(model.wire, FRAMES))
        rig.send(sent[:50_000])
        assert rig.pump.counters().stopped
        for pipe in (2, 0, 1):
            before = rig.pump.counters().records_total
            rig.read(pipe, 1 << 20)
            rig.run()
            assert rig.pump.counters().records_total > before
            assert rig.pump.counters().stopped
        stalls = len(rig.told)
        for _ in range(20):
            rig.run()
        assert len(rig.told) == stalls, "the stop is told once, however often another pipe is tried"
        rig.send(sent[50_000:])
        rig.finish()
        expected = modelled(3, Route.LEAST_BACKLOG)
        expected.session(FRAMES)
        assert_delivered(rig, expected)


def test_a_closed_pipe_gets_nothing() -> None:
    """From the next record on, not from the next look."""
    with Rig(pipes=3, route=Route.LEAST_BACKLOG) as rig:
        deal(rig, FRAMES[:1])
        first = [rig.pump.pipe_counters(pipe).records_total for pipe in range(3)].index(20)
        closed = (first + 1) % 3  # its turn would be next
        rig.pump.close_pipe(closed)
        deal(rig, FRAMES[1:10])
        assert rig.pump.pipe_counters(closed).records_total == 0


def deal(rig: Rig, frames: list[Frame]) -> None:
    """As Rig.send_frames(), but quickly: without looking at the books."""
    wanted = rig.pump.counters().records_total + 20 * len(frames)
    rig.feed.send(b"".join(map(model.wire, frames)))
    while rig.pump.counters().records_total < wanted:
        rig.pump.run(0)
