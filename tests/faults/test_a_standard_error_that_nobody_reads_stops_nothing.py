"""Standard error closed, full, without a reader, or with a reader that does not read."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from harness import Feed, Lb, inline, lb_environment, message

from lb.errors import EX_USAGE

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
    standard_error: Callable[[], AbstractContextManager[int]],
) -> None:
    with (
        standard_error() as fd,
        Feed() as feed,
        Lb(feed.url, 2, "--stats-interval", "0.05", stderr=fd) as lb,
        feed.session() as peer,
    ):
        for record in RECORDS:
            peer.say(message([record]))
        assert lb.await_records(len(RECORDS)).pipes == {0: RECORDS[::2], 1: RECORDS[1::2]}
        assert lb.stop().exit_code == 0


SHOWS_STANDARD_DESCRIPTORS = inline("""
    import os, sys
    with open("seen", "w") as seen:
        print(*(os.readlink(f"/proc/self/fd/{fd}") for fd in (0, 1, 2)), file=seen)
    while os.read(int(sys.argv[1]), 65536):
        pass
""")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_one_is_no_place_for_a_pipe_or_socket(tmp_path: Path, closed: str) -> None:
    """A worker's print() would go to the feed."""
    os.mkfifo(tmp_path / "seen")
    before = ("/bin/sh", "-c", f'exec "$@" {closed}', "sh")
    streams: dict[str, Any] = dict.fromkeys(["stdin", "stdout", "stderr"], subprocess.DEVNULL)
    with (
        Feed() as feed,
        Lb(feed.url, before=before, worker=SHOWS_STANDARD_DESCRIPTORS, directory=tmp_path, **streams) as lb,
        feed.session() as peer,
    ):
        assert (tmp_path / "seen").read_text().split() == ["/dev/null"] * 3
        peer.say(message(RECORDS[:1]))
        assert lb.stop().exit_code == 0
        assert [closing.close_code for closing in peer.receive_to_end()] == [1000]


@pytest.mark.parametrize("standard_error", [no_space, no_reader])
def test_a_command_line_that_can_not_work_has_its_exit_code_all_the_same(
    standard_error: Callable[[], AbstractContextManager[int]],
) -> None:
    with standard_error() as fd:
        done = subprocess.run(
            [sys.executable, "-m", "lb", "KEY"], env=lb_environment(), stderr=fd, stdout=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stdout) == (EX_USAGE, b"")
