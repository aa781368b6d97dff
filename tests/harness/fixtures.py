"""Fixtures for every test of `lb`."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.authority import Authority

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(autouse=True)
def no_leaked_fds() -> Iterator[None]:
    """A test leaves as many descriptors open as it found."""
    before = _open_fds()
    yield
    gc.collect()
    left = _open_fds() - before
    assert not left, f"left open: {left}"


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def data() -> Path:
    """The folder of recordings of real market data, which are no part of the project."""
    if not DATA.is_dir():
        pytest.skip("the recordings of real market data are not on this machine")
    return DATA


def _open_fds() -> set[tuple[str, str]]:
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            found.add((link.name, str(link.readlink())))
        except FileNotFoundError:  # the one that listed them
            continue
    return found
