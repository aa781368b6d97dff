"""Fixtures for every test of `lb` as a process."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from need import leave_untested

from harness.authority import Authority
from lb.replay.synthetic import synthetic_market

DATA = Path(__file__).parents[3] / "shared" / "data"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trade-balancer" / "prometheus"
EXIT_UNAVAILABLE = 69


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def opening_second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of 30,000 trades in about a second: the market's real one where it is here, else a made-up one."""
    real = DATA / "polygon_trades_open_20131218.jsonl.zst"
    if real.exists():
        return real
    made_up = tmp_path_factory.mktemp("tape") / "opening_second.jsonl"
    tape = synthetic_market(rate=30_000.0, records=30_000)
    made_up.write_bytes(b"".join(message + b"\n" for message in tape.messages))
    return made_up


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of recordings of real market data, which are no part of the project."""
    if not DATA.is_dir():
        pytest.skip("the recordings of real market data are not on this machine")
    return DATA


@pytest.fixture(scope="session")
def prometheus_folder() -> Path:
    """Where Debian's prometheus and promtool are."""
    prepare = Path(__file__).parents[1] / "page" / "prepare"
    done = subprocess.run([prepare, CACHE], capture_output=True, text=True, check=False)
    if done.returncode == EXIT_UNAVAILABLE:
        leave_untested(f"Prometheus: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return CACHE / "usr" / "bin"
