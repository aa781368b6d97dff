"""lb-replay, lb and the programs that share its session, end to end: what is asked of the feed, and what each gets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from harness import Lb
from harness.joining import Joined
from harness.replay import replay

from trade_balancer import attach, batches

BUSY = ["SPY", "NVDA", "TSLA", "AAPL", "QQQ"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lb.sock"


READER = """
import json, os, signal, socket, sys
path, topic, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
client = socket.socket(socket.AF_UNIX)
client.connect(path)
asked = {"v": 1, "verb": "attach", "topics": [topic], "pipe_size": 4096, "backlog": 1 << 16}
client.sendall(json.dumps(asked).encode() + bytes([10]))
_, (fd,), _, _ = socket.recv_fds(client, 4096, 1)
if topic == "*":
    os.kill(os.getpid(), signal.SIGSTOP)
got, rest = 0, b""
while not count or got < count:
    rest += os.read(fd, 65536)
    while len(rest) >= 4 and len(rest) >= 4 + (length := int.from_bytes(rest[:4], "little")):
        record, rest = json.loads(rest[4 : 4 + length]), rest[4 + length :]
        assert record["ev"] + "." + record["sym"] == topic, record
        got += 1
        if got == 1:
            print("reads", flush=True)
"""
"""Of one topic; leaves after so many records, and with 0 never. One of everything stands still at once."""


def start_reader(path: Path, topic: str, count: int = 0) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-S", "-c", READER, str(path), topic, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def readers_of(path: Path) -> list[dict[str, Any]]:
    with Joined(path) as client:
        return list(client.result("status")["readers"])


def test_readers_come_and_go_and_are_killed_in_a_burst_and_one_stands_still(path: Path, tmp_path: Path) -> None:
    worker = (sys.executable, "-m", "trade_balancer.count", "--output", "/dev/null", "--summary", "summary.json")
    with (
        replay("--synthetic", "--speed", "max") as source,
        Lb(source.url, 2, "--control", str(path), worker=worker, directory=tmp_path, records=False) as lb,
    ):
        lb.await_line("session open")
        still = start_reader(path, "*")
        os.waitpid(still.pid, os.WUNTRACED)
        stay, leave = ([start_reader(path, f"T.{symbol}", count) for symbol in BUSY * 2] for count in (0, 500))
        for reader in stay:
            with reader:
                assert reader.stdout is not None
                assert reader.stdout.readline() == b"reads\n"
                reader.kill()
        for reader in leave:
            reader.communicate(timeout=30)
            assert reader.returncode == 0
        while len(readers := readers_of(path)) > 1:
            pass
        end = lb.stop()
        with still:
            still.kill()
    assert (end.exit_code, end.balance["exact"], end.balance["dropped"]) == (0, True, 0)
    assert json.loads((tmp_path / "summary.json").read_text())["records"] == end.balance["received"] > 0
    assert [reader["topics"] for reader in readers] == [["*"]]
    left = [line for line in lb.lines if line["message"] == "reader left"]
    assert len(left) == 21
    for line in left:
        assert line["offered"] == line["delivered"] + line["dropped"] + line["waiting"]
    assert left[-1]["dropped"] > 0 < left[-1]["delivered"], "the one that stood still"


def test_the_feed_is_asked_for_what_somebody_wants_and_for_nothing_twice(path: Path) -> None:
    options = ("--subscribe", "T.MSFT", "--control", str(path), "--linger", "0")
    with replay("--synthetic", "--rate", "20000") as source, Lb(source.url, 1, *options) as lb:

        def await_words(*words: str) -> None:
            for text in words:
                lb.await_line("the feed says", text=text)

        def symbols(fd: int, count: int, of: int = 1) -> set[str]:
            """Of so many records, and until there are so many symbols: one that was asked for later comes later."""
            got: set[str] = set()
            for _, records in batches([fd]):
                got.update(json.loads(record)["sym"] for record in records)
                count -= len(records)
                if count <= 0 and len(got) >= of:
                    break
            return got

        await_words("subscribed to: T.MSFT")
        with attach(path, ["T.AAPL"]) as one:
            await_words("subscribed to: T.AAPL")
            with attach(path, ["T.AAPL", "T.NVDA"]) as two:
                await_words("subscribed to: T.NVDA")
                assert symbols(one.fd, 100) == {"AAPL"}
                assert symbols(two.fd, 100, of=2) == {"AAPL", "NVDA"}
            await_words("unsubscribed to: T.NVDA")
            with attach(path, ["T.*"]) as all_:
                await_words("subscribed to: T.*", "unsubscribed to: T.AAPL", "unsubscribed to: T.MSFT")
                assert len(symbols(all_.fd, 1000, of=100)) >= 100
            await_words("subscribed to: T.MSFT", "subscribed to: T.AAPL", "unsubscribed to: T.*")
        await_words("unsubscribed to: T.AAPL")
        said = [line["text"] for line in lb.lines if line["message"] == "the feed says"]
        assert said.count("subscribed to: T.AAPL") == 2, "once before, and once behind T.*"
        end = lb.stop()
        assert end.exit_code == 0
        assert {json.loads(record)["sym"] for record in lb.recording.pipes[0]} == {"MSFT"}
