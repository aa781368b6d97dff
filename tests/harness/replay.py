"""`lb-replay` as a process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from harness.lb_process import KEY, lb_environment


@dataclass(frozen=True)
class Replay:
    """Where it listens, and the option that makes `lb` trust it."""

    url: str
    trust: tuple[str, ...]


@contextmanager
def replay(*options: str) -> Iterator[Replay]:
    """A running `lb-replay` that accepts the harness's KEY."""
    command = [sys.executable, "-m", "lb.replay", "--key", KEY, *options]
    with subprocess.Popen(command, env=lb_environment(), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().removeprefix("listening on ").strip()
            assert url, "lb-replay said nothing"
            ca_file = process.stdout.readline().removeprefix("ca file ").strip() if url.startswith("wss") else None
            yield Replay(url, ("--ca-file", ca_file) if ca_file else ())
        finally:
            process.terminate()
            process.wait(30)
