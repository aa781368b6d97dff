"""One measured run: a feeder, a candidate, a worker; the same steps and the same clocks for every candidate.

Law: the candidate is connected, subscribed and its worker ready before the feed begins, and lives until both samples
are taken. Every byte that the feeder sent must have reached the worker, and none beside, or the run does not count.
"""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import processes, tally
from harness.candidates import Candidate
from harness.errors import TrialError
from harness.feeder import Feeder
from harness.processes import CpuTime
from harness.programs import ROOT
from harness.setting import Setting
from harness.tally import Tally

_READY_S = 20.0
_STALL_S = 10.0
_STOP_S = 10.0
_FEED_S = 600.0
_POLL_S = 0.002
_PERCENTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}


@dataclass(frozen=True)
class Trial:
    """What one run showed. CPU is user and system time, between two samples around the feed."""

    candidate: str
    records: int
    seconds: float
    """From the worker's first read to its last."""
    feeder: CpuTime
    balancer: CpuTime
    worker: CpuTime
    wall_s: float
    """Between the two CPU samples."""
    foreign_cores: float
    """CPU taken by everybody else on the machine: a run beside busy neighbours is worth less."""
    resident_bytes: tuple[int, ...]
    """The candidate's resident memory, every 50 ms while the feed ran."""
    pipe_size_bytes: int
    first_record_ms: float
    """From the candidate's start to the worker's first read."""
    latency_ms: dict[str, float]
    """p50, p99, p99.9 and max; empty unless in latency mode."""

    @property
    def records_per_second(self) -> float:
        return self.records / self.seconds

    @property
    def busy(self) -> tuple[float, float, float]:
        """Share of a core that feeder, balancer and worker took while the feed ran."""
        return self.feeder.total_s / self.wall_s, self.balancer.total_s / self.wall_s, self.worker.total_s / self.wall_s

    @property
    def cpu_ms_per_million(self) -> float:
        """The candidate's CPU, ms per million records."""
        return self.balancer.total_s * 1e9 / self.records


def run(candidate: Candidate, setting: Setting, build: Path) -> Trial:
    """Runs one candidate once.

    Raises:
        TrialError: names the candidate and what went wrong, with the end of its stderr.
    """
    with run_with_dump(candidate, setting, build) as (trial, _):
        return trial


@contextlib.contextmanager
def run_with_dump(candidate: Candidate, setting: Setting, build: Path) -> Iterator[tuple[Trial, list[bytes]]]:
    """As run(), and lends what came out of each pipe where the worker's mode is `dump`."""
    with tempfile.TemporaryDirectory(dir=build, prefix="trial-") as name:
        folder = Path(name)
        try:
            trial = _play(candidate, setting, build, folder)
        except (TrialError, ProcessLookupError, FileNotFoundError) as error:
            words = (folder / "stderr").read_text(errors="replace")[-2000:]
            raise TrialError(f"{candidate.name}: {error}\n{words}".rstrip()) from error
        dumps = [folder / f"tally.{i}" for i in range(setting.pipes)] if setting.mode == "dump" else []
        yield trial, [dump.read_bytes() for dump in dumps]


def _play(candidate: Candidate, setting: Setting, build: Path, folder: Path) -> Trial:
    tally_path = folder / "tally"
    with contextlib.ExitStack() as stack:
        stderr = stack.enter_context((folder / "stderr").open("wb"))
        feeder = Feeder(build / "feeder", setting, stderr)
        stack.callback(feeder.close)
        port = feeder.event("listening", _READY_S, lambda: None)["port"]
        if setting.start_at_once:
            feeder.go()
        worker = [str(build / "worker"), setting.mode, str(tally_path)]
        url = f"{'wss' if setting.certificate else 'ws'}://127.0.0.1:{port}/stocks"
        started_ns = time.monotonic_ns()
        balancer = subprocess.Popen(
            candidate.argv(url, setting.pipes, folder, worker),
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        stack.callback(_stop, balancer, tally_path)
        feeder.event("subscribed", _READY_S, lambda: _check_alive(balancer))
        pids = (feeder.pid, balancer.pid, _await_worker(tally_path, balancer).pid)
        watch = _Watch(balancer, tally_path)
        before = processes.sample(pids)
        if not setting.start_at_once:
            feeder.go()
        sent = feeder.event("sent", _FEED_S, watch)["records"]
        expected = _expected_bytes(candidate, setting, sent)
        _await_delivery(tally_path, expected, watch)
        after = processes.sample(pids)
    last = tally.read(tally_path)
    if last is None or last.bytes != expected:
        raise TrialError(f"{last and last.bytes} bytes came out of the pipes by their end, expected {expected}")
    if setting.mode == "latency" and last.records != sent:
        raise TrialError(f"{last.records} records came out of the pipes, expected {sent}")
    feeder_cpu, balancer_cpu, worker_cpu = after.cpu_since(before)
    return Trial(
        candidate=candidate.name,
        records=sent,
        seconds=(last.last_ns - last.first_ns) / 1e9,
        feeder=feeder_cpu,
        balancer=balancer_cpu,
        worker=worker_cpu,
        wall_s=after.at_s - before.at_s,
        foreign_cores=after.foreign_cores_since(before),
        resident_bytes=tuple(watch.resident_bytes),
        pipe_size_bytes=last.pipe_size_bytes,
        first_record_ms=(last.first_ns - started_ns) / 1e6,
        latency_ms=_latency_ms(last) if last.records else {},
    )


class _Watch:
    """Called while the feed runs: notes the candidate's memory, and ends the run when it died or nothing moves any
    more.
    """

    def __init__(self, balancer: subprocess.Popen[bytes], tally_path: Path) -> None:
        self._balancer = balancer
        self._tally_path = tally_path
        self._moved = (0, time.monotonic())
        self.resident_bytes: list[int] = []

    def __call__(self) -> None:
        _check_alive(self._balancer)
        self.resident_bytes.append(processes.resident_bytes(self._balancer.pid))
        now = tally.read(self._tally_path)
        if now and now.bytes != self._moved[0]:
            self._moved = (now.bytes, time.monotonic())
        elif time.monotonic() > self._moved[1] + _STALL_S:
            raise TrialError(f"no byte has reached the worker for {_STALL_S:.0f} s, after {self._moved[0]} bytes")


def _check_alive(balancer: subprocess.Popen[bytes]) -> None:
    if balancer.poll() is not None:
        raise TrialError(f"ended by itself with status {balancer.returncode}")


def _await_worker(tally_path: Path, balancer: subprocess.Popen[bytes]) -> Tally:
    """Waits until the worker has its pipes."""
    deadline_s = time.monotonic() + _READY_S
    while not (now := tally.read(tally_path)):
        _check_alive(balancer)
        if time.monotonic() > deadline_s:
            raise TrialError(f"the worker was not ready in {_READY_S:.0f} s")
        time.sleep(_POLL_S)
    return now


def _await_delivery(tally_path: Path, expected_bytes: int, watch: _Watch) -> None:
    """Waits until the worker has read what was sent; fails when it stops coming."""
    while (now := tally.read(tally_path)) and now.bytes < expected_bytes:
        watch()
        time.sleep(_POLL_S)


def _expected_bytes(candidate: Candidate, setting: Setting, records: int) -> int:
    if candidate.route == "uncut":
        return records // len(setting.feed.records) * setting.feed.wire_bytes
    return setting.feed.piped_bytes(records)


def _stop(balancer: subprocess.Popen[bytes], tally_path: Path) -> None:
    """SIGTERM to the candidate; its worker ends at the end of its pipes, or with it. What does not end is killed."""
    balancer.terminate()
    try:
        balancer.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        balancer.kill()
        balancer.wait()
    worker = tally.read(tally_path)
    deadline_s = time.monotonic() + _STOP_S
    while worker and processes.running(worker.pid):
        if time.monotonic() > deadline_s:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)
        time.sleep(_POLL_S)


def _latency_ms(last: Tally) -> dict[str, float]:
    shares = {name: last.percentile_ns(share) / 1e6 for name, share in _PERCENTILES.items()}
    return shares | {"max": last.latency_max_ns / 1e6}
