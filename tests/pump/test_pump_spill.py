"""Policy.SPILL: what a full pipe has no room for goes to the disk, and comes back whole and in order, also to the next
pump; and what the disk does to it is told to the record."""

from __future__ import annotations

import errno
import os
import resource
import struct
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import model
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model import TEXT, Frame, crc32c
from pumping import Rig, assert_delivered, modelled
from strategies import cut_into, read_sizes

from lb.pump import PipeDrained, Policy, Recovered, Route, SegmentRefused, Source, Spill, Vectors, Wake

MAX_BYTES = 1 << 40
RETRY_S = 0.1
HEADER_BYTES, BLOCK_HEADER_BYTES, CRC_BYTES = 32, 32, 4


def numbered(number: int, length: int = 60) -> bytes:
    return b'{"ev":"T","sym":"S%d","i":%d,"pad":"%s"}' % (number % 7, number, b"x" * length)


TRADES = [numbered(number) for number in range(3000)]


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


@given(
    lengths=st.lists(st.integers(0, 3000), min_size=1) | st.lists(st.integers(0, 60), min_size=100, max_size=200),
    high_water_bytes=st.sampled_from([1, 100, 1000, 5000]),
    segment_bytes=st.sampled_from([1, 1000, 1 << 14]),
    stops=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 20_000), st.booleans()), min_size=1, max_size=4),
)
def test_the_next_pump_goes_on_where_the_last_one_stopped(
    lengths: list[int], high_water_bytes: int, segment_bytes: int, stops: list[tuple[int, int, bool]]
) -> None:
    """Each pump gets some of the records, then its workers read some, then it stops; or it is killed: then what was
    read back may come twice, and what waited in memory is lost."""
    records = [numbered(number, length) for number, length in enumerate(lengths)]
    got: list[bytes] = []
    kept = None
    with tempfile.TemporaryDirectory() as folder:
        for count, read_bytes, is_killed in [*stops, (len(records), 0, False)]:
            batch, records = records[:count], records[count:]
            with spilling(Path(folder), segment_bytes=segment_bytes, high_water_bytes=high_water_bytes) as rig:
                found = rig.recover(Path(folder))
                assert found.cut_bytes == 0
                assert rig.pump.counters().spill_disk_bytes == sum(
                    file.stat().st_size for file in Path(folder).iterdir()
                )
                assert kept is None or found.records == kept
                rig.send(sent_as(batch))
                for _ in range(read_bytes // 5000):
                    rig.read(0, 5000)
                    rig.run()
                if not records:
                    rig.deliver()
                counted = rig.pump.pipe_counters(0)
                if is_killed:
                    rig.read_all()
                    kept = None
                else:
                    close_all(rig)
                    counted = rig.pump.pipe_counters(0)
                    assert counted.waiting_records == 0
                    kept = counted.spilled_records
                mine = whole_records(bytes(rig.received[0]))
                expected_total = found.records + len(batch)
                assert len(mine) + counted.spilled_records + counted.waiting_records == expected_total
            numbers = [int(record.partition(b'"i":')[2].partition(b",")[0]) for record in mine]
            assert numbers == sorted(set(numbers))
            got += mine
    all_of_them = [numbered(number, length) for number, length in enumerate(lengths)]
    if not any(is_killed for _, _, is_killed in stops):
        assert got == all_of_them
    assert set(got) <= set(all_of_them)


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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "spill"
    made.mkdir()
    return made


def test_a_segment_cut_off_anywhere_is_good_up_to_its_last_whole_record(folder: Path) -> None:
    file, begun, records = spilled_segment(folder, 12)
    all_of_them = begun + records
    whole = file.read_bytes()
    frames_at = len(whole) - len(framed(all_of_them))
    ends = [frames_at + len(framed(all_of_them[:count])) for count in range(len(all_of_them) + 1)]
    for size in [*range(200), *range(5000, len(whole) + 1)]:
        file.write_bytes(whole[:size])
        found, got, _ = recovered(folder)
        count = sum(end <= size for end in ends[1:])
        assert (got, found.records) == (all_of_them[:count], count), size
        whole_bytes = ends[count] if count else HEADER_BYTES if size >= HEADER_BYTES else 0
        assert found.cut_bytes == (0 if size == HEADER_BYTES else size - whole_bytes), size


def test_a_byte_that_was_changed_anywhere_costs_its_record_and_is_told(folder: Path) -> None:
    file, begun, records = spilled_segment(folder, 12)
    all_of_them = begun + records
    whole = file.read_bytes()
    frames_at = len(whole) - len(framed(all_of_them))
    for at in [*range(frames_at), *range(frames_at + 4990, len(whole))]:
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        try:
            found, got, rig = recovered(folder)
        except SegmentRefused:
            assert at == 7  # the version
            continue
        lost = found.records - len(got)
        assert rig.pump.pipe_counters(0).damaged_total == rig.pump.pipe_counters(0).dropped_total == lost
        assert set(got) <= set(all_of_them)
        if at < HEADER_BYTES:
            assert (got, lost) == (all_of_them, 0)
            assert found.is_damaged or at >= 24
        elif at < HEADER_BYTES + BLOCK_HEADER_BYTES:
            assert (got, found.cut_bytes) == ([], len(whole) - HEADER_BYTES)
        elif at < frames_at:
            assert lost == 1
        else:
            assert found.records == len(all_of_them)
            record = sum(frames_at + len(framed(all_of_them[:count])) <= at for count in range(1, len(all_of_them)))
            is_length = at - frames_at - len(framed(all_of_them[:record])) < 4
            assert got[:record] == all_of_them[:record]
            assert lost >= 1 if is_length else got == all_of_them[:record] + all_of_them[record + 1 :]


def test_damaged_records_between_good_ones_cost_only_themselves(folder: Path) -> None:
    """Of two segments, so that what comes behind a block with damaged records is seen, too."""
    records = [numbered(number) for number in range(400)]
    with spilling(folder, high_water_bytes=100, segment_bytes=1 << 14) as rig:
        rig.send(sent_as(records))
        close_all(rig)
        before = whole_records(bytes(rig.received[0]))
    first, *others = sorted(folder.iterdir())
    assert others
    damaged = [record for record in records if record in first.read_bytes()][3:20:8]
    content = first.read_bytes()
    for record in damaged:
        content = content.replace(record, record.upper())
    first.write_bytes(content)
    found, got, rig = recovered(folder)
    assert before + got == [record for record in records if record not in damaged]
    assert found.records - len(got) == rig.pump.pipe_counters(0).damaged_total == len(damaged) == 3


def test_a_block_that_was_delivered_in_part_goes_on_within(folder: Path) -> None:
    records = [numbered(number, 100) for number in range(150)]
    with spilling(folder, high_water_bytes=5000) as rig:
        rig.send(sent_as(records))
        for _ in range(3):
            rig.read(0, 5000)
            rig.run()
        close_all(rig)
        kept = rig.pump.pipe_counters(0).spilled_records
        before = whole_records(bytes(rig.received[0]))
    found, rest, _ = recovered(folder)
    assert 0 < found.records == kept < len(records) - 50
    assert before + rest == records


def test_a_block_that_stands_there_twice_is_delivered_once(folder: Path) -> None:
    file, begun, records = spilled_segment(folder)
    whole = file.read_bytes()
    block = whole[HEADER_BYTES:]
    file.write_bytes(whole + block)
    found, got, _ = recovered(folder)
    assert (got, found.cut_bytes) == (begun + records, len(block))


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


def test_a_segment_of_another_version_is_refused(folder: Path) -> None:
    file, _, _ = spilled_segment(folder)
    whole = bytearray(file.read_bytes())
    whole[7] = 2
    file.write_bytes(whole)
    with spilling(folder) as rig, pytest.raises(SegmentRefused, match="another version"):
        rig.recover(folder)
    assert file.read_bytes() == whole


def test_a_record_that_is_too_long_now_is_refused(folder: Path) -> None:
    records = [numbered(0, 500_000), numbered(1)]
    with spilling(folder, high_water_bytes=1000) as rig:
        rig.send(sent_as(records))
        close_all(rig)
    with (
        spilling(folder, max_frame_bytes=400_000) as rig,
        pytest.raises(SegmentRefused, match="max_frame_bytes=400000"),
    ):
        rig.recover(folder)
    found, got, _ = recovered(folder)
    assert (found.records, got) == (2, records)


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


@pytest.mark.parametrize("segment_bytes", [1, 1 << 20])
def test_after_a_kill_no_more_than_a_block_comes_twice(folder: Path, segment_bytes: int) -> None:
    with spilling(folder, high_water_bytes=5000, segment_bytes=segment_bytes) as rig:
        rig.send(sent_as(TRADES))
        while rig.pump.pipe_counters(0).written_total < len(TRADES) // 2:
            rig.read_all()
            rig.run_once()
        written = rig.pump.pipe_counters(0).written_total
    _, got, _ = recovered(folder)
    again = written - TRADES.index(got[0])
    assert 0 <= again <= 5000 // len(TRADES[0])
    assert got == TRADES[written - again :][: len(got)]


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
