"""The C files that read a feed's bytes, under the address and undefined-behaviour sanitizers.

Each target (fuzz_*.c) is run twice: over inputs that are known to be nasty, and by libFuzzer for a few seconds.
`scripts/fuzz` runs them for as long as one likes.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import seeds
from need import need, need_libfuzzer

TARGETS = [
    "ws_frame",
    "scan",
    "json_member",
    "polygon",
    "binance",
    "bitstamp",
    "coinbase",
    "kraken",
    "realign",
    "pump",
    "adopt",
    "spill",
    "columns",
    "bars",
    "pgcopy",
    "recording",
    "books",
    "forms",
    "unpack",
]
FUZZING_S = 3
BUILD = Path(__file__).with_name("build")


@pytest.fixture(scope="session")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For all processes of pytest-xdist one folder."""
    mine = tmp_path_factory.getbasetemp()
    folder = (mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine) / "objects"
    folder.mkdir(exist_ok=True)
    return folder


def build(kind: str, target: str, directory: Path, objects: Path) -> Path:
    program = directory / f"{kind}_{target}"
    command = [BUILD, kind, target, program, objects]
    done = subprocess.run(command, env=os.environ | {"CC": "gcc"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


def run(*arguments: str | Path) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, errors="replace")
    assert done.returncode == 0, done.stderr[-5000:]


@pytest.mark.parametrize("target", TARGETS)
def test_nasty_inputs(target: str, tmp_path: Path, objects: Path) -> None:
    need("gcc")
    program = build("replay", target, tmp_path, objects)
    seeds.main(target, tmp_path / "seeds")
    run(program, *sorted((tmp_path / "seeds").iterdir()))


@pytest.mark.parametrize("target", TARGETS)
def test_fuzzed(target: str, tmp_path: Path, objects: Path) -> None:
    need_libfuzzer()
    program = build("fuzzer", target, tmp_path, objects)
    seeds.main(target, tmp_path / "corpus")
    run(program, f"-max_total_time={FUZZING_S}", "-max_len=1500", f"-artifact_prefix={tmp_path}/", tmp_path / "corpus")
