"""Tests that need a kernel with TLS, run in guest kernels, shown as ordinary tests.

A module says `pytestmark = pytest.mark.kernel_tls`, and each of its tests becomes one test per kernel:
`test_x[uml-6.1]`, `test_x[uml-7]`, and `test_x[native]` where the host itself has kernel TLS. Selection (-k, paths)
works as always. Before the first test runs, each guest is booted once (scripts/guest) with a pytest of its own, which
runs there what was selected here; its reports, tracebacks included, are then given out here as if the tests had run
here. `kernel_tls(native=True)` is for tests that also mean something without kernel TLS: they run on the host, too.

Law: a guest that dies, or takes too long, fails its tests. Where no guest can be had, they are skipped, or fail if CI
is set.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

import ktls

GUEST_KERNELS = ("uml-6.1", "uml-7")
NATIVE = "native"
# One boot, all selected tests; a cold machine fetches the kernel first, outside of this.
GUEST_TIMEOUT_S = 900

# What tells the pytest inside a guest that it is there, and where its reports go.
_INSIDE = "GUEST_TEST_KERNEL"
_REPORTS = "GUEST_TEST_REPORTS"

_PROJECT = Path(__file__).parent.parent
_GUEST = _PROJECT / "scripts/guest"
_EXIT_UNAVAILABLE = 69


@dataclass
class GuestRun:
    """One guest's tests: what they reported, or why they could not."""

    kernel: str
    reports: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    release: str = "?"
    exit_code: int = -1
    output: str = ""
    seconds: float = 0.0


_RUNS = pytest.StashKey[dict[str, GuestRun]]()


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", "kernel_tls(native=False): needs kernel TLS; runs once per guest kernel")


@pytest.hookimpl(tryfirst=True)  # so that a test's name begins with its kernel
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test per kernel of each that is marked."""
    mark = metafunc.definition.get_closest_marker("kernel_tls")
    if mark is None:
        return
    inside = os.environ.get(_INSIDE)
    if inside:
        kernels = [inside]
    else:
        natively = mark.kwargs.get("native", False) or ktls.probe().usable
        kernels = [NATIVE] * natively + list(GUEST_KERNELS)
    metafunc.fixturenames.insert(0, "kernel_name")
    metafunc.parametrize("kernel_name", kernels, indirect=True, scope="session")


@pytest.fixture(scope="session")
def kernel_name(request: pytest.FixtureRequest) -> str:
    """The name of the kernel that the test runs on: uml-6.1, uml-7, or native."""
    return str(request.param)


def pytest_runtestloop(session: pytest.Session) -> None:
    """Before the first test: boot the guests, all at once, and wait for them."""
    if os.environ.get(_INSIDE) or session.config.option.collectonly:
        return
    selected: dict[str, list[str]] = {}
    for item in session.items:
        if kernel := _guest_of(item):
            selected.setdefault(kernel, []).append(item.nodeid)
    session.config.stash[_RUNS] = _run_guests(selected, session.config.getoption("maxfail") or 0)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Give out a guest's reports in place of running the test here."""
    kernel = _guest_of(item)
    if kernel is None or os.environ.get(_INSIDE):
        return None
    hook = item.ihook
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in _reports(item, item.config.stash[_RUNS][kernel]):
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
    for run in config.stash.get(_RUNS, {}).values():
        counts: dict[str, int] = {}
        for reports in run.reports.values():
            outcomes = {report["outcome"] for report in reports}
            outcome = next(name for name in ("failed", "skipped", "passed") if name in outcomes)
            counts[outcome] = counts.get(outcome, 0) + 1
        told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) or "no test ran"
        terminalreporter.write_line(f"guest {run.kernel}: Linux {run.release}: {told}, {run.seconds:.0f} s")


def _guest_of(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    kernel = callspec.params.get("kernel_name") if callspec else None
    return kernel if kernel in GUEST_KERNELS else None


def _run_guests(selected: dict[str, list[str]], maxfail: int) -> dict[str, GuestRun]:
    runs = {}
    # Preparing touches the network and the cache; in turn, and not part of the guest's time.
    for kernel in selected:
        prepare = [str(_GUEST), "--kernel", kernel, "--prepare"]
        done = subprocess.run(prepare, capture_output=True, text=True, check=False)
        runs[kernel] = GuestRun(kernel, exit_code=done.returncode, output=done.stdout + done.stderr)
    with tempfile.TemporaryDirectory(prefix="guest-reports-") as share:
        started = monotonic()
        can_boot = [kernel for kernel, run in runs.items() if run.exit_code == 0]
        booted = {kernel: _boot(kernel, selected[kernel], Path(share), maxfail) for kernel in can_boot}
        for kernel, process in booted.items():
            run = runs[kernel]
            run.output, _ = process.communicate()
            run.exit_code = process.returncode
            run.seconds = monotonic() - started
            _read_reports(run, _report_file(kernel, Path(share)))
    return runs


def _report_file(kernel: str, share: Path) -> Path:
    return share / f"{kernel}.jsonl"


def _boot(kernel: str, names: list[str], share: Path, maxfail: int) -> subprocess.Popen[str]:
    arguments = share / f"{kernel}.arguments"
    arguments.write_text("\n".join(names), encoding="utf-8")
    inside = [f"{_INSIDE}={kernel}", f"{_REPORTS}={_report_file(kernel, share)}", "PYTHONDONTWRITEBYTECODE=1"]
    options = ["-q", "-p", "no:cacheprovider", f"--maxfail={maxfail}", f"--rootdir={_PROJECT}", f"@{arguments}"]
    guest = [str(_GUEST), "--kernel", kernel, "--timeout", str(GUEST_TIMEOUT_S), "--share", str(share)]
    return subprocess.Popen(
        [*guest, "--", "env", *inside, sys.executable, "-m", "pytest", *options],
        cwd=_PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def _read_reports(run: GuestRun, path: Path) -> None:
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        report = json.loads(line)
        run.reports.setdefault(report["nodeid"], []).append(report)
        run.release = dict(report["user_properties"]).get("linux", run.release)


@pytest.fixture(autouse=True)
def _note_kernel_release(request: pytest.FixtureRequest) -> None:
    """Inside a guest, each report names the kernel it was made on."""
    if os.environ.get(_INSIDE):
        request.node.user_properties.append(("linux", platform.release()))


def _reports(item: pytest.Item, run: GuestRun) -> Iterator[pytest.TestReport]:
    found = run.reports.get(item.nodeid, [])
    for report in found:
        if report["outcome"] == "skipped" and isinstance(report["longrepr"], list):
            report["longrepr"] = tuple(report["longrepr"])  # JSON knows no tuples, pytest insists on one here
        yield pytest.TestReport._from_json(report)
    if any(report["when"] == "teardown" for report in found):
        return
    if run.exit_code == _EXIT_UNAVAILABLE and not os.environ.get("CI"):
        reason = f"no guest kernel {run.kernel} here, and this kernel has no TLS: {run.output.strip()}"
        yield _report(item, "skipped", (str(item.path), item.location[1] or 0, f"Skipped: {reason}"))
    else:
        reason = f"guest {run.kernel} did not report this test; exit code {run.exit_code}"
        # Once is enough for all the tests that share the cause.
        tail, run.output = run.output.splitlines()[-60:], "(its output is shown above)"
        yield _report(item, "failed", "\n".join([f"{reason}:", *tail]))


def _report(item: pytest.Item, outcome: Any, text: Any) -> pytest.TestReport:
    return pytest.TestReport(item.nodeid, item.location, dict(item.keywords), outcome, text, "call")
