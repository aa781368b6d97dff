"""Fixtures for every test of `lb` as a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.authority import Authority

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of recordings of real market data, which are no part of the project."""
    if not DATA.is_dir():
        pytest.skip("the recordings of real market data are not on this machine")
    return DATA
