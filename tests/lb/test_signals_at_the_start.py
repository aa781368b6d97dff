"""Signals in the first moments: none is lost, and Ctrl-C gives no traceback."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import termios
from array import array
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from harness import Lb, lb_environment

from lb.signals import CAUGHT, WakeUps

IS_INTERRUPTED_AT_AN_IMPORT = """
import os, signal, sys
class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupts())
from lb.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize("module", ["lb.cli", "lb.balancer", "lb.signals"])
def test_ctrl_c_amid_the_imports_ends_lb_without_a_word(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IS_INTERRUPTED_AT_AN_IMPORT, module],
        env=lb_environment(), capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")


def test_ctrl_c_while_the_key_is_awaited_ends_lb_without_a_word() -> None:
    read_end, write_end = os.pipe()
    try:
        with Lb("ws://127.0.0.1:1/", key="-", stdin=read_end) as lb:
            os.write(write_end, b"half a k")
            while unread_bytes(write_end):
                os.sched_yield()
            assert lb.stop(signal.SIGINT).exit_code == -signal.SIGINT
            assert lb.lines == []
    finally:
        os.close(read_end)
        os.close(write_end)


def unread_bytes(pipe: int) -> int:
    unread = array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, unread)
    return unread[0]


def test_an_ignored_ctrl_c_stays_ignored_until_lb_catches_it() -> None:
    """As for a background job of a shell without job control."""
    done = subprocess.run(
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-c", IS_INTERRUPTED_AT_AN_IMPORT, "lb.cli"],
        env=lb_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 64, done.stderr


Handler = Callable[[int, FrameType | None], Any] | int | None


@pytest.mark.parametrize("number", CAUGHT)
def test_a_signal_that_comes_as_soon_as_it_is_caught_is_told(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_catch = signal.signal

    def catch_and_send(caught: signal.Signals, handler: Handler) -> Handler:
        before = really_catch(caught, handler)
        if caught == number:
            monkeypatch.undo()
            os.kill(os.getpid(), number)
        return before

    monkeypatch.setattr(signal, "getsignal", lambda _: signal.SIG_DFL)  # also where the tests run under nohup
    monkeypatch.setattr(signal, "signal", catch_and_send)
    with WakeUps() as wake_ups:
        assert number in wake_ups.take()
