"""Standard error closed, full, without a reader, or with a reader that does not read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest
from harness import Feed, Lb, message

RECORDS = [b'{"ev":"T","sym":"A","s":%d}' % number for number in range(50)]


@contextlib.contextmanager
def no_space() -> Iterator[int]:
    fd = os.open("/dev/full", os.O_WRONLY)
    yield fd
    os.close(fd)


@contextlib.contextmanager
def no_reader() -> Iterator[int]:
    read_end, write_end = os.pipe()
    os.close(read_end)
    yield write_end
    os.close(write_end)


@contextlib.contextmanager
def full_pipe() -> Iterator[int]:
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write_end, b"x" * 4096)
    os.set_blocking(write_end, True)
    yield write_end
    os.close(read_end)
    os.close(write_end)


@pytest.mark.parametrize("standard_error", [no_space, no_reader, full_pipe])
def test_records_flow_and_the_exit_code_is_0(
    standard_error: contextlib.AbstractContextManager[int],
) -> None:
    with (
        standard_error() as fd,
        Feed() as feed,
        Lb(feed.url, 2, "--stats-interval", "0.01", stderr=fd) as lb,
        feed.session() as peer,
    ):
        for record in RECORDS:
            peer.say(message([record]))
        assert lb.await_records(len(RECORDS)).pipes == {0: RECORDS[::2], 1: RECORDS[1::2]}
        assert lb.stop().exit_code == 0


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_closed_one_is_no_place_for_a_pipe_or_socket(closed: str) -> None:
    show = ("/bin/sh", "-c", 'for fd in 0 1 2; do readlink /proc/$$/fd/$fd; done >"$0.part"; mv "$0.part" "$0"')
    read_end, write_end = os.pipe()
    before = ("/bin/sh", "-c", f'exec "$@" {closed}', "sh")
    with (
        Feed() as feed,
        Lb(feed.url, before=before, worker=["/bin/sh", "-c", f"readlink /proc/$$/fd/[012] >&{write_end}"],) as lb,
        feed.session(),
    ):
        pass
    os.close(read_end)
    os.close(write_end)
