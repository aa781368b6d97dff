"""A service manager that listens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.service_manager import Listening


@pytest.fixture(params=["path", "abstract"])
def listening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Listening]:
    there = Listening(f"@{tmp_path}" if request.param == "abstract" else f"{tmp_path}/notify")
    yield there
    there.close()
