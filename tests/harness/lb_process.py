"""`lb` as a process of its own, with its log read line by line.

Law: a test waits for what `lb` logs, or for what its workers tell, never for time. Whatever `lb` prints is looked
through for the key, for tracebacks, and for numbers that are not numbers in JSON, in every test.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import lb
from harness.recorder import RECORDER
from harness.recording import Recording

TIMEOUT_S = 30.0
_Found = TypeVar("_Found")

KEY = "k3y-that-nobody-may-see"

SOON = {"lb.feed.keeper.LEAST_DELAY_S": 0.005, "lb.feed.session.limits.HOPELESS_LEAST_DELAY_S": 0.005}
"""`constants` for tests in which the next session follows many times."""

_WITH_CONSTANTS = """\
import pkgutil, sys
for name, value in {constants!r}.items():
    place, _, constant = name.rpartition(".")
    owner = pkgutil.resolve_name(place)
    assert hasattr(owner, constant), name
    object.__setattr__(owner, constant, value)  # of modules and of frozen values
from {program} import main
sys.exit(main())
"""


def with_constants(program: str, constants: Mapping[str, object]) -> list[str]:
    """Python's options that run the module `program` with other values for the names of modules."""
    return ["-c", _WITH_CONSTANTS.format(program=program, constants=dict(constants))]


def inline(code: str) -> tuple[str, ...]:
    """The command of a worker that is a few lines of Python; the fds' numbers are sys.argv[1:]."""
    return (sys.executable, "-I", "-S", "-c", textwrap.dedent(code))


def hold(pid: int) -> None:
    """Stop a process, and wait until all of it stands still: it may be in the middle of a read."""
    os.kill(pid, signal.SIGSTOP)
    while any(") T " not in task.read_text() for task in Path(f"/proc/{pid}/task").glob("*/stat")):
        pass


def run_lb(*words: str, **run: Any) -> subprocess.CompletedProcess[str]:
    """Run `lb` to its end, for command lines that can't work or only print."""
    run = {"env": lb_environment(), "capture_output": True, "text": True, "timeout": TIMEOUT_S} | run
    return subprocess.run([sys.executable, "-m", "lb", *words], check=False, **run)


def lb_environment() -> dict[str, str]:
    """In which `python -m lb` finds the `lb` that the tests run with, installed or not."""
    return {**os.environ, "PYTHONPATH": str(Path(lb.__file__).resolve().parents[1])}


@dataclass(frozen=True)
class End:
    """How `lb` ended: its exit code and last two lines."""

    exit_code: int
    balance: dict[str, Any]
    statistics: dict[str, Any]


class Lb:
    """A running `lb`. Leaves nothing behind at the end of its `with` block."""

    def __init__(
        self,
        url: str,
        pipes: int | str = 1,
        *options: str,
        worker: Sequence[str] = RECORDER,
        key: str = KEY,
        directory: Path | str = ".",
        constants: Mapping[str, object] | None = None,
        environment: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
        keeper: bool = False,
        records: bool | None = None,
        **popen: Any,
    ) -> None:
        """`constants`: values for the names of `lb` modules, such as {"lb.feed.keeper.ENDING_S": 0.1}, so that no test
        waits for as long as the product does. `before`: a command that runs the command behind it. `keeper`: lb
        --keeper, whose pid it is then. `records`:
        whether the workers tell as the recorder does (default: where it is the recorder)."""
        program = with_constants("lb.cli", constants) if constants else ["-m", "lb"]
        self.command = [
            *before, sys.executable, *program, *["--keeper"][:keeper], "--log-format", "json", *options,
            key, url, str(pipes), str(directory), *worker,
        ]  # fmt: skip
        popen = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | popen
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            self.command, env={**lb_environment(), **(environment or {})}, **popen
        )
        self._changed = threading.Condition()
        self._seen = 0
        self.lines: list[dict[str, Any]] = []
        """All of the log; a line that is not JSON is {"message": line, "level": "text"}."""
        self.recording = Recording()
        self.output = b""
        self._is_recorder = tuple(worker[: len(RECORDER)]) == RECORDER if records is None else records
        streams = [(self._process.stderr, self._read_log), (self._process.stdout, self._read_output)]
        self._open_streams = sum(stream is not None for stream, _ in streams)
        self._readers = [threading.Thread(target=read, daemon=True) for stream, read in streams if stream is not None]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Lb:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._finish()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        if error is None:
            self._assert_decent()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        return "\n".join(json.dumps(line) for line in self.lines)

    def send_signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def type(self, text: str) -> None:
        """Write to its standard input, and close it."""
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode())
        self._process.stdin.close()

    def await_line(self, message: str, **values: object) -> dict[str, Any]:
        """The next line, after those awaited before, with this message and these values."""

        def find() -> dict[str, Any] | None:
            for at in range(self._seen, len(self.lines)):
                line = self.lines[at]
                if line["message"] == message and values.items() <= line.items():
                    self._seen = at + 1
                    return line
            return None

        return self._await(find, f"a line {message!r} {values}")

    def await_records(self, total: int) -> Recording:
        """The recording, once the workers have told of at least `total` records."""
        return self._await(lambda: self.recording if self.recording.total >= total else None, f"{total} records")

    def await_recorders(self, count: int) -> list[int]:
        """The pids of the recorders, once `count` of them have started."""
        pids = self.recording.by_pid
        return self._await(lambda: list(pids) if len(pids) >= count else None, f"{count} recorders")

    def await_workers(self, count: int) -> list[int]:
        """The pids of the last worker of each slot, once it is told of all that they started, and they record."""
        self.await_recorders(count)

        def find() -> list[int] | None:
            pids = {line["slot"]: line["pid"] for line in self.lines if line["message"] == "worker started"}
            return [pids[slot] for slot in range(count)] if len(pids) == count else None

        return self._await(find, f"{count} workers")

    def await_output(self, ending: bytes = b"\n") -> bytes:
        """What a worker other than the recorder has printed, once it ends so."""
        return self._await(lambda: self.output if self.output.endswith(ending) else None, f"output up to {ending!r}")

    def await_output_lines(self, count: int) -> list[bytes]:
        """What workers other than the recorder have printed, once that is at least so many lines."""

        def find() -> list[bytes] | None:
            lines = self.output.splitlines(keepends=True)
            return lines if sum(line.endswith(b"\n") for line in lines) >= count else None

        return self._await(find, f"{count} lines of output")

    def balance(self) -> dict[str, Any]:
        """The balance at this moment."""
        self.send_signal(signal.SIGUSR1)
        return self.await_line("balance")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> End:
        """Signal it, and wait for its end."""
        self.send_signal(number)
        return self.wait()

    def wait(self) -> End:
        """Wait for its end."""
        try:
            exit_code = self._process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"lb does not end; it said:\n{self.log}") from None
        self._finish()
        last = {line["message"]: line for line in self.lines}
        return End(exit_code, last.get("balance", {}), last.get("statistics", {}))

    def _await(self, find: Callable[[], _Found | None], what: str) -> _Found:
        deadline_s = time.monotonic() + TIMEOUT_S
        with self._changed:
            while (found := find()) is None:
                left_s = deadline_s - time.monotonic()
                if left_s <= 0 or not self._open_streams:
                    raise AssertionError(f"{what} did not come; lb said:\n{self.log}\n{self.recording.total} records")
                self._changed.wait(left_s)
        return found

    def _finish(self) -> None:
        self._process.wait(TIMEOUT_S)
        for reader in self._readers:
            reader.join(TIMEOUT_S)
            assert not reader.is_alive(), "a process that lb has started is still alive"

    def _assert_decent(self) -> None:
        assert "Traceback" not in self.log, self.log
        assert KEY not in self.log, self.log
        texts = {(name, value) for line in self.lines for name, value in line.items() if isinstance(value, str)}
        assert not [text for text in texts if text[1].lstrip("-").replace(".", "", 1).isdigit()], "a number in quotes"

    def _read_log(self) -> None:
        assert self._process.stderr is not None
        for text in self._process.stderr:
            with self._changed:
                self.lines.append(_parsed(text.decode("utf-8", "replace").rstrip("\n")))
                self._changed.notify_all()
        self._stream_ended()

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        while data := os.read(self._process.stdout.fileno(), 1 << 20):
            with self._changed:
                if self._is_recorder:
                    self.recording.feed(data)
                else:
                    self.output += data
                self._changed.notify_all()
        self._stream_ended()

    def _stream_ended(self) -> None:
        with self._changed:
            self._open_streams -= 1
            self._changed.notify_all()


def _parsed(text: str) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except json.JSONDecodeError:
        return {"message": text, "level": "text"}
    return line if isinstance(line, dict) else {"message": text, "level": "text"}
