"""WakeUps: signals and descriptors behind one fd that can be polled; what is inherited does not get in the way."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from harness import Lb, inline, lb_environment

from lb.signals import WakeUps

NO_FEED = "ws://127.0.0.1:1/stocks"


@pytest.fixture
def wake_ups() -> Iterator[WakeUps]:
    with WakeUps() as wake_ups:
        yield wake_ups


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def is_readable(wake_ups: WakeUps) -> bool:
    return bool(select.select([wake_ups.fileno()], [], [], 0)[0])


def test_nothing_is_there_at_first(wake_ups: WakeUps) -> None:
    assert not is_readable(wake_ups)
    assert wake_ups.take() == []


def test_signals_and_wakes_are_told_in_their_order(wake_ups: WakeUps) -> None:
    os.kill(os.getpid(), signal.SIGUSR1)
    wake_ups.wake()
    os.kill(os.getpid(), signal.SIGTERM)
    assert is_readable(wake_ups)
    assert wake_ups.take() == [signal.SIGUSR1, 0, signal.SIGTERM]
    assert not is_readable(wake_ups)


def test_a_watched_fd_is_called_back_for_as_long_as_it_is_readable(
    wake_ups: WakeUps, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    got: list[bytes] = []
    wake_ups.watch(ours.fileno(), lambda: got.append(ours.recv(100)))
    wake_ups.take()
    assert got == []
    theirs.send(b"one")
    theirs.send(b"two")
    os.kill(os.getpid(), signal.SIGUSR1)
    assert is_readable(wake_ups)
    assert wake_ups.take() == [signal.SIGUSR1]
    assert got == [b"one"]
    assert is_readable(wake_ups)
    assert wake_ups.take() == []
    assert got == [b"one", b"two"]
    theirs.close()
    assert is_readable(wake_ups)
    wake_ups.take()
    assert got == [b"one", b"two", b""]
    wake_ups.unwatch(ours.fileno())
    assert not is_readable(wake_ups)


def test_one_callback_may_end_the_watching_of_another(
    wake_ups: WakeUps, pair: tuple[socket.socket, socket.socket]
) -> None:
    """Also where both are ready."""
    called: list[int] = []
    fds = [end.fileno() for end in pair]

    def end_the_other(position: int) -> None:
        called.append(position)
        wake_ups.unwatch(fds[1 - position])

    for position, end in enumerate(pair):
        end.send(b"something")
        wake_ups.watch(fds[position], lambda position=position: end_the_other(position))  # type: ignore[misc]
    wake_ups.take()
    assert len(called) == 1


def test_an_error_of_a_callback_swallows_no_signal(
    wake_ups: WakeUps, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair

    def fail() -> None:
        ours.recv(100)
        raise LookupError

    wake_ups.watch(ours.fileno(), fail)
    theirs.send(b"something")
    os.kill(os.getpid(), signal.SIGCHLD)
    with pytest.raises(LookupError):
        wake_ups.take()
    assert wake_ups.take() == [signal.SIGCHLD]


def test_wait_returns_when_there_is_something_to_take(
    wake_ups: WakeUps, pair: tuple[socket.socket, socket.socket]
) -> None:
    """At the latest at its deadline, however far that is."""
    ours, theirs = pair
    centuries_ns = time.monotonic_ns() + 10**19
    wake_ups.wait(time.monotonic_ns())
    wake_ups.wake()
    wake_ups.wait(centuries_ns)
    wake_ups.take()
    wake_ups.watch(ours.fileno(), lambda: None)
    theirs.send(b"something")
    wake_ups.wait(centuries_ns)


def test_signals_that_were_blocked_are_so_again_afterwards() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGCHLD])
    try:
        with WakeUps() as wake_ups:
            os.kill(os.getpid(), signal.SIGTERM)
            assert wake_ups.take() == [signal.SIGTERM]
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before | {signal.SIGTERM, signal.SIGCHLD}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


BLOCKS_ALL = inline("""
    import os, signal, sys
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    os.execv(sys.argv[1], sys.argv[1:])
""")


def test_lb_obeys_although_whoever_started_it_had_blocked_all_signals() -> None:
    """Otherwise it would neither stop nor notice a worker's end."""
    with Lb(NO_FEED, before=BLOCKS_ALL) as lb:
        (first,) = lb.await_recorders(1)
        os.kill(first, signal.SIGKILL)
        lb.await_line("worker ended", pid=first)
        lb.await_recorders(2)
        assert lb.stop().exit_code == 0


HAS_A_TERMINAL = inline("""
    import fcntl, os, pty, signal, sys, termios
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
    os.setsid()
    _, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    os.set_inheritable(_, True)  # the terminal is there for as long as lb is
    os.execv(sys.argv[1], sys.argv[1:])
""")


def test_a_hang_up_of_its_terminal_stops_lb() -> None:
    """Without one it is `kill -HUP`, and another wish: see tests/faults."""
    with Lb(NO_FEED, before=HAS_A_TERMINAL) as lb:
        lb.await_recorders(1)
        assert lb.stop(signal.SIGHUP).exit_code == 0
        assert lb.await_line("stopping", signal="SIGHUP")
        assert lb.await_line("worker ended", level="info", exit_code=0)


def test_but_not_under_nohup() -> None:
    with Lb(NO_FEED, before=("sh", "-c", 'trap "" HUP; exec "$@"', "sh")) as lb:
        lb.await_recorders(1)
        lb.send_signal(signal.SIGHUP)
        assert lb.balance()["exact"], "it goes on"
        assert lb.stop().exit_code == 0


def test_what_was_caught_before_is_caught_again_afterwards() -> None:
    code = """
import os, signal
from lb.signals import CAUGHT, WakeUps
before = [signal.getsignal(number) for number in CAUGHT]
with WakeUps():
    pass
assert [signal.getsignal(number) for number in CAUGHT] == before
signal.signal(signal.SIGTERM, lambda *_: print("mine"))
with WakeUps():
    pass
os.kill(os.getpid(), signal.SIGTERM)
"""
    done = subprocess.run([sys.executable, "-c", code], env=lb_environment(), capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"mine\n", b"")
