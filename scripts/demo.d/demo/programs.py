"""The processes of the demo, each ended with its `with` block."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

PIPES = 4

_LONGEST_END_S = 30
_BESIDE = Path(sys.executable).parent
_KEY = secrets.token_hex(16)
_ENVIRONMENT = {**os.environ, "LB_DEMO_KEY": _KEY}

Line = dict[str, Any]


class Failed(Exception):
    """A program of the demo ended with an error; the text is what it said."""


class Program:
    """A running process that tells how far it is in lines of JSON."""

    def __init__(self, process: subprocess.Popen[str], told: IO[str]) -> None:
        self._process = process
        self._reader = threading.Thread(target=self._read, args=(told,), daemon=True)
        self.lines: list[Line] = []
        """As far as they came."""
        self._reader.start()

    def has(self, message: str) -> bool:
        return any(line.get("message") == message for line in self.lines)

    def last(self, message: str) -> Line:
        """Raises Failed where it has not said it."""
        for line in reversed(self.lines):
            if line.get("message") == message:
                return line
        raise Failed(f"{self._process.args!r} did not tell its {message}")

    @property
    def runs(self) -> bool:
        return self._reader.is_alive()

    def end(self) -> None:
        """Ask it to stop, and wait. Raises Failed where it is not content."""
        self._process.terminate()
        self.wait()

    def kill(self) -> None:
        """End it as a crash does, and wait."""
        self._process.kill()
        self._reader.join()

    def wait(self) -> None:
        """Wait for its end. Raises Failed where it is not content."""
        self._reader.join()
        if self._process.wait() != 0:
            said = "\n".join(str(line.get("message", line)) for line in self.lines[-5:])
            raise Failed(f"{self._process.args!r} ended with exit code {self._process.returncode}:\n{said}")

    def _read(self, told: IO[str]) -> None:
        for text in told:
            try:
                self.lines.append(json.loads(text))
            except json.JSONDecodeError:
                self.lines.append({"message": text.rstrip()})


@dataclass(frozen=True)
class Feed:
    url: str
    trust: Sequence[str]
    """The options that make `lb` trust it."""


@contextlib.contextmanager
def feed(*options: str) -> Iterator[Feed]:
    """`lb-replay` with a made-up market."""
    with _replay("--synthetic", *options) as source:
        yield source


@contextlib.contextmanager
def player(folder: Path, *options: str) -> Iterator[Feed]:
    """`lb-replay` with the recordings of a folder."""
    with _replay(*options, *map(str, sorted(folder.iterdir()))) as source:
        yield source


@contextlib.contextmanager
def _replay(*words: str) -> Iterator[Feed]:
    command = [_BESIDE / "lb-replay", "--key", "env:LB_DEMO_KEY", *words]
    with _running(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("listening on ").rstrip("\n")
        if not url:
            raise Failed(f"{command!r} did not begin")
        is_tls = url.startswith("wss")
        trust = ("--ca-file", process.stdout.readline().removeprefix("ca file ").rstrip("\n")) if is_tls else ()
        yield Feed(url, trust)


@contextlib.contextmanager
def venue(name: str) -> Iterator[list[str]]:
    """`lb-replay`, the fake of this venue with made-up books; the options that tell lb-books where it is."""
    command = [_BESIDE / "lb-replay", "--feed", name]
    with _running(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        if words[:2] != ["listening", "on"]:
            raise Failed(f"{command!r} did not begin")
        yield ["--venue", f"{name}={words[2]}", "--rest", f"{name}={words[-1]}"]


@contextlib.contextmanager
def books(venues: Sequence[Sequence[str]]) -> Iterator[str]:
    """`lb-books` of these; where it serves."""
    command = [_BESIDE / "lb-books", "--grpc", "127.0.0.1:0", *(word for words in venues for word in words)]
    with _running(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        address = process.stdout.readline().removeprefix("gRPC at ").strip()
        if not address or process.stdout.readline() != "ready\n":
            raise Failed(f"{command!r} did not begin")
        yield address


@contextlib.contextmanager
def emitter(joined: Path) -> Iterator[tuple[str, str]]:
    """`lb-emit` of all trades; where its page and its websockets are."""
    command = [_BESIDE / "lb-emit", "--attach", joined, "--topics", "T.*", "--listen", "127.0.0.1:0", "--drain", "0.5"]
    with _running(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        if words[:2] != ["page", "at"]:
            raise Failed(f"{command!r} did not begin")
        yield words[2], words[-1]


@contextlib.contextmanager
def balancer(
    source: Feed, folder: Path, worker: str, *worker_args: str, options: Sequence[str] = ()
) -> Iterator[Program]:
    """`lb`, which tells its statistics twice a second; its worker runs in `folder`."""
    options = [*source.trust, *options, "--stats-interval", "0.5", "--log-format", "json"]
    words = ["env:LB_DEMO_KEY", source.url, str(PIPES), folder, _BESIDE / worker, *worker_args]
    with _running([_BESIDE / "lb", *options, *words], stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        yield Program(process, process.stderr)


@contextlib.contextmanager
def balancer_for_readers(source: Feed, path: Path) -> Iterator[Program]:
    """`lb` without workers, once its control socket takes callers."""
    words = ["--log-format", "json", "--control", path, "env:LB_DEMO_KEY", source.url, "0"]
    with _running([_BESIDE / "lb", *words], stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        lb = Program(process, process.stderr)
        while not _takes_callers(path) and lb.runs:
            time.sleep(0.01)
        yield lb


def _takes_callers(path: Path) -> bool:
    """The file of a socket is there before it listens."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
    return True


@contextlib.contextmanager
def recorder(joined: Path, folder: Path) -> Iterator[Program]:
    """`lb-record`, of all trades."""
    command = [_BESIDE / "lb-record", joined, "T.*", "--directory", folder]
    with _running(command, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        yield Program(process, process.stderr)


@contextlib.contextmanager
def listening_ledger(folder: Path, place: str) -> Iterator[Program]:
    """`lb-ledger listen`, with the ledger in `folder`, once it takes transactions."""
    command = [_BESIDE / "lb-ledger", "listen", "--database", folder / "ledger", "--at", place]
    with _running(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        if not process.stdout.readline().startswith("ready"):
            raise Failed(f"{command!r} did not begin")
        yield Program(process, process.stdout)


@contextlib.contextmanager
def submitting(place: str, file: Path) -> Iterator[Program]:
    """`lb-ledger submit` of the transactions in a file; its lines are the answers."""
    command = [_BESIDE / "lb-ledger", "submit", "--at", place, file]
    with _running(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield Program(process, process.stdout)


@contextlib.contextmanager
def tap(folder: Path, topic: str) -> Iterator[Program]:
    """`lb-tap` of the lb whose socket is in `folder`; its lines come to tapped.jsonl there."""
    tapped = folder / "tapped.jsonl"
    tapped.touch()
    command = [_BESIDE / "lb-tap", "--output", tapped, folder / "lb.sock", topic]
    with _running(command, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        yield Program(process, process.stderr)


@contextlib.contextmanager
def member(folder: Path, *words: str) -> Iterator[Program]:
    """`lb-count` of a topic; its counts and its summary come to files in `folder`."""
    number = len(list(folder.glob("counts-*")))
    output = folder / f"counts-{number}"
    output.touch()
    command = [_BESIDE / "lb-count", *words, "--output", output, "--summary", folder / f"summary-{number}"]
    with _running(command, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        yield Program(process, process.stderr)


def said_by(program: str, *words: str) -> tuple[int, str]:
    """Its exit code and what it has said, once it has ended."""
    done = subprocess.run([_BESIDE / program, *words], capture_output=True, text=True, check=False)
    return done.returncode, (done.stdout + done.stderr).strip()


def beside(folder: Path, name: str, *words: str) -> None:
    """Runs one of our commands in `folder` to its end, and shows what it prints. Raises Failed where it fails."""
    sys.stdout.flush()
    code = subprocess.run([_BESIDE / name, *words], cwd=folder, check=False).returncode
    if code != 0:
        raise Failed(f"{name} {' '.join(words)} ended with exit code {code}")


@contextlib.contextmanager
def ordinary_client(source: Feed) -> Iterator[Program]:
    command = [sys.executable, Path(__file__).with_name("ordinary_client.py"), source.url, _KEY]
    with _running(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield Program(process, process.stdout)


@contextlib.contextmanager
def _running(
    command: Sequence[str | Path], stdout: int | None = None, stderr: int | None = None
) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(command, text=True, env=_ENVIRONMENT, stdout=stdout, stderr=stderr) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_LONGEST_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
