"""A pump whose mapping another one adopts goes on as if it were the same: for all feed bytes, cuts, routes, vectors and
readers, however often that happens and whatever waits then. A mapping that is not its own it refuses."""

from __future__ import annotations

import os
import select
from itertools import cycle

import model
import pytest
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st
from model import PING, TEXT, Frame
from pumping import Rig, assert_delivered, modelled
from reading import Reader

from lb import pump
from lb.pump import AccountRefused, MappingRefused, Policy, ReaderGone, Route, Source, Vectors
from lb.pump.account import reader_state, restore_reader
from lb.stand_in import StandIn

TRADES = [b'{"ev":"T","sym":"S%d","i":%d,"pad":"%s"}' % (i % 7, i, b"x" * 60) for i in range(3000)]
FRAMES = [Frame(TEXT, b"[" + b",".join(TRADES[at : at + 40]) + b"]") for at in range(0, len(TRADES), 40)]
SENT = b"".join(map(model.wire, FRAMES))


@settings(max_examples=60)
@given(
    route=st.sampled_from(Route),
    source=st.sampled_from([Source.SOCKET, Source.CALLER]),
    vectors=st.sampled_from(Vectors),
    pipes=st.integers(1, 4),
    high_water_bytes=st.sampled_from([1, 300, 1 << 14]),
    sizes=strategies.read_sizes(),
    bites=st.lists(st.sampled_from([0, 1, 5, 1000, 1 << 20]), min_size=1, max_size=6),
    turns=st.lists(st.booleans(), min_size=1, max_size=5),
    frames=strategies.sessions(strategies.messages()),
    times=st.sampled_from([1, 2, 10]),
)
def test_any_session_adopted_at_any_moment(
    route: Route,
    source: Source,
    vectors: Vectors,
    pipes: int,
    high_water_bytes: int,
    sizes: list[int],
    bites: list[int],
    turns: list[bool],
    frames: list[Frame],
    times: int,
) -> None:
    frames = frames * times
    sent = b"".join(map(model.wire, frames))
    expected = modelled(pipes, route)
    expected.session(frames)
    with Rig(
        pipes=pipes, route=route, source=source, vectors=vectors, pipe_size_bytes=4096,
        high_water_bytes=high_water_bytes,
    ) as rig:  # fmt: skip
        readers = cycle(range(pipes))
        for piece, bite, is_turn in zip(strategies.cut_into(sent, sizes), cycle(bites), cycle(turns), strict=False):
            rig.send(piece)
            if is_turn:
                rig.adopt()
            if bite:
                rig.read(next(readers), bite)
        rig.finish()
        assert_delivered(rig, expected)


def test_what_a_stand_in_deals_and_meets_is_there_for_who_adopts() -> None:
    """It stops at the first event that somebody must decide about."""
    frames = [*FRAMES[:5], Frame(PING, b"?"), *FRAMES[5:10]]
    expected = modelled(2, Route.ROUND_ROBIN)
    expected.session(frames)
    with Rig(pipes=2) as rig:
        sent = b"".join(map(model.wire, frames[:6]))
        assert rig.feed.send(sent) == len(sent)
        stand_in = StandIn(rig.pump)
        assert select.select(rig.read_fds, [], [], 60)[0], "the child has dealt nothing"
        stand_in.stop()
        rig.adopt()
        rig.send_frames(frames[6:])
        rig.finish()
        assert_delivered(rig, expected)


@pytest.mark.parametrize("policy", [Policy.DROP_OLDEST, Policy.DROP_NEWEST])
@pytest.mark.parametrize("is_told", [False, True])
def test_readers_go_on_where_they_were(policy: Policy, is_told: bool) -> None:
    """In the mapping, or told in numbers and bytes."""
    with Rig(pipes=2, pipe_size_bytes=1 << 20, high_water_bytes=1 << 20) as rig:
        readers = [
            Reader(rig, [(b"T", None)], policy, has_markers=has_markers, pipe_size_bytes=4096)
            for has_markers in (True, False, True, False)
        ]  # fmt: skip
        tell = lambda: rig.pump.set_topics({reader.number: reader.topics for reader in readers}, None)  # noqa: E731
        tell()
        for number, at in enumerate(range(0, len(SENT), 20_000)):
            rig.send(SENT[at : at + 20_000])
            states = [(reader, *reader_state(rig.pump, reader.number)) for reader in readers]
            rig.adopt()
            rig.pump.go_on_readers({} if is_told else {reader.number: reader.write_fd for reader in readers})
            for reader, state, waiting in states if is_told else ():
                restore_reader(rig.pump, reader.number, state, waiting)
            assert [reader_state(rig.pump, reader.number)[1] for reader in readers] == [state[2] for state in states]
            tell()
            readers[number % 4].read(3000)
        rig.read_all()
        for reader in readers:
            while reader.counters.waiting_bytes:
                reader.read_all()
                rig.run()
            reader.read_all()
            reader.check(TRADES)
            reader.leave()
        rig.finish()


def test_a_stand_in_deals_to_readers_and_one_that_goes_meanwhile_is_told() -> None:
    with Rig(pipes=1, pipe_size_bytes=1 << 20) as rig:
        stays, goes = (Reader(rig, [(b"T", None)]) for _ in range(2))
        rig.pump.set_topics({reader.number: reader.topics for reader in (stays, goes)}, None)
        rig.send_frames(FRAMES[:5])
        assert stays.read()
        assert goes.read()
        assert rig.feed.send(wire := b"".join(map(model.wire, FRAMES[5:10]))) == len(wire)
        stand_in = StandIn(rig.pump)
        assert select.select([stays.read_fd], [], [], 60)[0], "the child has dealt nothing to readers"
        os.dup2(stays.read_fd, goes.read_fd)  # that is its end, and the rig may close the number
        stand_in.stop()
        rig.adopt()
        rig.pump.go_on_readers({reader.number: reader.write_fd for reader in (stays, goes)})
        rig.pump.set_topics({reader.number: reader.topics for reader in (stays, goes)}, None)
        rig.run()
        assert rig.told == [ReaderGone(goes.number)]
        rig.pump.remove_reader(goes.number)
        rig.send_frames(FRAMES[10:15])
        stays.read_all()
        stays.check(TRADES[: 15 * 40])
        rig.finish()


def test_a_reader_that_does_not_go_on_leaves_its_place_and_nothing_else() -> None:
    with Rig(pipes=1, pipe_size_bytes=4096) as rig:
        gone = Reader(rig, [(b"T", None)], pipe_size_bytes=4096)
        rig.pump.set_topics({gone.number: gone.topics}, None)
        rig.send(SENT[:50_000])
        held_bytes = os.fstat(rig.pump.memory_fd).st_blocks
        rig.adopt()
        rig.pump.go_on_readers({})
        assert os.fstat(rig.pump.memory_fd).st_blocks < held_bytes, "its memory is given back"
        next_one = Reader(rig, [(b"T", None)])
        assert next_one.number == gone.number
        assert next_one.counters.offered_total == next_one.counters.waiting_bytes == 0
        rig.finish()


def test_a_reader_s_state_that_can_not_be_is_refused() -> None:
    with Rig(pipes=1) as rig:
        reader = Reader(rig, [(b"T", None)], pipe_size_bytes=4096)
        rig.pump.set_topics({reader.number: reader.topics}, None)
        rig.send(SENT[:30_000])
        state, waiting = reader_state(rig.pump, reader.number)
        assert waiting
        rig.adopt()
        with pytest.raises(OSError, match="Invalid"):
            rig.pump.go_on_readers({reader.number + 1: reader.write_fd})
        rig.pump.go_on_readers({})
        counters = state["counters"]
        for wrong in (
            {"begun_bytes": state["begun_bytes"] + 1}, {"marker_at": 1}, {"policy": Policy.BLOCK}, {"fd": -1},
            {"backlog_bytes": 1 << 40}, {"counters": counters | {"offered_total": counters["offered_total"] + 1}},
            {"counters": counters | {"waiting_bytes": 1 << 40}},
        ):  # fmt: skip
            with pytest.raises(AccountRefused):
                restore_reader(rig.pump, reader.number, state | wrong, waiting)


def test_a_pump_made_with_other_words_refuses_it() -> None:
    with Rig(pipes=2, high_water_bytes=1 << 14) as rig:
        rig.send(SENT[:5000])
        memory_fd = os.dup(rig.pump.memory_fd)
        for other in (
            {"route": Route.SYMBOL},
            {"high_water_bytes": 1 << 15},
            {"retains": True},
            {"max_frame_bytes": 99},
        ):
            with pytest.raises(MappingRefused, match="Invalid argument"):
                rig._new_pump(memory_fd=memory_fd, **other)
        with Rig(pipes=3) as three, pytest.raises(MappingRefused):
            three._new_pump(memory_fd=memory_fd)
        os.close(memory_fd)
        rig.adopt()
        rig.finish()


def test_a_mapping_of_another_version_is_refused() -> None:
    with Rig(pipes=1) as rig:
        rig.send(SENT[:5000])
        for at in (0, 8, 12, 16, 20, 24):  # magic, version, description, and the sizes of the structs
            memory_fd = os.dup(rig.pump.memory_fd)
            (before,) = os.pread(memory_fd, 1, at)
            os.pwrite(memory_fd, bytes([before ^ 1]), at)
            with pytest.raises(MappingRefused):
                rig._new_pump(memory_fd=memory_fd)
            os.pwrite(memory_fd, bytes([before]), at)
            os.close(memory_fd)
        rig.adopt()
        rig.finish()


def test_what_is_no_mapping_is_refused() -> None:
    plain_fd = os.memfd_create("of nobody")
    try:
        for size_bytes in (0, 5000):
            os.ftruncate(plain_fd, size_bytes)
            with Rig(pipes=1) as rig, pytest.raises(MappingRefused):
                rig._new_pump(memory_fd=plain_fd)
    finally:
        os.close(plain_fd)


def test_what_a_mapping_looks_like_is_told_in_numbers() -> None:
    told = pump.description()
    assert told["version"] > 0
    assert told["description"] > 0  # the build says it: lb/pump/build.py
    assert told["pump_bytes"] > told["pipe_bytes"] > 0
