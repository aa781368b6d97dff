"""Fixtures of the tests of `lb.replay`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def data() -> Path:
    """The folder of recordings, which are not part of the project."""
    if not DATA.is_dir():
        pytest.skip("the recordings of real market data are not on this machine")
    return DATA


@pytest.fixture(autouse=True)
def no_fd_left() -> Iterator[None]:
    """A test leaves as many file descriptors open as it found."""
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    yield
    assert len(list(descriptors.iterdir())) == before
