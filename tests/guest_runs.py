"""Tests that need a kernel with TLS, or systemd, run in guest kernels, shown as ordinary tests.

A module says `pytestmark = pytest.mark.kernel_tls`, and each of its tests becomes one test per kernel:
`test_x[uml-6.1]`, `test_x[uml-7]`, and `test_x[native]` where the host itself has kernel TLS. Selection (-k, paths)
works as always. Each guest is booted once (scripts/guest) with a pytest of its own, which runs there what was selected
here, beside the tests of the host. Those come first; then the guests' reports, tracebacks included, are given out as if
their tests had run here. `kernel_tls(native=True)` is for tests that also mean something without kernel TLS: they run
on the host, too. A test marked `systemd` runs in a guest whose first process that is: `test_x[uml-6.1-systemd]`; with
`systemd(every_kernel=True)` in one of each kernel.

Law: a guest that dies, or takes too long, fails its tests. Where no guest can be had, they are skipped, or fail if CI
is set. Guests belong to the pytest that was called, also where others work for it (pytest-xdist); what they leave is in
one folder, for all.
"""

import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

import ktls

GUEST_KERNELS = ("uml-6.1", "uml-7")
GUESTS = {kernel: f"--kernel {kernel}" for kernel in GUEST_KERNELS}
GUESTS |= {f"{kernel}-systemd": f"{told} --systemd" for kernel, told in GUESTS.items()}
"""Name, and what scripts/guest is told."""
NATIVE = "native"
# One boot, all selected tests; and before it, on a cold machine, the fetching of the kernel.
GUEST_TIMEOUT_S = 900
PREPARE_TIMEOUT_S = 600

# What tells the pytest inside a guest that it is there, and where its reports go.
_INSIDE = "GUEST_TEST_KERNEL"
_REPORTS = "GUEST_TEST_REPORTS"

_PASSED_ON = ("HYPOTHESIS_PROFILE",)

_PROJECT = Path(__file__).parent.parent
_GUEST = _PROJECT / "scripts/guest"
_EXIT_UNAVAILABLE = 69

_BOOT = f"""
guest=$1 kernel=$2 told=$3 folder=$4; shift 4
timeout {PREPARE_TIMEOUT_S} "$guest" $told --prepare && SECONDS=0 &&
    "$guest" $told --timeout {GUEST_TIMEOUT_S} --share "$folder" -- "$@"
echo "$? $SECONDS" >"$folder/$kernel.ending" && mv "$folder/$kernel.ending" "$folder/$kernel.end"
"""


class Guest:
    """The tests in one guest, as the files tell that they leave in a folder."""

    def __init__(self, kernel: str, folder: Path) -> None:
        self.kernel = kernel
        self._folder = folder
        self._names = folder / f"{kernel}.names"
        self._report_file = folder / f"{kernel}.jsonl"
        self._output = folder / f"{kernel}.output"
        self._end = folder / f"{kernel}.end"

    def boot(self, names: Sequence[str], maxfail: int) -> subprocess.Popen[bytes]:
        """Run these tests, in a process that leads its own group."""
        self._names.write_text("\n".join(names), encoding="utf-8")
        inside = [f"{_INSIDE}={self.kernel}", f"{_REPORTS}={self._report_file}", "PYTHONDONTWRITEBYTECODE=1"]
        inside += [f"{name}={value}" for name in _PASSED_ON if (value := os.environ.get(name))]
        options = ["-q", "-p", "no:cacheprovider", f"--maxfail={maxfail}", f"--rootdir={_PROJECT}", f"@{self._names}"]
        tests = ["env", *inside, sys.executable, "-m", "pytest", *options]
        with self._output.open("wb") as output:
            return subprocess.Popen(
                ["bash", "-c", _BOOT, "boot", _GUEST, self.kernel, GUESTS[self.kernel], self._folder, *tests],
                cwd=_PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def await_end(self) -> None:
        """Until it has ended, or should have long ago."""
        deadline_s = time.monotonic() + PREPARE_TIMEOUT_S + GUEST_TIMEOUT_S
        while not self.has_ended and time.monotonic() < deadline_s:
            time.sleep(0.05)

    @property
    def has_ended(self) -> bool:
        return self._end.exists()

    def exit_code_and_seconds(self) -> tuple[int, int]:
        """Of one that has ended."""
        exit_code, seconds = self._end.read_text().split()
        return int(exit_code), int(seconds)

    @cached_property
    def output(self) -> str:
        return self._output.read_text(encoding="utf-8", errors="replace").strip()

    @cached_property
    def reports(self) -> dict[str, list[dict[str, Any]]]:
        """What it has reported, by test."""
        found: dict[str, list[dict[str, Any]]] = {}
        if self._report_file.exists():
            for report in map(json.loads, self._report_file.read_text(encoding="utf-8").splitlines()):
                found.setdefault(report["nodeid"], []).append(report)
        return found


class Guests:
    """All that are booted for one call of pytest."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="guests-")
        self._processes: list[subprocess.Popen[bytes]] = []
        self.folder = Path(self._directory.name)

    def boot(self, names: Sequence[str], config: pytest.Config) -> None:
        """Those that have a test among these; once."""
        if self._processes or config.option.collectonly:
            return
        for kernel in GUESTS:
            if theirs := [name for name in names if _kernel_of(name) == kernel]:
                self._processes.append(Guest(kernel, self.folder).boot(theirs, config.getoption("maxfail") or 0))

    def close(self) -> None:
        """End those that still run: nobody will ask for their reports any more."""
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()
        self._directory.cleanup()


_GUESTS = pytest.StashKey[Guests]()
_BY_KERNEL = pytest.StashKey[dict[str, Guest]]()


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker; find the folder of the guests, or make it."""
    config.addinivalue_line("markers", "kernel_tls(native=False): needs kernel TLS; runs once per guest kernel")
    config.addinivalue_line("markers", "systemd(every_kernel=False): needs systemd as the first process; in a guest")
    if os.environ.get(_INSIDE):
        return
    if hasattr(config, "workerinput"):
        folder = Path(config.workerinput["guests"])
    else:
        config.stash[_GUESTS] = Guests()
        folder = config.stash[_GUESTS].folder
    config.stash[_BY_KERNEL] = {kernel: Guest(kernel, folder) for kernel in GUESTS}
    config.pluginmanager.register(WaitsForGuests())


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave no guest behind."""
    if guests := config.stash.get(_GUESTS, None):
        guests.close()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a process of pytest-xdist where the folder is."""
    node.workerinput["guests"] = str(node.config.stash[_GUESTS].folder)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: Sequence[str]) -> None:
    """Boot the guests, where the tests are given to others."""
    node.config.stash[_GUESTS].boot(ids, node.config)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Boot the guests, where the tests are run here."""
    if guests := session.config.stash.get(_GUESTS, None):
        guests.boot([item.nodeid for item in session.items], session.config)


@pytest.hookimpl(tryfirst=True)  # so that a test's name begins with its kernel
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test per kernel of each that is marked."""
    mark = metafunc.definition.get_closest_marker("kernel_tls")
    of_systemd = metafunc.definition.get_closest_marker("systemd")
    if mark is None and of_systemd is None:
        return
    inside = os.environ.get(_INSIDE)
    if inside:
        kernels = [inside]
    elif of_systemd is not None:
        every_kernel = of_systemd.kwargs.get("every_kernel", False)
        kernels = [f"{kernel}-systemd" for kernel in (GUEST_KERNELS if every_kernel else GUEST_KERNELS[:1])]
    else:
        assert mark is not None
        natively = mark.kwargs.get("native", False) or ktls.probe().usable
        kernels = [NATIVE] * natively + list(GUEST_KERNELS)
    metafunc.fixturenames.insert(0, "kernel_name")
    metafunc.parametrize("kernel_name", kernels, indirect=True, scope="session")


@pytest.fixture(scope="session")
def kernel_name(request: pytest.FixtureRequest) -> str:
    """The name of the guest that the test runs in: one of GUESTS, or native."""
    return str(request.param)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The guests' tests last: they run meanwhile."""
    items.sort(key=lambda item: _kernel_of(item.nodeid) is not None)


class WaitsForGuests:
    """Around all that limits the time of a test: the time of waiting is not the test's."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Before a guest's test, wait for the guest."""
        if kernel := _kernel_of(item.nodeid):
            item.config.stash[_BY_KERNEL][kernel].await_end()
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Give out a guest's reports in place of running the test here."""
    kernel = _kernel_of(item.nodeid)
    if kernel is None or os.environ.get(_INSIDE):
        return None
    hook = item.ihook
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in _reports(item, item.config.stash[_BY_KERNEL][kernel]):
        hook.pytest_runtest_logreport(report=report)
    # Else a test that ran on the host before would keep its module's fixtures, and the next module could not begin.
    item.session._setupstate.teardown_exact(nextitem)
    hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Inside a guest: write each report down at once, so that it outlives a crash of the next test."""
    path = os.environ.get(_REPORTS)
    if path and os.environ.get(_INSIDE):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(report._to_json()) + "\n")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which kernels have run how many tests."""
    for guest in config.stash.get(_BY_KERNEL, {}).values():
        if not guest.has_ended:
            continue
        counts: dict[str, int] = {}
        for reports in guest.reports.values():
            outcomes = {report["outcome"] for report in reports}
            outcome = next(name for name in ("failed", "skipped", "passed") if name in outcomes)
            counts[outcome] = counts.get(outcome, 0) + 1
        told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) or "no test ran"
        exit_code, seconds = guest.exit_code_and_seconds()
        if exit_code == _EXIT_UNAVAILABLE:
            terminalreporter.write(guest.output)
        terminalreporter.write_line(f"guest {guest.kernel}: Linux {_release(guest)}: {told}, {seconds} s")


def _release(guest: Guest) -> str:
    for reports in guest.reports.values():
        for report in reports:
            if release := dict(report["user_properties"]).get("linux"):
                return str(release)
    return "?"


_KERNEL_IN_NAME = re.compile(r"\[(" + "|".join(map(re.escape, sorted(GUESTS, reverse=True))) + r")[-\]]")


def _kernel_of(name: str) -> str | None:
    """Of the guest in which a test with this name runs; None where it runs here."""
    found = _KERNEL_IN_NAME.search(name)
    return found[1] if found else None


@pytest.fixture(autouse=True)
def _note_kernel_release(request: pytest.FixtureRequest) -> None:
    """Inside a guest, each report names the kernel it was made on."""
    if os.environ.get(_INSIDE):
        request.node.user_properties.append(("linux", platform.release()))


def _reports(item: pytest.Item, guest: Guest) -> Iterator[pytest.TestReport]:
    found = guest.reports.get(item.nodeid, [])
    for report in found:
        if report["outcome"] == "skipped" and isinstance(report["longrepr"], list):
            report["longrepr"] = tuple(report["longrepr"])  # JSON knows no tuples, pytest insists on one here
        yield pytest.TestReport._from_json(report)
    if any(report["when"] == "teardown" for report in found):
        return
    exit_code = guest.exit_code_and_seconds()[0] if guest.has_ended else None
    if exit_code == _EXIT_UNAVAILABLE and not os.environ.get("CI"):
        reason = f"NOT TESTED here, for want of the guest {guest.kernel}: {guest.output.splitlines()[-1]}"
        yield _report(item, "skipped", (str(item.path), item.location[1] or 0, f"Skipped: {reason}"))
    else:
        reason = f"guest {guest.kernel} did not report this test; exit code {exit_code}"
        # Once is enough for all the tests that share the cause.
        tail, guest.output = guest.output.splitlines()[-60:], "(its output is shown above)"
        yield _report(item, "failed", "\n".join([f"{reason}:", *tail]))


def _report(item: pytest.Item, outcome: Any, text: Any) -> pytest.TestReport:
    return pytest.TestReport(item.nodeid, item.location, dict.fromkeys(item.keywords, 1), outcome, text, "call")
