"""What holds for every test here: see harness.fixtures."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from harness.fixtures import authority
from need import leave_untested

__all__ = ["authority"]

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trade-balancer" / "prometheus"
EXIT_UNAVAILABLE = 69


@pytest.fixture(scope="session")
def prometheus_folder() -> Path:
    """Where Debian's prometheus and promtool are."""
    prepare = Path(__file__).parent / "prepare"
    done = subprocess.run([prepare, CACHE], capture_output=True, text=True, check=False)
    if done.returncode == EXIT_UNAVAILABLE:
        leave_untested(f"Prometheus: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return CACHE / "usr" / "bin"
