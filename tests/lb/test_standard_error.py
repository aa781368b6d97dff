"""Lines on standard error: whole where there is room, never waited for, whatever standard error is and whoever shares
it."""

from __future__ import annotations

import contextlib
import itertools
import os
import pty
import select
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from harness import lb_environment

from lb.standard_error import StandardError


@contextlib.contextmanager
def standard_error_is(fd: int) -> Iterator[None]:
    """`fd` for the time of the block, with the flags it has."""
    before = os.dup(2)
    os.dup2(fd, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


Ends = tuple[int, int]


@contextlib.contextmanager
def pipe() -> Iterator[Ends]:
    read_end, write_end = os.pipe()
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, read_end)
        stack.callback(os.close, write_end)
        yield read_end, write_end


@contextlib.contextmanager
def stream_socket() -> Iterator[Ends]:
    one, other = socket.socketpair()
    with one, other:
        yield one.fileno(), other.fileno()


@contextlib.contextmanager
def terminal() -> Iterator[Ends]:
    controller, user = pty.openpty()
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, controller)
        stack.callback(os.close, user)
        yield controller, user


KINDS = [pipe, stream_socket, terminal]
Kind = Callable[[], contextlib.AbstractContextManager[Ends]]


def read_all(fd: int) -> bytes:
    """All that can be read now."""
    data = b""
    while select.select([fd], [], [], 0)[0]:
        data += os.read(fd, 65536)
    return data.replace(b"\r\n", b"\n")  # as a terminal shows it


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_is_written_until_there_is_no_room_and_then_left_out(kind: Kind) -> None:
    with kind() as (read_end, write_end), standard_error_is(write_end):
        standard_error = StandardError()
        lines = [b"%d " % number + b"x" * 100 + b"\n" for number in range(100_000)]
        written = 0
        while standard_error.write(lines[written]):
            written += 1
        assert 0 < written < len(lines)
        assert not standard_error.write(b"no room\n")
        seen = read_all(read_end)
        assert seen.startswith(b"".join(lines[:written]))
        assert standard_error.write(b"again\n")
        torn = seen[len(b"".join(lines[:written])) :]
        assert read_all(read_end) == (b"\nagain\n" if torn else b"again\n"), "a torn line is ended"
        assert os.get_blocking(2), "others may share the description, and expect it to wait"


def filler_of(write_end: int, stack: contextlib.ExitStack) -> Callable[[], None]:
    """What leaves no room, without waiting."""
    if stat.S_ISSOCK(os.fstat(write_end).st_mode):
        other = stack.enter_context(socket.socket(fileno=os.dup(write_end)))
        write: Callable[[bytes], int] = partial(_send, other)
    else:
        fd = os.open(f"/proc/self/fd/{write_end}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        stack.callback(os.close, fd)
        write = partial(os.write, fd)

    def fill() -> None:
        for size in (4096, 1):
            with contextlib.suppress(BlockingIOError):
                while True:
                    write(b"y" * size)

    return fill


def _send(sock: socket.socket, data: bytes) -> int:
    return sock.send(data, socket.MSG_DONTWAIT)


def at_call(number: int, do: Callable[[], None]) -> Callable[[object, str, object], None]:
    """A profile function that does something in front of one of the calls of what is not written in Python."""
    calls = itertools.count()

    def called(_frame: object, event: str, _function: object) -> None:
        if event == "c_call" and next(calls) == number:
            do()

    return called


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", KINDS)
def test_others_that_fill_the_room_between_any_two_calls_do_not_stop_us(kind: Kind) -> None:
    """As workers do, who share it: what a poll() has found is gone when the write comes."""
    with kind() as (read_end, write_end), standard_error_is(write_end), contextlib.ExitStack() as stack:
        fill = filler_of(write_end, stack)
        is_written, moment = False, 0
        while not is_written:  # it is, once the moment lies behind the last call
            sys.setprofile(at_call(moment, fill))
            try:
                is_written = StandardError().write(b"line\n")
            finally:
                sys.setprofile(None)
            assert is_written == (b"line" in read_all(read_end))
            moment += 1
        assert moment > 3 or kind is terminal, "a terminal that was filled may have room again at once"


def test_a_line_longer_than_a_pipes_atom_is_whole() -> None:
    with pipe() as (read_end, write_end), standard_error_is(write_end):
        assert StandardError().write(b"x" * 20_000 + b"\n")
        assert read_all(read_end) == b"x" * 20_000 + b"\n"


def test_a_line_that_was_cut_is_ended_before_the_next_begins() -> None:
    with pipe() as (read_end, write_end), standard_error_is(write_end):
        standard_error = StandardError()
        assert not standard_error.write(b"x" * 100_000 + b"\n")
        assert set(read_all(read_end)) == set(b"x")
        assert standard_error.write(b"next\n")
        assert standard_error.write(b"after\n")
        assert read_all(read_end) == b"\nnext\nafter\n"


def test_a_pipe_that_can_not_be_opened_anew_is_written_to_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be another user's, or there is no /proc."""

    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr("lb.standard_error.os.open", refuse)
    test_a_line_is_written_until_there_is_no_room_and_then_left_out(pipe)


WRITES_TO_ANOTHER_USERS_TERMINAL = """
import fcntl, os, sys, termios
from lb.standard_error import StandardError
os.setsid()
fcntl.ioctl(2, termios.TIOCSCTTY, 0)
really_open = os.open
def open_what_is_ours(path, flags):
    if path.startswith("/proc"):
        raise PermissionError
    return really_open(path, flags)
os.open = open_what_is_ours
standard_error = StandardError()
while standard_error.write(b"x" * 1000 + bytes([10])):
    pass
"""


def test_a_terminal_of_another_user_is_opened_by_the_name_that_everybody_may_use() -> None:
    """After su. Nobody reads it, as after Ctrl-S."""
    with terminal() as (_, user_end):
        subprocess.run(
            [sys.executable, "-c", WRITES_TO_ANOTHER_USERS_TERMINAL],
            env=lb_environment(), stderr=user_end, timeout=30, check=True,
        )  # fmt: skip


def test_without_a_reader_or_at_all_nothing_is_written() -> None:
    read_end, write_end = os.pipe()
    with standard_error_is(write_end):
        os.close(read_end)
        assert not StandardError().write(b"line\n")
        os.close(2)
        assert not StandardError().write(b"line\n")
    os.close(write_end)
