"""What lies in a pipe that nobody reads any more: with what was read and what waits, it is all that was written."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress

import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from model import TEXT, Frame
from pumping import Rig

from lb.pump import Unread


def framed(record: bytes) -> bytes:
    return len(record).to_bytes(4, "little") + record


def padded(length: int) -> bytes:
    return b'{"a":"' + b"x" * (length - 8) + b'"}' if length >= 8 else b"{" + b" " * (length - 2) + b"}"


def whole(taken: bytes) -> tuple[int, int]:
    """How many frames a reader has got whole, and their bytes."""
    at = count = 0
    while at + 4 <= len(taken):
        end = at + 4 + int.from_bytes(taken[at : at + 4], "little")
        if end > len(taken):
            break
        at, count = end, count + 1
    return count, at


@given(
    records=st.lists(strategies.trades() | st.integers(2, 6000).map(padded), min_size=1, max_size=40),
    pipe_size_bytes=st.sampled_from([4096, 8192, 1 << 16]),
    high_water_bytes=st.sampled_from([1, 1000, 1 << 18]),
    taken_bytes=st.integers(0, 300) | st.integers(0, 1 << 17),
    is_closed=st.booleans(),
)
def test_each_record_is_read_or_unread_or_waiting(
    records: list[bytes], pipe_size_bytes: int, high_water_bytes: int, taken_bytes: int, is_closed: bool
) -> None:
    with Rig(pipe_size_bytes=pipe_size_bytes, high_water_bytes=high_water_bytes) as rig:
        rig.send_frames([Frame(TEXT, b"[" + record + b"]") for record in records])
        taken = rig.read(0, taken_bytes) if taken_bytes else b""
        dealt = [framed(record) for record in records[: rig.pump.counters().records_total]]
        if is_closed:
            rig.pump.close_pipe(0)
        unread = rig.pump.unread(0, rig.read_fds[0])
        left = rig.pump.pipe_counters(0)
        read_records, read_bytes = whole(taken)
        assert left.written_total == read_records + unread.records
        assert left.records_total == len(dealt) == read_records + unread.records + left.waiting_records
        part_bytes = len(taken) - read_bytes  # of a record that is unread, or waits again
        of_unread_bytes = sum(map(len, dealt[read_records : read_records + unread.records]))
        assert unread.bytes == of_unread_bytes - (part_bytes if unread.records else 0)
        assert left.waiting_bytes == sum(map(len, dealt[read_records + unread.records :]))
        assert rig.queued_bytes(0) == 0


def test_every_byte_at_which_a_reader_can_have_stopped() -> None:
    records = [b"{}", padded(31), padded(2000), padded(4500)]
    written = b"".join(map(framed, records))
    for taken_bytes in range(4096 + 1):
        with Rig(pipe_size_bytes=4096) as rig:
            rig.send_frames([Frame(TEXT, b"[" + b",".join(records) + b"]")])
            if taken_bytes:
                rig.read(0, taken_bytes)
            read_records, _ = whole(written[:taken_bytes])
            unread = rig.pump.unread(0, rig.read_fds[0])
            # the last record's rest waits: so all of it does, and what is unread ends before it
            assert unread == Unread(3 - read_records, max(len(written) - len(framed(records[3])) - taken_bytes, 0))
            assert rig.pump.pipe_counters(0).waiting_bytes == len(framed(records[3]))


def test_a_pipe_whose_write_end_is_closed_and_whose_read_end_would_block() -> None:
    with Rig(pipe_size_bytes=1 << 16) as rig:
        rig.send_frames([Frame(TEXT, b"[" + b",".join([padded(500)] * 20) + b"]")])
        rig.read(0, 600)
        rig.pump.close_pipe(0)
        closed_read_fd, closed_write_fd = os.pipe()
        os.close(closed_read_fd)
        os.dup2(closed_write_fd, rig.write_fds[0])  # so ends the last descriptor of the pipe's own write end
        os.close(closed_write_fd)
        os.set_blocking(rig.read_fds[0], True)
        assert rig.pump.unread(0, rig.read_fds[0]) == Unread(19, 20 * 504 - 600)
        assert rig.pump.unread(0, rig.read_fds[0]) == Unread(0, 0)


def test_a_blocking_pipe_that_is_empty() -> None:
    with Rig() as rig:
        os.set_blocking(rig.read_fds[0], True)
        assert rig.pump.unread(0, rig.read_fds[0]) == Unread(0, 0)


def test_a_pipe_of_more_than_one_look() -> None:
    with Rig(pipe_size_bytes=1 << 20, high_water_bytes=1 << 20, max_frame_bytes=1 << 21) as rig:
        with suppress(PermissionError):
            fcntl.fcntl(rig.write_fds[0], fcntl.F_SETPIPE_SZ, 4 << 20)
        records = [padded(length) for length in (700_000, 300_000, 5, 700_000, 100_000, 1_500_000)]
        rig.send_frames([Frame(TEXT, b"[" + record + b"]") for record in records])
        rig.read(0, 3)
        unread = rig.pump.unread(0, rig.read_fds[0])
        left = rig.pump.pipe_counters(0)
        dealt = records[: left.records_total]
        assert unread.records == left.written_total > 1
        assert unread.bytes == sum(len(record) + 4 for record in dealt[: unread.records]) - 3
        assert left.waiting_records == len(dealt) - unread.records


def test_what_is_no_pipe_is_an_error_with_its_errno() -> None:
    with Rig() as rig, pytest.raises(OSError, match="Invalid argument: 'pipe 0'"):
        rig.pump.unread(0, rig.session.fileno())
