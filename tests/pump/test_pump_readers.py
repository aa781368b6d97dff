"""For all feed bytes, cuts, routes, vectors, readers, topics, policies, joins and leaves: the workers get what they get
without readers, and each reader what its topics and its policy say, counted exactly."""

from __future__ import annotations

import errno
import os
from itertools import cycle

import model
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from model import TEXT, Frame
from pumping import KEY_MEMBER, Rig, assert_delivered, modelled
from reading import Reader, Readers, market_total, matches

from lb.control.verbs import LARGEST_BACKLOG_BYTES
from lb.pump import MOST_READERS, Policy, ReaderGone, Route, Source, Topic, Vectors

TRADES = [b'{"ev":"T","sym":"S%d","i":%d,"pad":"%s"}' % (i % 7, i, b"x" * 60) for i in range(6000)]
FRAMES = [Frame(TEXT, b"[" + b",".join(TRADES[at : at + 40]) + b"]") for at in range(0, len(TRADES), 40)]
SENT = b"".join(map(model.wire, FRAMES))

KINDS = [b"T", b"Q", b"A", b"AM", b"XT", b"C", b"LULD", b"V", b"lagg"]
KEYS = [b"AAPL", b"BRK.B", b"A", b"BTC-USD", b"EUR/USD", b"O:SPXW251208C06840000", b"I:SPX", b"ABCDEFGH", b"ABCDE", b""]
topic: st.SearchStrategy[Topic] = st.one_of(
    st.just((None, None)),
    st.tuples(st.sampled_from(KINDS), st.none()),
    st.tuples(st.sampled_from(KINDS), st.sampled_from(KEYS)),
)
topics = st.lists(topic, max_size=6)
policies = st.sampled_from([Policy.DROP_OLDEST, Policy.DROP_NEWEST])


@given(
    route=st.sampled_from(Route),
    source=st.sampled_from([Source.SOCKET, Source.CALLER]),
    vectors=st.sampled_from(Vectors),
    pipes=st.integers(1, 3),
    of_pipes=st.none() | topics,
    high_water_bytes=st.sampled_from([100, 1 << 14]),
    sizes=strategies.read_sizes(),
    frames=strategies.sessions(strategies.messages()),
    times=st.sampled_from([1, 3, 30]),
    data=st.data(),
)
def test_any_readers_of_anything_at_any_time(
    route: Route,
    source: Source,
    vectors: Vectors,
    pipes: int,
    of_pipes: list[Topic] | None,
    high_water_bytes: int,
    sizes: list[int],
    frames: list[Frame],
    times: int,
    data: st.DataObject,
) -> None:
    frames = frames * times
    expected = model.Model(
        pipes, route.value, 1 << 20, wants=lambda record: of_pipes is None or matches(record, of_pipes),
        key_member=KEY_MEMBER.encode(),
    )  # fmt: skip
    expected.session(frames)
    joining = st.sampled_from(["join", "leave", *["go on"] * 6])
    with Rig(
        pipes=pipes,
        route=route,
        source=source,
        pipe_size_bytes=4096,
        high_water_bytes=high_water_bytes,
        vectors=vectors,
    ) as rig:
        readers, parted = Readers(rig, of_pipes), []
        for _ in range(data.draw(st.integers(0, 3))):
            readers.join(a_reader(rig, data))
        steps = cycle(data.draw(st.lists(joining, min_size=1, max_size=8)))
        bites = cycle(data.draw(st.lists(st.sampled_from([0, 1, 1000, 1 << 20]), min_size=1, max_size=5)))
        for piece, step in zip(strategies.cut_into(b"".join(map(model.wire, frames)), sizes), steps, strict=False):
            rig.send(piece)
            rig.read(0, 1 << 16)
            for reader in readers:
                reader.read(bite) if (bite := next(bites)) else None
            if step == "join" and len(readers) < 5:
                readers.join(a_reader(rig, data))
            elif step == "leave" and readers:
                parted.append(readers[0])
                readers.part(readers[0])
        rig.finish()
        for reader in [*readers, *parted]:
            reader.read_all()
            reader.check(expected.market)
        assert_delivered(rig, expected)
        assert market_total(rig) == len(expected.market)


def a_reader(rig: Rig, data: st.DataObject) -> Reader:
    policy, has_markers = data.draw(policies), data.draw(st.booleans())
    return Reader(rig, data.draw(topics), policy, has_markers=has_markers, pipe_size_bytes=4096)


@pytest.mark.parametrize("vectors", Vectors)
@pytest.mark.parametrize("route", Route)
@pytest.mark.parametrize("of_pipes", [None, [(b"T", b"S1"), (b"T", b"S3"), (b"Q", None)]])
def test_what_workers_get_at_full_speed(of_pipes: list[Topic] | None, route: Route, vectors: Vectors) -> None:
    wants = [record for record in TRADES if of_pipes is None or matches(record, of_pipes)]
    expected = modelled(3, route)
    expected.session([Frame(TEXT, b"[" + b",".join(wants) + b"]")])
    with Rig(pipes=3, route=route, vectors=vectors, high_water_bytes=1 << 20) as rig:
        readers = Readers(rig, of_pipes)
        reader = readers.join(Reader(rig, [(b"T", b"S3"), (b"T", b"S5")]))
        for at in range(0, len(SENT), 30_000):
            rig.send(SENT[at : at + 30_000])
            rig.read_all()
            reader.read_all()
        assert_delivered(rig, expected)
        assert [*reader.frames()] == [record for record in TRADES if matches(record, reader.topics)]


@pytest.mark.parametrize("vectors", Vectors)
@pytest.mark.parametrize("has_markers", [False, True])
@pytest.mark.parametrize("policy", [Policy.DROP_OLDEST, Policy.DROP_NEWEST])
def test_a_reader_that_does_not_read_holds_up_nobody(policy: Policy, has_markers: bool, vectors: Vectors) -> None:
    with Rig(vectors=vectors) as rig:
        readers = Readers(rig)
        slow = readers.join(Reader(rig, [(None, None)], policy, has_markers=has_markers, pipe_size_bytes=4096))
        quick = readers.join(Reader(rig, [(b"T", b"S3")]))
        for at in range(0, len(SENT), 30_000):
            rig.send(SENT[at : at + 30_000])
            rig.read_all()
            quick.read_all()
        assert rig.pump.pipe_counters(0).written_total == len(TRADES)
        assert [*quick.frames()] == TRADES[3::7]
        assert slow.counters.dropped_total > 1000
        for _ in range(100):
            slow.read_all()
            rig.run_once()
        assert slow.counters.waiting_bytes == 0
        rig.send_frames(FRAMES[:1])
        slow.read_all()
        slow.check([*TRADES, *TRADES[:40]])
        frames = [*slow.frames()]
        told = sum(int(frame[21:-1]) for frame in frames if frame.startswith(b'{"ev":"lb"'))
        assert told == (slow.counters.dropped_total if has_markers else 0)
        records = [frame for frame in frames if not frame.startswith(b'{"ev":"lb"')]
        assert len(records) == slow.counters.delivered_total
        kept = len(records) - 40
        at_the_begin = next((at for at in range(kept) if records[at] != TRADES[at]), kept)
        if policy is Policy.DROP_NEWEST:
            assert at_the_begin == kept, "the oldest are kept"
        else:
            assert records[at_the_begin:-40] == TRADES[len(TRADES) - kept + at_the_begin :], "the newest are kept"
            assert at_the_begin < 100


def test_a_record_that_no_backlog_holds_is_dropped_and_told() -> None:
    long = b'{"ev":"T","sym":"L","pad":"%s"}' % (b"x" * 100_000)
    with Rig(high_water_bytes=1 << 20) as rig:
        reader = Readers(rig).join(Reader(rig, [(b"T", None)], has_markers=True))
        rig.send_frames([Frame(TEXT, b"[" + TRADES[0] + b"," + long + b"," + TRADES[1] + b"]")])
        reader.read_all()
        assert [*reader.frames()] == [TRADES[0], b'{"ev":"lb","dropped":1}', TRADES[1]]
        assert reader.counters.dropped_total == 1


@pytest.mark.parametrize("is_idle", [False, True])
def test_a_reader_that_has_gone_is_told_and_costs_nothing_more(is_idle: bool) -> None:
    with Rig() as rig:
        readers = Readers(rig)
        gone, other = (readers.join(Reader(rig, [(None, None)])) for _ in range(2))
        os.dup2(other.read_fd, gone.read_fd)  # that is its end, and the rig may close the number
        if is_idle:
            rig.run()
            assert rig.told == [ReaderGone(0)]
        rig.send_frames(FRAMES[:1])
        assert rig.told == [ReaderGone(0)]
        readers.part(gone)
        rig.send_frames(FRAMES[1:2])
        other.read_all()
        assert [*other.frames()] == TRADES[:80]
        assert rig.told == [ReaderGone(0)]


def test_a_full_pipe_that_has_room_again_is_written_without_a_record_that_comes() -> None:
    with Rig(high_water_bytes=1 << 20) as rig:
        reader = Readers(rig).join(Reader(rig, [(None, None)], pipe_size_bytes=4096))
        rig.send_frames(FRAMES[:5])
        assert reader.counters.waiting_records > 0
        while reader.read():
            rig.run()
        assert reader.counters.delivered_total == 200


def test_no_more_readers_than_there_are_numbers() -> None:
    with Rig() as rig:
        readers = Readers(rig)
        for number in range(MOST_READERS):
            assert readers.join(Reader(rig, [(b"T", b"S%d" % (number % 7))], pipe_size_bytes=4096)).number == number
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            Reader(rig, [])
        rig.send_frames(FRAMES[:1])
        for reader in readers:
            reader.read_all()
            reader.check(TRADES[:40])
        readers.part(readers[5])
        assert readers.join(Reader(rig, [])).number == 5


def test_many_topics() -> None:
    """More than the table begins with, of all lengths, in records short and long (which the fast path takes)."""
    keys = [b"K%d" % number + b"LONGERTHANEIGHT"[: number % 15] for number in range(5000)]
    records = [b'{"ev":"T","sym":"%s","x":"%s"}' % (key, b"x" * (100 * (at % 7 > 0))) for at, key in enumerate(keys)]
    with Rig(high_water_bytes=1 << 20, pipe_size_bytes=1 << 20) as rig:
        readers = Readers(rig, [(b"T", key) for key in keys[::3]])
        reader = readers.join(Reader(rig, [(b"T", key) for key in keys[::2]], pipe_size_bytes=1 << 20))
        rig.send_frames([Frame(TEXT, b"[" + b",".join(records) + b"]")])
        reader.read_all()
        rig.read_all()
        assert [*reader.frames()] == records[::2]
        assert rig.pump.counters().records_total == len(records[::3])


def test_a_pump_without_pipes_serves_readers() -> None:
    with Rig(pipes=0) as rig:
        readers = Readers(rig, [])
        reader = readers.join(Reader(rig, [(b"T", b"S1")]))
        rig.send(SENT[:100_000])
        reader.read_all()
        reader.check(TRADES)
        assert (rig.pump.counters().records_total, reader.counters.dropped_total) == (0, 0)
        assert reader.counters.delivered_total > 10


def test_as_much_may_wait_for_each_as_a_program_may_ask_for_and_no_more() -> None:
    with Rig() as rig:
        Reader(rig, [(b"T", None)], backlog_bytes=LARGEST_BACKLOG_BYTES)
        with pytest.raises(OSError, match="Invalid"):
            Reader(rig, [(b"T", None)], backlog_bytes=LARGEST_BACKLOG_BYTES + 1)
