"""Policy.SPILL: what a full pipe has no room for goes to the disk, and comes back whole and in order; and what becomes
of it where the disk has no room either."""

from __future__ import annotations

import errno
import resource
import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import model
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model import TEXT, Frame, crc32c
from pumping import assert_delivered, modelled
from spill_rig import (
    TRADES,
    close_all,
    framed,
    numbered,
    sent_as,
    spilled_segment,
    spilling,
    whole_records,
)
from strategies import cut_into, read_sizes

from lb.pump import PipeDrained, Route, Source, Vectors, Wake

RETRY_S = 0.1


@settings(max_examples=settings().max_examples // 4)  # each makes and deletes many files
@given(
    lengths=st.lists(st.integers(0, 3000), min_size=1) | st.lists(st.integers(0, 400), min_size=50, max_size=60),
    high_water_bytes=st.sampled_from([1, 100, 1000, 5000]),
    segment_bytes=st.sampled_from([1, 1000, 1 << 14]),
    reads=read_sizes(),
    bites=st.lists(st.integers(0, 6000), min_size=1, max_size=8),
    vectors=st.sampled_from(Vectors),
    route=st.sampled_from(Route),
    source=st.sampled_from([Source.SOCKET, Source.CALLER]),
)
def test_all_comes_whole_and_in_order_and_nothing_is_left_behind(
    lengths: list[int],
    high_water_bytes: int,
    segment_bytes: int,
    reads: list[int],
    bites: list[int],
    vectors: Vectors,
    route: Route,
    source: Source,
) -> None:
    frames = [Frame(TEXT, b"[" + b",".join(numbered(i, length) for i, length in enumerate(lengths)) + b"]")]
    expected = modelled(2, route)
    expected.session(frames)
    with (
        tempfile.TemporaryDirectory() as folder,
        spilling(
            Path(folder),
            pipes=2,
            segment_bytes=segment_bytes,
            high_water_bytes=high_water_bytes,
            vectors=vectors,
            route=route,
            source=source,
        ) as rig,
    ):
        for turn, piece in enumerate(cut_into(model.wire(frames[0]), reads)):
            rig.send(piece)
            rig.read(turn % 2, bites[turn % len(bites)])
        assert rig.pump.counters().full_total == 0
        rig.deliver()
        assert not any(Path(folder).iterdir())
        assert rig.pump.counters().spill_disk_bytes == 0
        rig.drain()
        assert_delivered(rig, expected)


def test_a_disk_that_refuses_amid_a_block_keeps_nothing_of_it(folder: Path) -> None:
    """At the begin of a segment, and behind other blocks of it."""
    expected = modelled(1, Route.ROUND_ROBIN)
    expected.session([Frame(TEXT, b"[" + b",".join(TRADES) + b"]")])
    with spilling(folder, high_water_bytes=5000) as rig:
        for most_bytes in (1000, 12_000):
            with largest_file(most_bytes):
                rig.send(sent_as(TRADES) if most_bytes == 1000 else b"")
                rig.run()
                time.sleep(RETRY_S)
                rig.run()
                refused = rig.pump.counters()
            assert refused.stopped
            assert refused.spill_errno == errno.EFBIG
            sizes = [file.stat().st_size for file in folder.iterdir()]
            assert sum(sizes) == refused.spill_disk_bytes
            assert bool(sizes) == (most_bytes > 5000)
        rig.finish_spilled()
        assert_delivered(rig, expected)
        assert not any(folder.iterdir())


@contextmanager
def largest_file(most_bytes: int) -> Iterator[None]:
    """No file gets longer (RLIMIT_FSIZE); Python ignores the signal that says so."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_more_may_wait_than_a_block_holds(folder: Path) -> None:
    records = [numbered(number, 700) for number in range(2000)]
    expected = modelled(1, Route.ROUND_ROBIN)
    expected.session([Frame(TEXT, b"[" + b",".join(records) + b"]")])
    with spilling(folder, high_water_bytes=1 << 20, segment_bytes=1 << 24, max_frame_bytes=1 << 17) as rig:
        rig.send(sent_as(records))
        assert rig.pump.pipe_counters(0).spilled_bytes > 1_000_000
        rig.deliver()
        rig.drain()
        assert_delivered(rig, expected)


def test_the_spill_is_bounded_and_then_reading_stops_until_there_is_room(folder: Path) -> None:
    expected = modelled(1, Route.ROUND_ROBIN)
    expected.session([Frame(TEXT, b"[" + b",".join(TRADES) + b"]")])
    with spilling(folder, max_bytes=100_000, high_water_bytes=5000) as rig:
        begin_s = time.monotonic()
        rig.send(sent_as(TRADES))
        for _ in range(100):
            rig.run()
        stopped = rig.pump.counters()
        assert stopped.stopped
        assert 0 < stopped.spill_refusals_total <= 1 + (time.monotonic() - begin_s) / RETRY_S
        assert stopped.spill_errno == 0
        assert 90_000 <= stopped.spill_disk_bytes <= 100_000
        assert sum(file.stat().st_size for file in folder.iterdir()) == stopped.spill_disk_bytes
        rig.finish_spilled()
        assert_delivered(rig, expected)
        assert not any(Path(folder).iterdir())


def test_a_record_that_was_begun_is_finished_whatever_happens_to_the_disk(folder: Path) -> None:
    """Or the reader would take the next record's bytes for this one's."""
    long_one = numbered(0, 8000)
    with spilling(folder, high_water_bytes=1000) as rig:
        rig.is_bytewise = False
        rig.send(sent_as([long_one]))  # longer than the pipe
        rig.send(sent_as(TRADES[:500]))
        assert rig.pump.pipe_counters(0).written_total == 0
        (file, *others) = sorted(folder.iterdir())
        assert others
        file.write_bytes(b"?" * file.stat().st_size)
        rig.deliver()
        rig.drain()
        got = whole_records(bytes(rig.received[0]))
        assert bytes(rig.received[0]) == framed(got)
        counted = rig.pump.pipe_counters(0)
        assert got == [long_one, *TRADES[counted.damaged_total : 500]]
        assert counted.dropped_total == counted.damaged_total > 0


def test_a_segment_that_was_taken_away_is_counted_as_lost(folder: Path) -> None:
    with spilling(folder, high_water_bytes=1000) as rig:
        rig.is_bytewise = False
        rig.send(sent_as(TRADES[:500]))
        for file in folder.iterdir():
            file.unlink()
        rig.deliver()
        rig.send(sent_as(TRADES[500:510]))
        rig.drain()
        counted = rig.pump.pipe_counters(0)
        assert counted.damaged_total == 510 - len(whole_records(bytes(rig.received[0]))) > 0
        assert bytes(rig.received[0]).endswith(framed(TRADES[500:510]))


@pytest.mark.parametrize("bite_bytes", [1, 50, 4000])
def test_a_reader_that_died_amid_a_record_leaves_whole_ones_to_the_next(folder: Path, bite_bytes: int) -> None:
    with spilling(folder, high_water_bytes=1000) as rig:
        rig.send(sent_as(TRADES[:500]))
        rig.read(0, bite_bytes)
        taken = whole_records(bytes(rig.received[0]))
        rig.realign(0)
        del rig.received[0][:]
        rig.is_bytewise = False
        counters = rig.pump.pipe_counters(0)
        while counters.spilled_records + counters.waiting_records:
            rig.pump.run(0)
            while data := rig.read(0, 1 << 20):
                assert data
            counters = rig.pump.pipe_counters(0)
        got = whole_records(bytes(rig.received[0]))
        assert bytes(rig.received[0]) == framed(got)
        assert got in (TRADES[len(taken) : 500], TRADES[len(taken) + 1 : 500])


def test_a_stop_waits_for_no_spilled_pipe_but_for_the_record_that_was_begun(folder: Path) -> None:
    with spilling(folder, pipes=2, high_water_bytes=1000) as rig:
        rig.send(sent_as(TRADES))
        rig.read_all()
        rig.begin_drain()
        rig.read(1, 1 << 20)
        events: list[Wake | None] = []
        while Wake.DRAINED not in events:
            rig.read_all()
            events.append(rig.run_once())
        assert [event for event in rig.told if isinstance(event, PipeDrained)] == [PipeDrained(0), PipeDrained(1)]
        close_all(rig)
        for pipe in range(2):
            got = whole_records(bytes(rig.received[pipe]))
            assert bytes(rig.received[pipe]) == framed(got)
            counted = rig.pump.pipe_counters(pipe)
            assert (counted.waiting_records, counted.spilled_records) == (0, 1500 - len(got))
            assert counted.spilled_records > 0


def test_a_segment_looks_as_the_docs_say(folder: Path) -> None:
    assert crc32c(b"123456789") == 0xE3069283
    file, begun, records = spilled_segment(folder, 12)
    frames = [framed([record]) for record in begun + records]
    header = b"LBSB" + struct.pack("<IQQI", len(frames), sum(map(len, frames)), 0, 0)
    crcs = [crc32c(header), *map(crc32c, frames)]
    expected = b"LBSPILL\1" + struct.pack("<QQQ", 0, (1 << 64) - 1, 0) + header + struct.pack("<14I", *crcs)
    assert file.read_bytes() == expected + b"".join(frames)


def test_least_backlog_counts_what_is_spilled(folder: Path) -> None:
    with spilling(folder, pipes=2, route=Route.LEAST_BACKLOG, high_water_bytes=5000) as rig:
        rig.send(sent_as(TRADES))
        while rig.pump.pipe_counters(1).spilled_records + rig.pump.pipe_counters(1).waiting_records:
            rig.read(1, 1 << 20)
            rig.run_once()
        rig.read(1, 1 << 20)
        before = [rig.pump.pipe_counters(pipe) for pipe in range(2)]
        assert before[0].spilled_bytes > 60_000
        rig.send(sent_as(TRADES[:200]))
        after = [rig.pump.pipe_counters(pipe) for pipe in range(2)]
        assert [now.records_total - then.records_total for now, then in zip(after, before, strict=True)] == [0, 200]


def test_files_are_for_their_owner_alone(folder: Path) -> None:
    file, _, _ = spilled_segment(folder)
    assert file.name == "00000-0000000000000000.spill"
    assert file.stat().st_mode & 0o777 == 0o600
