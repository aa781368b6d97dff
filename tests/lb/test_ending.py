"""Why a process ended, in words: the statuses are those of real processes."""

from __future__ import annotations

import os
import re
import signal
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.slots.ending import EXIT_CODES, SIGNALS, cause, explain


def status_of(*command: str) -> int:
    """What waitpid(2) tells of it."""
    ignored_by_python = [signal.SIGPIPE, signal.SIGXFSZ]
    # A sanitizer's library would catch some signals.
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    pid = os.posix_spawnp(command[0], command, environment, setsigdef=ignored_by_python)
    return os.waitpid(pid, 0)[1]


def status_of_shell(script: str) -> int:
    return status_of("/bin/sh", "-c", f"ulimit -c 0; exec 2>/dev/null; {script}")


@pytest.mark.parametrize("number", [*SIGNALS, signal.SIGKILL])
def test_every_signal_is_told_by_its_name_and_in_words(number: signal.Signals) -> None:
    status = status_of_shell(f"kill -{number:d} $$")
    assert cause(status) == {"signal": number.name}
    if number != signal.SIGKILL:
        assert explain(status) == SIGNALS[number]


@pytest.mark.parametrize("code", EXIT_CODES)
def test_every_exit_code_is_told_by_its_number_and_in_words(code: int) -> None:
    status = status_of_shell(f"exit {code}")
    assert cause(status) == {"exit_code": code}
    assert explain(status) == EXIT_CODES[code]


def test_who_ends_so() -> None:
    """The table's words are those of the programs that they are of."""
    assert status_of_shell("/etc/passwd") == 126 << 8
    assert status_of_shell("no-such-program") == 127 << 8
    assert status_of_shell("sh -c 'kill -9 $$'; exit $?") == (128 + 9) << 8
    python = (sys.executable, "-I", "-S", "-c")
    assert status_of_shell(f"{sys.executable} -I -S -c 'raise ValueError'") == 1 << 8
    assert status_of_shell(f"{sys.executable} -I -S -c 'print(1)' >/dev/full") == 120 << 8
    usage = 'import argparse; argparse.ArgumentParser().parse_args(["x"])'
    assert status_of_shell(f"{sys.executable} -I -S -c '{usage}' 2>/dev/null") == 2 << 8
    assert status_of(*python, "import os; os._exit(-1)") == 255 << 8


def test_a_real_time_signal_has_a_number_and_no_words() -> None:
    status = status_of_shell("kill -35 $$")
    assert cause(status) == {"signal": 35}
    assert explain(status) is None


def test_a_kill_is_told_with_what_is_known_of_memory() -> None:
    status = status_of_shell("kill -9 $$")
    assert explain(status) == "killed, perhaps for want of memory"
    assert explain(status, oom_kills=0) == (
        "killed by a person or a service manager: no process was for want of memory meanwhile"
    )
    assert explain(status, oom_kills=2) == "killed, most likely for want of memory: oom_kill rose by 2 meanwhile"


def test_a_signal_that_lb_sent_is_lb_s() -> None:
    assert explain(signal.SIGKILL, oom_kills=1, sent=signal.SIGKILL) == "sent by lb"
    assert explain(signal.SIGTERM, sent=signal.SIGTERM) == "sent by lb"
    assert explain(signal.SIGKILL, sent=signal.SIGTERM) == "killed, perhaps for want of memory"


def test_what_a_shell_tells_of_a_signal() -> None:
    assert explain((128 + 9) << 8, oom_kills=1) == (
        "what it ran was ended by SIGKILL: killed, most likely for want of memory: oom_kill rose by 1 meanwhile"
    )
    assert explain((128 + 13) << 8) == f"what it ran was ended by SIGPIPE: {SIGNALS[signal.SIGPIPE]}"
    assert explain((128 + 35) << 8) is None
    assert explain(99 << 8) is None


def test_a_core_dump_is_told() -> None:
    assert explain(signal.SIGSEGV | 0x80) == f"{SIGNALS[signal.SIGSEGV]}; core dumped"


@given(st.one_of(st.integers(0, 255).map(lambda code: code << 8), st.integers(1, 64)), st.none() | st.integers(0, 3))
def test_whatever_it_is_there_are_words_or_none(status: int, oom_kills: int | None) -> None:
    words = explain(status, oom_kills=oom_kills)
    assert words is None or re.fullmatch(r"[A-Za-z][^\n]*[a-z0-9)]", words)
    assert len(cause(status)) == 1
