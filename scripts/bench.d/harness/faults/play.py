"""lb between a feed and a C worker for each pipe, for rows that meddle with them while the feed runs."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import processes, tally
from harness.candidates import LB_COMMAND
from harness.errors import TrialError
from harness.feeder import Feeder
from harness.programs import ROOT
from harness.rows import Absent, Terms
from harness.setting import Setting
from harness.tally import Tally

_READY_S = 20.0
_STOP_S = 20.0
_POLL_S = 0.002
_ASK_S = 0.1


@dataclass
class Play:
    """One run. `feeder` has a subscriber and waits for go()."""

    feeder: Feeder
    lb: "subprocess.Popen[bytes]"
    tallies: Sequence[Path]
    """Of the workers, in the order of their pipes."""
    _stderr: Path

    def tally(self, worker: int) -> Tally:
        now = tally.read(self.tallies[worker])
        if now is None:
            raise TrialError(f"worker {worker} has no tally")
        return now

    def pids(self) -> list[int]:
        return [self.tally(number).pid for number in range(len(self.tallies))]

    def await_received(self, records: int, within_s: float) -> None:
        """Until lb has so many: a stop reads no more of the feed."""
        deadline_s = time.monotonic() + within_s
        received = 0
        while received < records:
            if time.monotonic() > deadline_s:
                raise TrialError(f"lb has received {received} records, expected {records}")
            self.lb.send_signal(signal.SIGUSR1)
            time.sleep(_ASK_S)
            received = max((line["received"] for line in self.lines() if line["message"] == "balance"), default=0)

    def stop(self) -> dict[str, Any]:
        """SIGTERM to lb, and its end. Returns the balance it has told. TrialError where it is not exact."""
        self.lb.terminate()
        try:
            self.lb.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            raise TrialError(f"lb has not ended {_STOP_S:.0f} s after SIGTERM") from None
        balances = [line for line in self.lines() if line["message"] == "balance"]
        if not balances or not balances[-1]["exact"]:
            raise TrialError(f"lb ended with status {self.lb.returncode} and the balance {balances[-1:]}")
        return balances[-1]

    def lines(self) -> list[dict[str, Any]]:
        """Of lb's log."""
        words = self._stderr.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in words if line.startswith("{")]


def wanted_option(words: str) -> None:
    """Absent where this lb's --help does not name it."""
    command = [sys.executable, "-c", LB_COMMAND, "--help"]
    text = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=True).stdout
    if words not in text:
        raise Absent(f"this lb has no {words}")


@contextlib.contextmanager
def playing(
    terms: Terms, setting: Setting, *options: str, environment: Mapping[str, str] | None = None
) -> Iterator[Play]:
    """Everybody is connected and ready, and the feed has not begun."""
    with tempfile.TemporaryDirectory(dir=terms.build, prefix="play-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        tallies = folder / "tallies"
        tallies.mkdir()
        stderr = stack.enter_context((folder / "stderr").open("wb"))
        feeder = Feeder(terms.build / "feeder", setting, stderr)
        stack.callback(feeder.close)
        port = feeder.event("listening", _READY_S, lambda: None)["port"]
        first = [word for word in options if word == "--keeper"]
        command = [sys.executable, "-c", LB_COMMAND, *first, "--log-format", "json", "--stats-interval", "0"]
        command += [
            "--spawn",
            "per-pipe",
            "--pipe-size",
            str(1 << 20),
            *(word for word in options if word not in first),
        ]
        command += ["benchmark", f"ws://127.0.0.1:{port}/stocks", str(setting.pipes), str(folder)]
        command += [str(terms.build / "worker"), setting.mode, str(tallies)]
        own = {**_environment(), **(environment or {})}
        lb = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, env=own)
        stack.callback(_end, lb, tallies)
        try:
            feeder.event("subscribed", _READY_S, lambda: _check_alive(lb))
            yield Play(feeder, lb, _await_workers(tallies, setting.pipes, lb), folder / "stderr")
        except TrialError as error:
            raise TrialError(f"{error}\n{(folder / 'stderr').read_text(errors='replace')[-2000:]}".rstrip()) from error


def _await_workers(tallies: Path, count: int, lb: "subprocess.Popen[bytes]") -> list[Path]:
    deadline_s = time.monotonic() + _READY_S
    while True:
        paths = sorted(tallies.iterdir(), key=lambda path: int(path.name))
        if len(paths) == count and all(map(tally.read, paths)):
            return paths
        _check_alive(lb)
        if time.monotonic() > deadline_s:
            raise TrialError(f"{len(paths)} of {count} workers were ready in {_READY_S:.0f} s")
        time.sleep(_POLL_S)


def _check_alive(lb: "subprocess.Popen[bytes]") -> None:
    if lb.poll() is not None:
        raise TrialError(f"lb ended by itself with status {lb.returncode}")


def _end(lb: "subprocess.Popen[bytes]", tallies: Path) -> None:
    """Whatever still runs is killed: an error has kept it from its end."""
    if lb.poll() is None:
        lb.kill()
        lb.wait()
    for path in tallies.iterdir():
        worker = tally.read(path)
        while worker and processes.running(worker.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)
            time.sleep(_POLL_S)


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}
