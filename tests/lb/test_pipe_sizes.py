"""Pipes: as large as asked or granted, read back, and told."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest
from harness import Lb, inline

from lb import logs
from lb.config import LogFormat, LogLevel
from lb.slots import pipes
from lb.slots.allowance import Allowance

NO_FEED = "ws://127.0.0.1:1/stocks"

# A worker that tells the size of each pipe as the kernel says it.
TELLS_SIZES = inline("""
    import fcntl, os, sys
    print(*(fcntl.fcntl(int(fd), 1032) for fd in sys.argv[1:]), flush=True)
    os.read(int(sys.argv[1]), 1)
""")

# Without CAP_SYS_RESOURCE, as a service runs; where the test itself has not got it, nothing changes.
UNPRIVILEGED = inline("""
    import ctypes, os, sys
    ctypes.CDLL(None).prctl(24, 24, 0, 0, 0)
    os.execv(sys.argv[1], sys.argv[1:])
""")


def limit_bytes() -> int:
    return int(Path("/proc/sys/fs/pipe-max-size").read_text())


def test_a_size_that_is_granted_is_what_the_worker_finds() -> None:
    with Lb(NO_FEED, 2, "--pipe-size", "131072", worker=TELLS_SIZES) as lb:
        assert lb.await_output() == b"131072 131072\n"
        assert lb.await_line("pipes ready", pipes=2, pipe_size_bytes=131072)
        lb.await_line("worker started")
        assert not [line for line in lb.lines if "remedy" in line]


def test_a_smaller_size_than_the_kernels_own_is_granted_too() -> None:
    with Lb(NO_FEED, 1, "--pipe-size", "4096", worker=TELLS_SIZES) as lb:
        assert lb.await_output() == b"4096\n"


def test_without_the_capability_half_and_half_again_is_asked_and_the_remedy_is_named() -> None:
    asked_bytes = limit_bytes() * 8
    with Lb(NO_FEED, 1, "--pipe-size", str(asked_bytes), before=UNPRIVILEGED, worker=TELLS_SIZES) as lb:
        assert lb.await_output() == f"{limit_bytes()}\n".encode()
        assert lb.await_line(
            "pipes are smaller than asked",
            level="warning",
            pipe_size_bytes=limit_bytes(),
            asked_bytes=asked_bytes,
            remedy=f"sysctl fs.pipe-max-size={asked_bytes} or CAP_SYS_RESOURCE",
        )


def test_pipes_that_nobody_asked_to_be_larger_are_no_reason_to_warn() -> None:
    with Lb(NO_FEED, 1, before=UNPRIVILEGED, worker=TELLS_SIZES) as lb:
        assert lb.await_output() == f"{limit_bytes()}\n".encode()
        most_bytes = pipes._largest_share_bytes(1)
        lb.await_line("pipes ready", level="info", pipes=1, pipe_size_bytes=limit_bytes())
        remedy = f"sysctl fs.pipe-max-size={most_bytes} or CAP_SYS_RESOURCE"
        lb.await_line("larger pipes are possible", level="info", most_bytes=most_bytes, remedy=remedy)


def test_more_than_the_kernel_can_give_is_said_to_be_so() -> None:
    with Lb(NO_FEED, 1, "--pipe-size", str(1 << 31), before=UNPRIVILEGED, worker=TELLS_SIZES) as lb:
        assert lb.await_output() == f"{limit_bytes()}\n".encode()
        lb.await_line("pipes ready", pipe_size_bytes=limit_bytes())
        lb.await_line(
            "pipes are smaller than asked",
            remedy="a smaller --pipe-size: the kernel grants no more than 268435456 bytes",
        )


def test_sizes_that_differ_are_numbers_too(capfd: pytest.CaptureFixture[str]) -> None:
    logs.start(LogLevel.INFO, LogFormat.JSON)
    made = pipes.Pipes(3, 4096, Allowance())
    try:
        made.size_bytes[1] = 8192
        capfd.readouterr()
        made._report(4096, is_asked=True)
        (line,) = map(json.loads, capfd.readouterr().err.splitlines())
        assert (line["pipe_size_bytes_least"], line["pipe_size_bytes_most"]) == (4096, 8192)
    finally:
        made.close()


@pytest.mark.parametrize("count", [1, 3, 4, 57, 1000, 65536])
def test_all_pipes_together_ask_for_at_most_a_quarter_of_the_memory(count: int) -> None:
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    share_bytes = pipes._largest_share_bytes(count)
    assert share_bytes == 4096 or share_bytes * count <= memory_bytes // 4
    assert 4096 <= share_bytes <= pipes.LARGEST_BYTES
    assert share_bytes & (share_bytes - 1) == 0, "the kernel would round up to a power of two"


def test_backlog_is_what_the_reader_has_not_read() -> None:
    made = pipes.Pipes(2, 65536, Allowance())
    try:
        os.write(made.write_fds[1], b"12345")
        assert made.backlog_bytes() == [0, 5]
        os.read(made.read_fds[1], 2)
        assert made.backlog_bytes() == [0, 3]
        assert made.size_bytes == [65536, 65536]
        assert all(fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ) == 65536 for fd in made.read_fds)
        assert not os.get_blocking(made.write_fds[0])
        assert os.get_blocking(made.read_fds[0])
        assert not os.get_inheritable(made.read_fds[0])
    finally:
        made.close()
