"""A service of a real systemd, as systemd and the journal tell of it. For guests, where all is thrown away.

Law: waits for what they tell.
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

TIMEOUT_S = 100.0
_Found = TypeVar("_Found")


class Unit:
    """`name`: as systemctl takes it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, *command: str | Path, code: int | None = 0) -> str:
        """What it prints. `code`: the exit code that it must have."""
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        told = f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert code is None or done.returncode == code, told + self.last_lines()
        return done.stdout

    def last_lines(self) -> str:
        command = ["journalctl", "-n", "60", "-u", self.name]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def show(self, *names: str) -> list[str]:
        """Properties of the unit."""
        lines = self.run("systemctl", "show", self.name).splitlines()
        told = dict(line.split("=", 1) for line in lines if "=" in line)
        return [told[name] for name in names]

    def journal(self) -> list[tuple[str, str]]:
        """Priority and text of the lines of the unit's present or last run, workers' too."""
        lines = [json.loads(line) for line in self.run("journalctl", "-o", "json", "-u", self.name).splitlines()]
        own = [line for line in lines if "_SYSTEMD_INVOCATION_ID" in line]  # the others are systemd's own
        last = [line for line in own if line["_SYSTEMD_INVOCATION_ID"] == own[-1]["_SYSTEMD_INVOCATION_ID"]]
        return [(line["PRIORITY"], line["MESSAGE"]) for line in last]

    def await_(self, find: Callable[[], _Found | None], what: str) -> _Found:
        until_s = time.monotonic() + TIMEOUT_S
        while not (found := find()):
            assert time.monotonic() < until_s, f"{what} did not come\n{self.last_lines()}"
            time.sleep(0.3)  # each look is a few processes, and the guest has one CPU
        return found

    def await_line(self, pattern: str) -> tuple[str, str]:
        """Priority and text of the first of the unit's lines that has it."""
        return self.await_(
            lambda: next((line for line in self.journal() if re.search(pattern, line[1])), None), pattern
        )

    @contextmanager
    def followed(self) -> Iterator[Log]:
        """Its log from now on, of which lb is to write JSON."""
        command = ["journalctl", "--follow", "--lines=0", "--output=cat", "--unit", self.name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            log = Log(self)
            reader = threading.Thread(target=log.read, args=(process.stdout,))
            reader.start()
            try:
                yield log
            finally:
                process.terminate()
                reader.join()


class Log:
    """Lines of the journal, as they come."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._changed = threading.Condition()
        self._seen = 0
        self.lines: list[dict[str, Any]] = []
        """What is not JSON, such as a line of systemd's own, is {"message": line}."""

    def read(self, stream: Iterable[str]) -> None:
        """Until its end."""
        for text in stream:
            with self._changed:
                self.lines.append(json.loads(text) if text.startswith("{") else {"message": text.rstrip()})
                self._changed.notify_all()

    def await_line(self, message: str) -> dict[str, Any]:
        """The next line, after those awaited before, with this message."""
        with self._changed:
            found = self._changed.wait_for(lambda: self._find(message), TIMEOUT_S)
        assert found is not None, f"{message!r} did not come\n{self._unit.last_lines()}"
        return found

    def _find(self, message: str) -> dict[str, Any] | None:
        for at in range(self._seen, len(self.lines)):
            if self.lines[at]["message"] == message:
                self._seen = at + 1
                return self.lines[at]
        return None
