"""What tests of any database's server want: it is fetched once, and runs while they do."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Self, TypeVar

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


class OneProcess(ABC):
    """A server that is one process, in a temporary folder: a context manager, with which the folder goes, too."""

    _process: subprocess.Popen[bytes]

    def __init__(self, name: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"lb-{name}-"))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder)

    @abstractmethod
    def start(self) -> None:
        """Returns when it takes connections. Once started, it comes back at the same ports."""

    def kill(self) -> None:
        """As in a crash; returns when it has ended."""
        self._process.kill()
        self._process.wait()


@contextmanager
def running(make: type[_Server], *, may_lack: bool = True) -> Iterator[_Server]:
    """Skips where none can be had, also in CI; or fails there, where none `may_lack`."""
    import pytest  # the benchmark, which has servers, too, has none

    try:
        server = make()
    except UnavailableError as fault:
        text = f"NOT TESTED here: {fault}"
        pytest.skip(text) if may_lack or not os.environ.get("CI") else pytest.fail(text)
    with server:
        yield server
