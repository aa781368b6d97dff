"""The demo: asked for help it runs nothing, Ctrl-C ends it quietly, and what it shows is true."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
PACKAGE = SCRIPTS / "demo.d"
USAGE = (
    "usage: scripts/demo [--bars | --plain | --tap | --record | --page | --books | --upgrade | --emit | --kafka | "
    "--ledger] [--seconds S]"
)


@pytest.fixture
def demo() -> Iterator[None]:
    """The package `demo` can be imported."""
    sys.path.insert(0, str(PACKAGE))
    yield
    sys.path.remove(str(PACKAGE))


def start(*words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": f"{PACKAGE}:{PACKAGE.parents[1]}"}
    return subprocess.Popen(
        [sys.executable, "-m", "demo", *words], env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "exit_code", "said"),
    [
        (
            ["--help"],
            0,
            USAGE,
        ),
        (
            ["--plain", "-h"],
            0,
            USAGE,
        ),
        (
            ["--fast"],
            64,
            USAGE,
        ),
        (["--seconds", "soon"], 64, "--seconds wants a whole number"),
        (["--seconds"], 64, "--seconds wants a whole number"),
        (["--plain", "--seconds=5"], 3, "setup ran"),
        (["--page"], 3, "setup ran"),
    ],
)
def test_help_and_wrong_words_install_and_run_nothing(
    words: list[str], exit_code: int, said: str, tmp_path: Path
) -> None:
    shutil.copy(SCRIPTS / "demo", tmp_path)
    (tmp_path / "setup").write_text("#!/bin/sh\necho setup ran\nexit 3\n")
    (tmp_path / "setup").chmod(0o755)
    done = subprocess.run([tmp_path / "demo", *words], capture_output=True, text=True, check=False)
    assert done.returncode == exit_code
    assert said in done.stdout + done.stderr
    assert ("setup ran" in done.stdout) == (exit_code == 3)


@pytest.mark.parametrize(
    ("show", "said"),
    [
        ("market", ["every record accounted for"]),
        ("bars", ["every trade is in a bar"]),
        ("record", ["lb-record verify: the same "]),
        ("books", ["both venues are in the merged book", "binance", "bitstamp", "p99"]),
        ("emit", ["http://127.0.0.1:", "who is slow has the newest, and knows what it has skipped"]),
        ("ledger", ["kill -9 of the worker", "kill -9 of the ledger", "transactions is there once"]),
        ("tap", ['"sym":"AAPL"', "Q.AAPL acknowledged", "every record accounted for"]),
    ],
)
def test_every_record_of_the_market_is_accounted_for(show: str, said: list[str]) -> None:
    with start(show, "2") as process:
        told, _ = process.communicate(timeout=100)
    assert process.returncode == 0, told
    for words in said:
        assert words in told


def test_the_page_of_the_market_is_where_it_says() -> None:
    with start("page", "3") as process:
        assert process.stdout is not None
        while "http://" not in (line := process.stdout.readline()):
            assert line, "it has ended"
        with urllib.request.urlopen(line.strip()) as page:
            assert b"<title>lb</title>" in page.read()
        told, _ = process.communicate(timeout=100)
    assert process.returncode == 0, told
    assert "every one accounted for" in told


@pytest.mark.parametrize("show", ["market", "bars", "plain", "tap", "record"])
def test_ctrl_c_ends_it_and_all_it_has_started_without_a_traceback(show: str) -> None:
    """A terminal sends SIGINT to all of them."""
    with start(show, "1000") as process:
        assert process.stdout is not None
        told = process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        told += process.stdout.read()  # to the end of the last one that could write there
        assert process.wait(60) == 130, told
    assert "Traceback" not in told
    assert told.endswith("demo: stopped\n")


@pytest.mark.usefixtures("demo")
def test_the_ordinary_client_is_cut_off_by_a_feed_that_no_such_client_can_follow() -> None:
    from demo import plain, programs  # type: ignore[import-not-found]

    with (
        programs.feed("--rate", "20000000", "--slow-consumer-after", "0.2s") as source,
        programs.ordinary_client(source) as client,
    ):
        client.wait()
    view = plain.view_of_client(client)
    assert view.state.startswith("cut off after ")
    assert view.state.endswith(": slow_consumer")
    assert view.records > 0
