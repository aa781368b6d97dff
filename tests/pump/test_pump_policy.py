"""What happens to a record whose pipe is full: reading stops, or the record is dropped, and counted."""

from __future__ import annotations

import model
import pytest
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st
from model import TEXT, Frame
from pumping import Rig, assert_same_events, modelled, records_in
from strategies import cut_into, read_sizes

from lb.pump import Policy, Route, Vectors

TRADES = [b'{"ev":"T","sym":"S%d","i":%d,"pad":"%s"}' % (i % 7, i, b"x" * 60) for i in range(3000)]
FRAMES = [Frame(TEXT, b"[" + b",".join(TRADES[at : at + 40]) + b"]") for at in range(0, len(TRADES), 40)]
SENT = b"".join(map(model.wire, FRAMES))


@pytest.mark.parametrize("vectors", Vectors)
@pytest.mark.parametrize("high_water_bytes", [1, 1000, 1 << 14])
def test_a_pipe_that_may_lose_records_stops_nothing(high_water_bytes: int, vectors: Vectors) -> None:
    with Rig(pipes=2, pipe_size_bytes=4096, high_water_bytes=high_water_bytes, vectors=vectors) as rig:
        rig.pump.set_policy(1, Policy.DROP_NEWEST)
        for at in range(0, len(SENT), 5000):
            rig.send(SENT[at : at + 5000])
            while rig.read(0, 1 << 16) or rig.pump.counters().stopped:
                rig.run()
        kept, lossy = (rig.pump.pipe_counters(pipe) for pipe in range(2))
        assert (kept.records_total, kept.dropped_total) == (1500, 0)
        assert (lossy.records_total, lossy.stopped_ns_total) == (1500, 0)
        assert lossy.dropped_total == 1500 - lossy.written_total - lossy.waiting_records > 0
        rig.drain()
        assert bytes(rig.received[0]) == framed(TRADES[::2])
        got = lossy.written_total + lossy.waiting_records
        assert bytes(rig.received[1]) == framed(TRADES[1::2][:got])  # the newest are dropped


def test_whole_records_come_again_once_there_is_room() -> None:
    with Rig(pipe_size_bytes=4096, high_water_bytes=1, route=Route.SYMBOL) as rig:
        rig.pump.set_policy(0, Policy.DROP_NEWEST)
        rig.send(SENT)
        before = rig.pump.pipe_counters(0)
        while rig.pump.pipe_counters(0).waiting_records:
            rig.read_all()
            rig.run_once()
        rig.send_frames(FRAMES[:1])
        after = rig.pump.pipe_counters(0)
        assert after.dropped_total == before.dropped_total
        rig.drain()
        assert bytes(rig.received[0]).endswith(framed(TRADES[:40]))


@given(
    lengths=st.lists(st.integers(0, 3000) | st.integers(0, 60), min_size=1, max_size=300),
    high_water_bytes=st.sampled_from([1, 100, 1000, 5000]),
    reads=read_sizes(),
    bites=st.lists(st.integers(0, 6000), min_size=1, max_size=8),
    vectors=st.sampled_from(Vectors),
    policy=st.sampled_from([Policy.DROP_OLDEST, Policy.DROP_NEWEST]),
)
def test_what_is_left_comes_whole_and_in_order(
    lengths: list[int], high_water_bytes: int, reads: list[int], bites: list[int], vectors: Vectors, policy: Policy
) -> None:
    """Of DROP_OLDEST, the last record comes in any case, unless one that was begun left no room for it."""
    records = [b'{"ev":"T","sym":"A","i":%d,"pad":"%s"}' % (i, b"x" * length) for i, length in enumerate(lengths)]
    sent = model.wire(Frame(TEXT, b"[" + b",".join(records) + b"]"))
    with Rig(pipe_size_bytes=4096, high_water_bytes=high_water_bytes, vectors=vectors, policy=policy) as rig:
        for turn, piece in enumerate(cut_into(sent, reads)):
            rig.send(piece)
            rig.read(0, bites[turn % len(bites)])
        counted = rig.pump.pipe_counters(0)
        rig.drain()
        got = records_in(bytes(rig.received[0]))
        assert (counted.records_total, counted.stopped_ns_total) == (len(records), 0)
        assert len(got) == len(records) - counted.dropped_total
        numbers = [records.index(record) for record in got]
        assert numbers == sorted(set(numbers))
        if policy is Policy.DROP_OLDEST and high_water_bytes >= 5000 and max(lengths) < 1000:
            assert numbers[-1] == len(records) - 1


@settings(max_examples=60)
@given(
    policies=st.lists(st.sampled_from([Policy.BLOCK, Policy.DROP_NEWEST, Policy.DROP_OLDEST]), min_size=2, max_size=4),
    messages=st.lists(strategies.arrays(strategies.trades() | strategies.odd_objects()), min_size=1, max_size=6),
    times=st.sampled_from([1, 10]),
    route=st.sampled_from([Route.ROUND_ROBIN, Route.SYMBOL]),
    high_water_bytes=st.sampled_from([1, 500, 5000]),
    reads=read_sizes(),
    bites=st.lists(st.sampled_from([0, 0, 1, 100, 5000]), min_size=1, max_size=8),
    vectors=st.sampled_from(Vectors),
)
def test_each_pipe_has_a_policy_of_its_own(
    policies: list[Policy],
    messages: list[bytes],
    times: int,
    route: Route,
    high_water_bytes: int,
    reads: list[int],
    bites: list[int],
    vectors: Vectors,
) -> None:
    """Whatever becomes of the others' records: a pipe that blocks gets all of its own, one that drops gets some of its
    own, whole and in order, and as many are counted as dropped as are missing."""
    frames = [Frame(TEXT, message) for message in messages] * times
    expected = modelled(len(policies), route)
    expected.session(frames)
    with Rig(
        pipes=len(policies), route=route, pipe_size_bytes=4096, high_water_bytes=high_water_bytes, vectors=vectors
    ) as rig:
        for pipe, policy in enumerate(policies):
            rig.pump.set_policy(pipe, policy)
        sent = b"".join(map(model.wire, frames))
        for turn, piece in enumerate(cut_into(sent, [size * 20 for size in reads])):
            rig.send(piece)
            rig.read(turn % len(policies), bites[turn % len(bites)])
        rig.finish()
        assert_same_events(rig.events, expected.events)
        for pipe, policy in enumerate(policies):
            got, counted = records_in(bytes(rig.received[pipe])), rig.pump.pipe_counters(pipe)
            assert counted.records_total == len(expected.pipes[pipe])
            assert counted.dropped_total == len(expected.pipes[pipe]) - len(got)
            if policy is Policy.BLOCK:
                assert got == expected.pipes[pipe]
            else:
                assert counted.stopped_ns_total == 0
                left = iter(expected.pipes[pipe])
                assert all(record in left for record in got)


def test_the_older_half_of_what_waits_is_dropped_and_the_newest_comes() -> None:
    with Rig(pipe_size_bytes=4096, high_water_bytes=1 << 14, policy=Policy.DROP_OLDEST) as rig:
        rig.send(SENT)
        counted = rig.pump.pipe_counters(0)
        assert not rig.pump.counters().stopped
        assert (counted.records_total, counted.stopped_ns_total) == (len(TRADES), 0)
        assert counted.waiting_bytes >= (1 << 14) // 2 - 200
        rig.drain()
        got = records_in(bytes(rig.received[0]))
        in_pipe = counted.written_total + 1  # one was begun
        assert got[:in_pipe] == TRADES[:in_pipe]
        assert got[in_pipe:] == TRADES[in_pipe + counted.dropped_total :]


def framed(records: list[bytes]) -> bytes:
    return b"".join(len(record).to_bytes(4, "little") + record for record in records)
