"""lb's websocket against the Autobahn Testsuite: 247 cases that nobody here wrote. See README.md beside this file."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness import lb_environment

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trade-balancer" / "autobahn"
AGENT = "lb"

EXIT_UNAVAILABLE = 69
START_TIMEOUT_S = 60.0

NOT_RUN = ["9.*", "12.*", "13.*"]
"""Performance, and compression, which lb never asks for."""
CASES = 247
NOT_JUDGED = {"7.1.6", "7.13.1", "7.13.2"}
"""The suite calls them informational, whatever the client does."""


@pytest.fixture(scope="module")
def wstest() -> Path:
    """The command of the suite. Skips, also in CI, where it can't be had: Debian 11, from which its Python comes, will
    leave the mirrors one day."""
    done = subprocess.run([HERE / "prepare", CACHE], capture_output=True, text=True, check=False)
    if done.returncode == EXIT_UNAVAILABLE:
        pytest.skip(f"NOT TESTED here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return CACHE / "wstest"


@contextmanager
def fuzzing_server(wstest: Path, folder: Path) -> Iterator[str]:
    """The suite's server. Gives its URL once it listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]  # the suite can't tell which port it was given: it must be told one
    url = f"ws://127.0.0.1:{port}"
    spec = {"url": url, "outdir": str(folder), "cases": ["*"], "exclude-cases": NOT_RUN, "exclude-agent-cases": {}}
    (folder / "spec.json").write_text(json.dumps(spec))
    command = [wstest, "-m", "fuzzingserver", "-s", folder / "spec.json", "-u", "0"]
    with (
        (folder / "server.log").open("wb") as log,
        subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT) as process,
    ):
        try:
            await_listener(port, process, folder / "server.log")
            yield url
        finally:
            process.terminate()


def await_listener(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    while process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), START_TIMEOUT_S):
                return
        except ConnectionRefusedError:
            pass
    raise AssertionError(log.read_text())


@pytest.mark.timeout(600)
def test_every_case_of_the_autobahn_testsuite_passes(wstest: Path, tmp_path: Path) -> None:
    with fuzzing_server(wstest, tmp_path) as url:
        client = [sys.executable, HERE / "echo_client.py", url, AGENT]
        done = subprocess.run(client, env=lb_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    results: dict[str, dict[str, Any]] = json.loads((tmp_path / "index.json").read_text())[AGENT]
    assert len(results) == CASES
    outcomes = {case: (result["behavior"], result["behaviorClose"]) for case, result in results.items()}
    not_judged = {case for case, outcome in outcomes.items() if outcome == ("INFORMATIONAL", "INFORMATIONAL")}
    assert not_judged == NOT_JUDGED
    assert {
        case: outcome for case, outcome in outcomes.items() if case not in NOT_JUDGED and outcome != ("OK", "OK")
    } == {}
