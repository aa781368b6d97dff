"""The feeder's process (csrc/feeder.c) and its dialogue with the runner: JSON lines from it, one line to start it."""

import json
import os
import select
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from harness.errors import TrialError
from harness.setting import Setting

_WATCH_S = 0.05


class Feeder:
    """A feed that waits for one client, for go(), and at its end for close()."""

    def __init__(self, program: Path, setting: Setting, stderr: IO[bytes]) -> None:
        command = [str(program), *setting.feeder_options(), str(setting.feed.path)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr)
        assert self._process.stdin
        assert self._process.stdout
        self._orders = self._process.stdin
        self._answers = self._process.stdout
        self._received = b""
        self.pid = self._process.pid

    def go(self) -> None:
        self._orders.write(b"go\n")
        self._orders.flush()

    def event(self, name: str, timeout_s: float, watch: Callable[[], None]) -> dict[str, Any]:
        """Waits for the next event, which must be `name`; calls `watch` every 50 ms, whose errors end the waiting."""
        deadline_s = time.monotonic() + timeout_s
        while b"\n" not in self._received:
            if select.select([self._answers], [], [], _WATCH_S)[0]:
                data = os.read(self._answers.fileno(), 4096)
                if not data:
                    raise TrialError(f"the feeder ended before '{name}'")
                self._received += data
            else:
                watch()
            if time.monotonic() > deadline_s:
                raise TrialError(f"no '{name}' from the feeder in {timeout_s:.0f} s")
        line, _, self._received = self._received.partition(b"\n")
        event: dict[str, Any] = json.loads(line)
        if event["event"] != name:
            raise TrialError(f"the feeder said {event}, expected '{name}'")
        return event

    def close(self) -> None:
        """Ends the feed. A feeder that still has something to send is killed."""
        self._orders.close()
        self._answers.close()
        try:
            self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
