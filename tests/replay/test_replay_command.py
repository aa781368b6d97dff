"""The command of `lb` that `lb-replay` prints: which words are in it, and that it works as it is."""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from feed_client import message, record
from test_replay_cli import ENVIRONMENT, ROOT, replay

from lb.replay.command import lb_command
from lb.replay.player import End, Playback

URL = "ws://127.0.0.1:4711/stocks"
TRADES = frozenset(["T"])
BESIDE = Path(sys.executable).parent


def words_of(
    url: str = URL,
    key: str = "demo",
    ca_file: Path | None = None,
    events: frozenset[str] = TRADES,
    playback: Playback = Playback(),  # noqa: B008 - frozen
) -> list[str]:
    return shlex.split(lb_command(key, url, ca_file, events, playback))


@pytest.mark.parametrize(
    ("playback", "is_once"),
    [
        (Playback(), True),
        (Playback(loop=True, record_limit=5), True),
        (Playback(end=End.ABORT), False),
        (Playback(end=End.STAY), False),
        (Playback(drop_every_records=5), False),
    ],
)
def test_one_session_is_enough_where_the_server_ends_it_normally(playback: Playback, is_once: bool) -> None:
    assert ("--once" in words_of(playback=playback)) == is_once


@pytest.mark.parametrize(
    ("events", "subscribed"),
    [({"T"}, None), (set(), None), ({""}, None), ({"Q", "T", ""}, "Q.*,T.*"), ({"XQ"}, "XQ.*")],
)
def test_what_is_on_the_tape_is_subscribed_to(events: set[str], subscribed: str | None) -> None:
    words = words_of(events=frozenset(events))
    assert (words[words.index("--subscribe") + 1] if "--subscribe" in words else None) == subscribed


@pytest.mark.parametrize(
    ("url", "told"),
    [(URL, URL), ("ws://0.0.0.0:1/0.0.0.0", "ws://127.0.0.1:1/0.0.0.0"), ("wss://[::]:1/", "wss://[::1]:1/")],
)
def test_a_server_everywhere_is_reached_over_loopback(url: str, told: str) -> None:
    assert told in words_of(url)


@pytest.mark.parametrize("key", ["demo", "@/etc/my key", "env:KEY", "$(id)", "it's"])
def test_the_key_is_given_as_it_was_given(key: str) -> None:
    words = words_of(key=key)
    assert words[words.index(URL) - 1] == key


def test_programs_that_the_shell_does_not_find_are_named_by_their_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    assert (words_of()[0], words_of()[-1]) == (str(BESIDE / "lb"), str(BESIDE / "lb-count"))
    monkeypatch.setenv("PATH", str(BESIDE))
    assert (words_of()[0], words_of()[-1]) == ("lb", "lb-count")


@pytest.mark.parametrize("tls", [[], ["--self-signed"]])
def test_the_command_brings_every_record_once_and_ends(tls: list[str], tmp_path: Path) -> None:
    """As it is, by a shell, and over wss, too."""
    recording = tmp_path / "recording.jsonl"
    recording.write_bytes(b"\n".join([message(record(1), record(2, "MSFT")), message(record(3, event="Q"))]) + b"\n")
    with replay(*tls, "--once", recording) as running:
        done = subprocess.run(
            ["sh", "-c", running.command()], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert running.end()[0] == 0
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"ev": "Q", "symbol": "AAPL", "records": 1},
        {"ev": "T", "symbol": "AAPL", "records": 1},
        {"ev": "T", "symbol": "MSFT", "records": 1},
    ]


def test_the_lines_of_the_page_on_lb_replay_print_what_it_shows() -> None:
    """But for the port, and what lb says if it comes too early."""
    port = free_port()
    page = (ROOT / "docs" / "replay.md").read_text()
    commands, shown = (block.replace("8765", port) for block in blocks(page)[:2])
    environment = {**os.environ, "PATH": f"{BESIDE}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", f"{commands}\nwait"], cwd=ROOT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    printed = [line for line in done.stdout.splitlines() if "no session" not in line]
    assert sorted(printed) == sorted(shown.splitlines())


def blocks(page: str) -> list[str]:
    """The indented blocks of a page."""
    return [textwrap.dedent(block).strip() for block in re.findall(r"(?:^    .*\n)+", page, re.MULTILINE)]


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])
