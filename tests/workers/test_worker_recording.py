"""Recordings: what was written is read, up to the damage, whatever it is; nothing else is."""

from __future__ import annotations

import fcntl
import io
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import astuple, replace
from itertools import accumulate
from pathlib import Path

import pytest
import zstandard
from feeding import any_record, framed
from hypothesis import given, settings
from hypothesis import strategies as st

from trade_balancer.errors import InputError
from trade_balancer.line_files import Rotation
from trade_balancer.part_files import PART
from trade_balancer.recording.block import Block, new_compressor, pack_block, pack_head, unpack_block_head
from trade_balancer.recording.files import RecordingFiles, Settings
from trade_balancer.recording.left_over import complete_left_over
from trade_balancer.recording.reader import Recording, is_recording

Batch = tuple[int, list[bytes]]

a_record = any_record | st.sampled_from([b"", b"\n", b'{\n"a":\n1}', b"\n\n", b'{"ev":"lb","dropped":3}'])
some_batches = st.lists(
    st.tuples(st.integers(0, 700_000_000), st.lists(a_record, min_size=1, max_size=4)), min_size=1, max_size=12
)
BEGIN_NS = 1_700_000_000_000_000_000


def timed(steps: Sequence[Batch]) -> list[Batch]:
    """Pauses as times."""
    times_ns = accumulate((pause_ns for pause_ns, _ in steps), initial=BEGIN_NS)
    return [(time_ns, records) for time_ns, (_, records) in zip(times_ns, steps, strict=False)]


def record_to(
    folder: Path, batches: Sequence[Batch], block_bytes: int = 1 << 20, rotation: Rotation | None = None
) -> None:
    files = RecordingFiles(Settings(folder, "r", rotation or Rotation(0, 0), block_bytes=block_bytes))
    for time_ns, records in batches:
        half = len(records) // 2
        files.add([memoryview(framed(records[:half])), memoryview(framed(records[half:]))], time_ns)
    files.close()
    markers = sum(record == b'{"ev":"lb","dropped":3}' for _, records in batches for record in records)
    assert files.dropped_total == 3 * markers
    assert files.records_total == sum(len(records) for _, records in batches) - markers


def blocks_of(path: Path) -> tuple[list[list[Batch]], str]:
    """The batches of each whole block, and what is said of the rest."""
    with Recording(path) as recording:
        blocks = [list(block.batches()) for block in recording.blocks()]
        assert recording.is_complete != bool(recording.damage) or not recording.is_complete
        return blocks, recording.damage


def recorded(folder: Path, steps: Sequence[Batch], block_bytes: int) -> tuple[Path, list[list[Batch]], list[int]]:
    """A file of them, its blocks, and where each begins."""
    record_to(folder, timed(steps), block_bytes)
    (path,) = folder.iterdir()
    whole, _ = blocks_of(path)
    with Recording(path) as recording:
        return path, whole, [entry.offset_bytes for entry in recording.entries()]


def in_all(blocks: Sequence[Sequence[Batch]]) -> list[Batch]:
    return [batch for block in blocks for batch in block]


@settings(max_examples=60)
@given(some_batches, st.sampled_from([1, 30, 200, 1 << 20]))
def test_what_was_recorded_is_read_and_zstd_alone_makes_lines_of_it(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Batch], block_bytes: int
) -> None:
    folder = tmp_path_factory.mktemp("recording")
    batches = timed(steps)
    record_to(folder, batches, block_bytes)
    (path,) = folder.iterdir()
    assert is_recording(path)
    blocks, damage = blocks_of(path)
    assert (in_all(blocks), damage) == (batches, "")
    assert all(
        sum(len(record) + 1 for _, records in block[:-1] for record in records) < block_bytes for block in blocks
    )
    text = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(path.read_bytes()), read_across_frames=True).read()
    records = [record for _, records in batches for record in records]
    assert text == b"".join(record.replace(b"\n", b" ") + b"\n" for record in records)


@settings(max_examples=40)
@given(some_batches, st.sampled_from([1, 100]), st.data())
def test_a_torn_file_is_read_up_to_its_last_whole_block_and_completed_so(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Batch], block_bytes: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("recording")
    path, whole, begins = recorded(folder, steps, block_bytes)
    content = path.read_bytes()
    left_bytes = data.draw(st.integers(0, len(content) - 1))
    torn = path.with_name(path.name + PART)
    path.unlink()
    torn.write_bytes(content[:left_bytes])
    ends = [*begins[1:], len(content) - (len(begins) * 32 + 24)]
    expected = [block for end, block in zip(ends, whole, strict=True) if end <= left_bytes]
    if left_bytes < begins[0]:
        with pytest.raises(InputError, match="no recording"):
            Recording(torn)
    else:
        blocks, damage = blocks_of(torn)
        assert blocks == expected
        assert (damage == "") == (left_bytes in (begins[0], *ends))
        cut_bytes = left_bytes - max([begins[0], *(end for end in ends if end <= left_bytes)])
        assert not damage or damage.endswith(f"; its last {cut_bytes} bytes are not read")
    (told,) = complete_left_over(folder, "r")
    if expected:
        assert list(folder.iterdir()) == [path]
        assert blocks_of(path) == (expected, "")
        with Recording(path) as recording:
            assert list(recording.blocks())
            assert recording.is_complete
        assert f"{sum(len(records) for _, records in in_all(expected))} records in {len(expected)} blocks" in told
    else:
        assert list(folder.iterdir()) == []
        assert "no whole block" in told


@settings(max_examples=60)
@given(some_batches, st.sampled_from([1, 100]), st.data())
def test_of_a_damaged_file_the_blocks_before_the_damage_are_read(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Batch], block_bytes: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("recording")
    path, whole, begins = recorded(folder, steps, block_bytes)
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    if place < begins[0]:
        with pytest.raises(InputError, match="no recording"):
            Recording(path)
        return
    blocks, damage = blocks_of(path)
    untouched = sum(begin <= place for begin in begins) - 1
    index_begin = len(content) - (len(begins) * 32 + 24)
    assert blocks == whole[: untouched if place < index_begin else len(whole)]
    assert damage.startswith(f"{path}: damaged at byte {begins[untouched] if place < index_begin else index_begin}: ")
    with Recording(path) as recording:  # a seek never gives what was not written
        from_ns = data.draw(st.sampled_from([time_ns for time_ns, _ in in_all(whole)]))
        sought = [list(block.batches()) for block in recording.blocks(from_ns)]
    assert any(sought == whole[begin : begin + len(sought)] for begin in range(len(whole) + 1))


@settings(max_examples=40)
@given(some_batches, st.sampled_from([1, 100]), st.data())
def test_reading_begins_at_any_time_with_or_without_an_index(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Batch], block_bytes: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("recording")
    path, whole, _ = recorded(folder, steps, block_bytes)
    if data.draw(st.booleans()):
        path.write_bytes(path.read_bytes()[:-1])
    from_ns = BEGIN_NS + data.draw(st.integers(-1, 9_000_000_000))
    first = next((number for number, block in enumerate(whole) if block[-1][0] >= from_ns), len(whole))
    with Recording(path) as recording:
        assert [list(block.batches()) for block in recording.blocks(from_ns)] == whole[first:]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"text_bytes": 1 << 31}, "is longer than any"),
        ({"text_bytes": 7}, "has another length than its head says"),
        ({"batches": 1 << 31}, "is longer than any"),
        ({"records": 4}, "has another number of records than its head says"),
        ({"newlines": 1, "batches": 1}, "a block"),
        ({"number": 1}, "block 1 stands where block 0 should"),
        ({"lines_bytes": 1 << 31}, "it ends inside a block"),
        ({"table_bytes": 0}, "contradict each other"),
    ],
)
def test_what_lies_with_a_right_checksum_is_not_believed(change: dict[str, int], why: str, tmp_path: Path) -> None:
    compressor = new_compressor(1)
    begin = pack_head({})
    data = bytearray(pack_block(0, Block(b"a\nb\nc\n", [1, 2], [1, 2]), compressor))
    head = replace(unpack_block_head(bytes(data)), **change)
    data[16:72] = struct.pack("<QqqQIIIIII", *astuple(head))
    data[12:16] = zlib.crc32(data[16:]).to_bytes(4, "little")
    path = tmp_path / "r-x.jsonl.zst"
    path.write_bytes(begin + data)
    blocks, damage = blocks_of(path)
    assert blocks == []
    assert why in damage


def test_a_file_that_is_being_written_is_nobody_s_left_over(tmp_path: Path) -> None:
    path = tmp_path / f"r-x.jsonl.zst{PART}"
    path.write_bytes(b"anything")
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert list(complete_left_over(tmp_path, "r")) == []
    assert len(list(complete_left_over(tmp_path, "r"))) == 1
    assert list(tmp_path.iterdir()) == []


def test_files_end_by_size_and_by_the_hour_between_two_batches(tmp_path: Path) -> None:
    batches = [(BEGIN_NS + 600 * 10**9 * number, [os.urandom(300).hex().encode()]) for number in range(13)]
    (tmp_path / "hourly").mkdir()
    record_to(tmp_path / "hourly", batches, rotation=Rotation(0, 3600))
    hours = [in_all(blocks_of(path)[0]) for path in sorted((tmp_path / "hourly").iterdir())]
    assert in_all(hours) == batches
    assert [len({time_ns // (3600 * 10**9) for time_ns, _ in hour}) for hour in hours] == [1, 1, 1]
    (tmp_path / "small").mkdir()
    record_to(tmp_path / "small", batches, block_bytes=1, rotation=Rotation(1000, 0))
    sizes = [path.stat().st_size for path in (tmp_path / "small").iterdir()]
    assert len(sizes) > 2
    assert max(sizes) < 2000


def test_what_is_no_recording_is_told(tmp_path: Path) -> None:
    for content in (b"", b"{}\n", zstandard.compress(b"{}\n"), b"\x5d\x2a\x4d\x18" + bytes(20)):
        path = tmp_path / "file"
        path.write_bytes(content)
        assert not is_recording(path)
        with pytest.raises(InputError, match="no recording"):
            Recording(path)
    with pytest.raises(InputError, match="No such file"):
        Recording(tmp_path / "none")
