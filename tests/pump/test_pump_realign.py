"""A reader dies anywhere: the next one begins with a whole frame, the first that the dead one had not begun.

Nothing else is lost. Where the frame begun is not in the pipe whole, its rest waiting in the outbox, it comes again.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import strategies
from children import in_a_child
from hypothesis import given
from hypothesis import strategies as st
from model import TEXT, Frame
from pumping import Rig

from lb.pump import MAX_FRAME_BYTES_LIMIT

NESTED_END = b'{"a":{"b":{"c":{"d":{}}}}}'


def framed(record: bytes) -> bytes:
    return len(record).to_bytes(4, "little") + record


def padded(length: int) -> bytes:
    """A record of that many bytes."""
    return b'{"a":"' + b"x" * (length - 8) + b'"}' if length >= 8 else b"{" + b" " * (length - 2) + b"}"


def send(rig: Rig, records: list[bytes]) -> None:
    for record in records:  # one message each: each becomes a write of its own
        rig.send_frames([Frame(TEXT, b"[" + record + b"]")])


class Worker:
    """Takes bytes, dies, and is followed by another, again and again, on pipe 0."""

    def __init__(self, rig: Rig, records: list[bytes]) -> None:
        self._rig = rig
        self._frames = [framed(record) for record in records]
        """What the next reader should get, as far as known."""

    def take_and_die(self, most_bytes: int) -> None:
        """Read at most so many bytes, then realign, and check what that dropped."""
        taken_bytes = len(self._rig.read(0, most_bytes)) if most_bytes else 0
        written_bytes = taken_bytes + self._rig.queued_bytes(0)
        begin_bytes = 0
        while self._frames and begin_bytes + len(self._frames[0]) <= taken_bytes:
            begin_bytes += len(self._frames.pop(0))
        lost_bytes = 0
        if taken_bytes > begin_bytes:
            end_bytes = begin_bytes + len(self._frames[0])
            if end_bytes <= written_bytes:
                self._frames.pop(0)
            lost_bytes = min(end_bytes, written_bytes) - taken_bytes
        assert self._rig.realign(0) == lost_bytes

    def finishes(self) -> None:
        """The last one lives, and gets all the rest."""
        read_before_bytes = len(self._rig.received[0])
        self._rig.finish()
        assert bytes(self._rig.received[0][read_before_bytes:]) == b"".join(self._frames)


@given(
    records=st.lists(
        strategies.trades() | strategies.odd_objects() | st.integers(2, 6000).map(padded), min_size=1, max_size=30
    ),
    times=st.sampled_from([1, 1, 3, 20]),
    pipe_size_bytes=st.sampled_from([4096, 4096, 8192, 1 << 16]),
    high_water_bytes=st.sampled_from([1, 1000, 1 << 16]),
    deaths=st.lists(st.integers(0, 20_000) | st.integers(0, 300), min_size=1, max_size=5),
    is_one_message=st.booleans(),
)
def test_any_bytes_taken_any_number_of_deaths(
    records: list[bytes],
    times: int,
    pipe_size_bytes: int,
    high_water_bytes: int,
    deaths: list[int],
    is_one_message: bool,
) -> None:
    records = [record for record in records * times if b'"status"' not in record]
    with Rig(pipe_size_bytes=pipe_size_bytes, high_water_bytes=high_water_bytes) as rig:
        if is_one_message:
            rig.send_frames([Frame(TEXT, b"[" + b",".join(records) + b"]")])
        else:
            send(rig, records)
        worker = Worker(rig, records)
        for most_bytes in deaths:
            worker.take_and_die(most_bytes)
            rig.send(b"")
        worker.finishes()


def test_every_byte_at_which_a_reader_can_die() -> None:
    """With the last frame whole in the pipe, and with its rest still in the outbox."""
    records = [b"{}", NESTED_END, padded(31), '{"é":"}{"}'.encode(), padded(4500)]
    for taken_bytes in range(4096 + 1):
        with Rig(pipe_size_bytes=4096) as rig:
            rig.send_frames([Frame(TEXT, b"[" + b",".join(records) + b"]")])
            assert rig.pump.pipe_counters(0).waiting_bytes > 0
            worker = Worker(rig, records)
            worker.take_and_die(taken_bytes)
            worker.finishes()


def test_a_length_that_looks_like_the_begin_of_a_record_is_none() -> None:
    """The length of the second record has a '{' as its third byte. The two before it and the first one's last two look
    like another length: that of a frame that begins with '{', ends with '}', and has its end in sight."""
    first = padded(20)
    false_length = int.from_bytes(first[-2:] + b"\0\0", "little")
    second = bytearray(padded(int.from_bytes(b"\0\0{\0", "little")))
    second[false_length - 3] = ord("}")
    with Rig(pipe_size_bytes=1 << 16, max_frame_bytes=1 << 24) as rig:
        send(rig, [first, bytes(second)])
        worker = Worker(rig, [first, bytes(second)])
        worker.take_and_die(10)
        worker.finishes()


def test_an_empty_pipe_loses_nothing() -> None:
    with Rig() as rig:
        assert rig.realign(0) == 0
        send(rig, [NESTED_END])
        rig.finish()
        assert rig.received[0] == framed(NESTED_END)


def test_other_pipes_are_left_alone() -> None:
    with Rig(pipes=2) as rig:
        send(rig, [NESTED_END] * 4)
        rig.read(0, 5)
        assert rig.realign(0) == len(NESTED_END) - 1
        assert rig.queued_bytes(1) == 2 * len(framed(NESTED_END))


# Pipes that hold more than realign can look at in one go. ------------------------------------------------------------


def die_and_finish(rig: Rig, records: list[bytes], deaths: Iterable[int]) -> None:
    rig.send_frames([Frame(TEXT, b"[" + b",".join(records) + b"]")])
    worker = Worker(rig, records)
    for most_bytes in deaths:
        worker.take_and_die(most_bytes)
    worker.finishes()


LENGTHS = (5000, 70_000, 300_000, 1_100_000)
TAKEN_BYTES = (0, 1, 3, 4, 5, 100, 5003, 5004, 5005, 8190, 12_000, 200_000, 900_000)


def test_a_pipe_of_many_megabytes() -> None:
    for length in LENGTHS:
        records = [padded(5000), padded(length)] * (6_000_000 // (length + 5000))
        for taken_bytes in TAKEN_BYTES:
            try:
                rig = Rig(pipe_size_bytes=4 << 20, max_frame_bytes=1 << 24)
            except PermissionError:
                pytest.skip("a pipe of 4 MiB needs sysctl fs.pipe-max-size or CAP_SYS_RESOURCE")
            with rig:
                die_and_finish(rig, records, [taken_bytes, taken_bytes])


def test_where_the_system_grants_no_more_memory_for_pipes() -> None:
    """Over pipe-user-pages-soft a new pipe has two pages: no more is looked at in one go."""

    def work() -> None:
        for length in LENGTHS:
            records = [padded(5000), padded(length)] * (1_500_000 // (length + 5000) + 1)
            for taken_bytes in TAKEN_BYTES:
                with Rig(pipe_size_bytes=1 << 20, max_frame_bytes=1 << 24) as rig, no_pipe_memory():
                    die_and_finish(rig, records, [taken_bytes, taken_bytes])

    assert run_unprivileged(work) == 0


# A frame of 0x7B00 bytes has a '{' in its length. Behind the right three bytes that looks like the begin of a frame.
DECEIVING = {
    "a brace in the next frame's length": (b'{"a":[{"b":{}}]}', padded(0x7B00)),
    "a tab and a line end before a brace": (b'{"a":[{},\r\n\t{},\n\n\t{},\t\t\t{},\t\t\n{}]}', padded(200)),
}


@pytest.mark.parametrize("name", DECEIVING)
@pytest.mark.parametrize("max_frame_bytes", [1 << 24, MAX_FRAME_BYTES_LIMIT])
def test_bytes_that_look_like_a_length(name: str, max_frame_bytes: int) -> None:
    records = [*DECEIVING[name], *[padded(5000)] * 20]

    def work() -> None:
        for taken_bytes in range(1, len(framed(records[0])) + 6):
            with Rig(pipe_size_bytes=1 << 20, max_frame_bytes=max_frame_bytes) as rig, no_pipe_memory():
                die_and_finish(rig, records, [taken_bytes])

    assert run_unprivileged(work) == 0


def test_less_in_sight_than_a_length() -> None:
    """The frame that begins there may be lost, no other, and what the next reader gets are frames."""
    # 4096 + 1 bytes, then whole pages: nothing can join the single byte in its page.
    frames = [framed(padded(length - 4)) for length in (4097, 4096, 4096, 54, 64)]

    def work() -> None:
        for taken_bytes in (4093, 4094, 4095, 4096):
            with Rig() as rig, no_pipe_memory():
                send(rig, [frame[4:] for frame in frames])
                rig.read(0, taken_bytes)
                rig.realign(0)
                rest = os.read(rig.read_fds[0], 1 << 16)
                assert rest in (b"".join(frames[1:]), b"".join(frames[2:]))

    assert run_unprivileged(work) == 0


@contextmanager
def no_pipe_memory() -> Iterator[None]:
    """As if other programs of this user had taken all that fs.pipe-user-pages-soft allows."""
    with ExitStack() as stack:
        while True:
            ends = os.pipe()
            for fd in ends:
                stack.callback(os.close, fd)
            if fcntl.fcntl(ends[0], fcntl.F_GETPIPE_SZ) == 2 * os.sysconf("SC_PAGE_SIZE"):
                break
            with suppress(PermissionError):
                fcntl.fcntl(ends[0], fcntl.F_SETPIPE_SZ, 1 << 20)
        yield


def run_unprivileged(work: Callable[[], None]) -> int:
    """Do it in a process of its own, without root's privileges; return its exit status."""
    soft_limit_pages = int(Path("/proc/sys/fs/pipe-user-pages-soft").read_text())
    if not 0 < soft_limit_pages < 100_000:
        pytest.skip(f"fs.pipe-user-pages-soft={soft_limit_pages}: too much to use up")

    def unprivileged() -> None:
        if os.geteuid() == 0:
            os.setuid(65534)
        work()

    return in_a_child(unprivileged)


def test_no_pipe_at_all_is_an_error_with_its_errno() -> None:
    with Rig() as rig, pytest.raises(OSError, match="Invalid argument: 'pipe 0'"):
        rig.pump.realign(0, rig.session.fileno())
