"""Policy.SPILL: the next pump goes on where the last one stopped, or was killed; and what has become of a segment
meanwhile is told to the record."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spill_rig import (
    BLOCK_HEADER_BYTES,
    HEADER_BYTES,
    TRADES,
    close_all,
    framed,
    numbered,
    recovered,
    sent_as,
    spilled_segment,
    spilling,
    whole_records,
)

from lb.pump import SegmentRefused


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
