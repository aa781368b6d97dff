"""lb and lb-replay as processes, ended with their `with` blocks; lb's log, line by line."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from soak.tape import RECORDS

Line = dict[str, Any]

LONGEST_WAIT_S = 120.0
"""For anything that must come. lb itself gives up a dead session after 30 s and waits for the next one 30 s at most."""
_LOOK_S = 0.005

_WORKER = Path(__file__).with_name("worker.py")
_KEY = secrets.token_hex(16)
_ENVIRONMENT = {**os.environ, "LB_SOAK_KEY": _KEY}


class Failed(Exception):
    """lb did not do what it must."""


def wait_for(what: str, is_so: Callable[[], object], time_s: float = LONGEST_WAIT_S) -> None:
    """Raises Failed where it does not come to that in time."""
    until_s = time.monotonic() + time_s
    while not is_so():
        if time.monotonic() > until_s:
            raise Failed(f"not within {time_s:g} s: {what}")
        time.sleep(_LOOK_S)


class Lb:
    """A running lb."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid
        self.lines: list[Line] = []
        """What it logged, but for statistics, of which the last are kept."""
        self.balances: list[Line] = []
        self.statistics: Line = {}
        self.pids: dict[int, int] = {}
        """The youngest worker of each slot. Each slot has the one pipe of its number."""
        self.deaths: list[int] = []
        """The slots of the workers that have ended, while lb was not asked to stop."""
        self._is_stopping = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def balance(self) -> Line:
        """Ask for the balance of this moment."""
        before = len(self.balances)
        self.send(signal.SIGUSR1)
        wait_for("a balance that was asked for", lambda: len(self.balances) > before)
        return self.balances[before]

    def stop(self) -> int:
        """Ask it to stop; its exit code."""
        self.send(signal.SIGTERM)
        try:
            exit_code = self._process.wait(LONGEST_WAIT_S)
        except subprocess.TimeoutExpired:
            raise Failed(f"lb does not stop within {LONGEST_WAIT_S:g} s") from None
        self._reader.join()
        return exit_code

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def _read(self) -> None:
        assert self._process.stderr is not None
        for text in self._process.stderr:
            try:
                self._take(json.loads(text))
            except json.JSONDecodeError:
                self.lines.append({"level": "text", "message": text.rstrip()})

    def _take(self, line: Line) -> None:
        match line["message"]:
            case "balance":
                self.balances.append(line)
            case "statistics":
                self.statistics = line
            case "worker started":
                self.pids[line["slot"]] = line["pid"]
                self.lines.append(line)
            case message:
                self._is_stopping |= message == "stopping"
                if message == "worker ended" and not self._is_stopping:
                    self.deaths.append(line["slot"])
                self.lines.append(line)


@contextlib.contextmanager
def feed(tape: Path, *options: str) -> Iterator[tuple[int, list[str]]]:
    """`lb-replay` with the tape in a loop, as fast as it is read: its port, and the options that make lb trust it."""
    command = [sys.executable, "-m", "lb.replay", "--loop", "--speed", "max", "--ping-interval", "1", *options]
    command += ["--key", "env:LB_SOAK_KEY", str(tape)]
    with _running(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("listening on ").rstrip("\n")
        if not url:
            raise Failed("lb-replay did not begin")
        is_tls = url.startswith("wss")
        trust = ["--ca-file", process.stdout.readline().removeprefix("ca file ").rstrip("\n")] if is_tls else []
        yield int(url.rpartition(":")[2].partition("/")[0]), trust


@contextlib.contextmanager
def balancer(url: str, pipes: int, folder: Path, *options: str) -> Iterator[Lb]:
    """lb with a worker for each pipe. All that it has started ends with it."""
    worker = [sys.executable, "-I", "-S", str(_WORKER), str(RECORDS), str(pipes)]
    command = [sys.executable, "-m", "lb", "--spawn", "per-pipe", "--log-format", "json", "--dumpable", *options]
    command += ["env:LB_SOAK_KEY", url, str(pipes), str(folder), *worker]
    with _running(command, stderr=subprocess.PIPE) as process:
        lb = Lb(process)
        try:
            yield lb
        finally:
            lb.send(signal.SIGCONT)
            for pid in [*lb.pids.values()]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def _running(
    command: list[str], stdout: int | None = None, stderr: int | None = None
) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(command, text=True, env=_ENVIRONMENT, stdout=stdout, stderr=stderr) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(LONGEST_WAIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
