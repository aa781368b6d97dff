"""What tests of any database's server want: it is fetched once, and runs while they do."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

EXIT_UNAVAILABLE = 69

_Server = TypeVar("_Server", bound=AbstractContextManager[object])


class UnavailableError(Exception):
    """There is no such server here, and none can be had."""


def cache(name: str) -> Path:
    """Where what was fetched is kept."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "trade-balancer" / name


def prepare(script: Path, folder: Path) -> Path:
    """Has the script fetch what is wanted into the folder.

    Raises:
        UnavailableError
    """
    done = subprocess.run([script, folder], capture_output=True, text=True, check=False)
    if done.returncode == EXIT_UNAVAILABLE:
        raise UnavailableError(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    return folder


@contextmanager
def running(make: type[_Server]) -> Iterator[_Server]:
    """Skips, also in CI, where none can be had."""
    import pytest  # the benchmark, which has servers, too, has none

    try:
        server = make()
    except UnavailableError as fault:
        pytest.skip(f"NOT TESTED here: {fault}")
    with server:
        yield server
