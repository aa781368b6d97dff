"""What all tests share: no test leaves a descriptor open, or the log at another level; how many examples hypothesis
tries; guest kernels for tests marked `kernel_tls` (guest_runs.py)."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from lb import logs
from lb.config import LogFormat, LogLevel

pytest_plugins = ["guest_runs"]

_TOO_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]  # these machines may be busy with other tests
settings.register_profile("default", deadline=None, suppress_health_check=_TOO_SLOW, max_examples=200)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
settings.register_profile("fast", deadline=None, suppress_health_check=_TOO_SLOW, max_examples=20)
settings.register_profile("long", deadline=None, suppress_health_check=_TOO_SLOW, max_examples=5000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


# A shell's `&` has SIGINT and SIGQUIT ignored, and nohup SIGHUP: then what the tests start would ignore them, too.
for _number, _handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGQUIT, signal.SIG_DFL),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)


@pytest.fixture(autouse=True)
def no_leaked_fds() -> Iterator[None]:
    """A descriptor that is open after a test and was not before fails it."""
    before = _open_fds()
    yield
    leaked = _open_fds() - before
    if leaked:  # perhaps only garbage that was not collected yet
        gc.collect()
        leaked &= _open_fds()
    assert not leaked, f"left open: {sorted(leaked)}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests have measured, as record_property("measured", text)."""
    for report in terminalreporter.getreports("passed"):
        for name, text in report.user_properties if report.when == "call" else ():
            if name == "measured":
                terminalreporter.write_line(f"measured: {text}")


@pytest.fixture(autouse=True)
def log_as_ever() -> Iterator[None]:
    """The log is the process's, and a program that a test runs within it may set its level."""
    yield
    logs.start(LogLevel.INFO, LogFormat.TEXT)


def _open_fds() -> set[tuple[str, str]]:
    """Number and target of each: a number closed and used again is not the same descriptor."""
    found = set()
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - its own fd must be closed again before the links are read
        try:
            found.add((name, str(Path("/proc/self/fd", name).readlink())))
        except FileNotFoundError:
            continue
    return found
