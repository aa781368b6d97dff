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
    """Where it listens, the option that makes `lb` trust it, and (of another venue's fake) where its REST is."""

    url: str
    trust: tuple[str, ...]
    rest_url: str = ""


@contextmanager
def replay(*options: str) -> Iterator[Replay]:
    """A running `lb-replay` that accepts the harness's KEY, where its feed wants one."""
    key = () if "--feed" in options else ("--key", KEY)
    command = [sys.executable, "-m", "lb.replay", *key, *options]
    with subprocess.Popen(command, env=lb_environment(), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url, _, rest_url = process.stdout.readline().removeprefix("listening on ").strip().partition(" and ")
            assert url, "lb-replay said nothing"
            ca_file = process.stdout.readline().removeprefix("ca file ").strip() if url.startswith("wss") else None
            yield Replay(url, ("--ca-file", ca_file) if ca_file else (), rest_url)
        finally:
            process.terminate()
            process.wait(30)
