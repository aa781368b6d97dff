"""Real pipes: many at once, larger records than any buffer, truncated ends, and fds that are none."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from feeding import any_record, cut_streams, decoded_simply, framed, pipes_with
from hypothesis import given
from hypothesis import strategies as st

from trade_balancer import PipeError, ReadError, TruncatedFrameError, batches, views


@given(st.lists(st.lists(any_record, max_size=8), min_size=1, max_size=5))
def test_every_pipe_gives_its_own_records_in_order(records_per_pipe: list[list[bytes]]) -> None:
    with pipes_with([[framed(records)] for records in records_per_pipe]) as fds:
        received: dict[int, list[bytes]] = {fd: [] for fd in fds}
        for fd, records in batches(fds):
            assert records
            received[fd] += records
        assert list(received.values()) == records_per_pipe


@given(st.lists(cut_streams(), min_size=1, max_size=3))
def test_views_show_the_whole_frames_of_every_pipe(cases: list[tuple[bytes, list[bytes]]]) -> None:
    with pipes_with([chunks for _, chunks in cases]) as fds:
        received = dict.fromkeys(fds, b"")
        fault = ""
        try:
            for fd, view in views(fds):
                received[fd] += view
        except TruncatedFrameError as raised:
            fault = str(raised)
    assert list(received.values()) == [framed(decoded_simply(stream)) for stream, _ in cases]
    assert bool(fault) == any(received[fd] != stream for fd, (stream, _) in zip(fds, cases, strict=True))


@given(st.lists(cut_streams(), min_size=1, max_size=4))
def test_truncated_ends_lose_nothing_before_them_and_name_every_fd(cases: list[tuple[bytes, list[bytes]]]) -> None:
    streams = [stream for stream, _ in cases]
    truncated = {index for index, stream in enumerate(streams) if framed(decoded_simply(stream)) != stream}
    with pipes_with([chunks for _, chunks in cases]) as fds:
        received: dict[int, list[bytes]] = {fd: [] for fd in fds}
        fault: TruncatedFrameError | None = None
        try:
            for fd, records in batches(fds):
                received[fd] += records
        except TruncatedFrameError as raised:
            fault = raised
        assert list(received.values()) == [decoded_simply(stream) for stream in streams]
        assert {index for index, fd in enumerate(fds) if f"fd {fd}: " in str(fault)} == truncated
        assert fault is None or fault.exit_code == 65


def test_records_larger_than_the_read_buffer_and_the_pipe_come_whole() -> None:
    large = [bytes([number]) * (3 << 20) for number in range(3)]
    with pipes_with([[framed([b"a", large[0], b"", large[1]])], [framed([large[2]])]]) as fds:
        received: dict[int, list[bytes]] = {fd: [] for fd in fds}
        for fd, records in batches(fds):
            received[fd] += records
    assert list(received.values()) == [[b"a", large[0], b"", large[1]], [large[2]]]


def test_a_busy_pipe_does_not_keep_a_quiet_one_from_its_turn() -> None:
    quiet_read, quiet_write = os.pipe()
    busy_read, busy_write = os.pipe()
    try:
        os.write(quiet_write, framed([b"quiet"]))
        os.write(busy_write, framed([b"busy"]))
        turns = batches([busy_read, quiet_read])
        first_two = set()
        for _ in range(2):
            fd, _records = next(turns)
            first_two.add(fd)
            os.write(busy_write, framed([b"busy"]))
        assert first_two == {quiet_read, busy_read}
        turns.close()  # type: ignore[attr-defined]
    finally:
        for fd in (quiet_read, quiet_write, busy_read, busy_write):
            os.close(fd)


@pytest.mark.parametrize("pipes", [1, 3])
def test_the_pipes_stay_blocking_and_open(pipes: int) -> None:
    with pipes_with([[framed([b"x"])] for _ in range(pipes)]) as fds:
        before = [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in fds]
        for fd, _ in batches(fds):
            assert os.get_blocking(fd)
        assert [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in fds] == before


def test_a_single_regular_file_is_read_to_its_end(tmp_path: Path) -> None:
    recording = tmp_path / "recording"
    recording.write_bytes(framed([b"one", b"two"]))
    with recording.open("rb") as file:
        assert list(batches([file.fileno()])) == [(file.fileno(), [b"one", b"two"])]


def test_fds_that_cannot_be_read_are_refused_by_number(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        for fds, text in [
            ([], "no file descriptors of pipes: name at least one"),
            ([read_end, 99_999], "fd 99999: not an open file descriptor"),
            ([10**30], f"fd {10**30}: not an open file descriptor"),
            ([write_end], f"fd {write_end}: open for writing only, a pipe's read end is needed"),
            ([read_end, read_end], f"fd {read_end}: named twice"),
            (
                [read_end, directory],
                f"fd {directory}: cannot be waited for beside other pipes: Operation not permitted",
            ),
        ]:
            with pytest.raises(PipeError) as refused:
                list(batches(fds))
            assert (str(refused.value), refused.value.exit_code) == (text, 64)
        with pytest.raises(ReadError, match=f"^fd {directory}: cannot read: Is a directory$"):
            list(batches([directory]))
    finally:
        for fd in (read_end, write_end, directory):
            os.close(fd)
