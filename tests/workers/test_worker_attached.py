"""--attach: any worker, a script or ready-made, may read beside the workers of a running lb."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from harness import Feed, Lb, inline, message
from harness.joining import Joined

from trade_balancer import RefusedError, attach, batches, run

pytestmark = pytest.mark.slow

TIMEOUT_S = 30.0


def trade(symbol: str, number: int) -> bytes:
    return b'{"ev":"T","sym":"%s","i":"%d","x":4,"p":10.5,"s":100,"c":[],"t":%d,"q":%d,"z":1}' % (
        symbol.encode(), number, 1_781_622_360_000 + number, number,
    )  # fmt: skip


TRADES = [trade("AB"[number % 2], number) for number in range(6)]


class Running:
    """An lb, and the feed's end of its session."""

    def __init__(self, path: Path, say: Any) -> None:
        self.path = path
        self.say = say

    def await_readers(self, count: int) -> list[dict[str, Any]]:
        with Joined(self.path) as client:
            while len(readers := client.result("status")["readers"]) != count:
                pass
        return list(readers)

    def await_offered(self, count: int) -> None:
        """That each reader was offered so many records."""
        with Joined(self.path) as client:
            while any(reader["offered_total"] != count for reader in client.result("status")["readers"]):
                pass


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    path = tmp_path / "lb.sock"
    with Feed() as feed, Lb(feed.url, 1, "--control", str(path)) as lb, feed.session() as peer:
        lb.await_line("session open")
        yield Running(path, peer.say)


def start(*words: str | Path, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *map(str, words)], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


READY_MADE = ["count", "bars", "jsonl", "parquet", "sql"]


def test_every_ready_made_worker_may(running: Running, tmp_path: Path) -> None:
    asked = ("--attach", running.path, "--topics", "T.A")
    commands: dict[str, Sequence[str | Path]] = {
        name: ("-m", f"trade_balancer.{name}", *asked, "--summary", f"{name}.json") for name in READY_MADE
    }
    commands["lines"] = ("-m", "trade_balancer.lines", *asked, "cat")
    workers = {name: start(*words, cwd=tmp_path) for name, words in commands.items()}
    running.await_readers(len(workers))
    running.say(message(TRADES))
    running.await_offered(3)
    for worker in workers.values():
        worker.send_signal(signal.SIGTERM)
    said = {name: worker.communicate(timeout=TIMEOUT_S) for name, worker in workers.items()}
    assert {name: worker.returncode for name, worker in workers.items()} == dict.fromkeys(workers, 0), said
    assert {name: err for name, (_, err) in said.items()} == dict.fromkeys(workers, "")
    for name in READY_MADE:
        assert json.loads((tmp_path / f"{name}.json").read_text())["records"] == 3, name
    assert json.loads(said["count"][0]) == {"ev": "T", "symbol": "A", "records": 3}
    assert said["lines"][0] == "".join(f"{record.decode()}\n" for record in TRADES[::2])


COUNTS = """
import trade_balancer
print(trade_balancer.run(lambda record, fd: None, processes={processes}).records)
"""


@pytest.mark.parametrize("processes", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_script_may_until_it_is_told_to_stop(
    running: Running, tmp_path: Path, processes: bool, number: signal.Signals
) -> None:
    words = ("-c", COUNTS.format(processes=processes), f"--attach={running.path}", "--topics", "T.A", "--topics=T.B")
    with start(*words, cwd=tmp_path) as script:
        assert running.await_readers(1)[0]["topics"] == ["T.A", "T.B"]
        running.say(message(TRADES))
        running.await_offered(6)
        script.send_signal(number)
        assert script.communicate(timeout=TIMEOUT_S) == ("6\n", "")
        assert script.returncode == 0
    running.await_readers(0)


def test_a_signal_that_the_script_handles_itself_is_its_own(running: Running, tmp_path: Path) -> None:
    code = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))" + COUNTS.format(processes=False)
    with start("-c", code, "--attach", running.path, cwd=tmp_path) as script:
        running.await_readers(1)
        script.terminate()
        assert script.wait(TIMEOUT_S) == 7


def test_what_it_was_too_slow_for_is_told(running: Running, tmp_path: Path) -> None:
    code = "import trade_balancer; trade_balancer.run(lambda record, fd: print(1, flush=True) or input())"
    records = [b'{"ev":"T","sym":"A","pad":"%s"}' % (b"x" * 1000) for _ in range(10_000)]
    script = subprocess.Popen(
        [sys.executable, "-c", code, "--attach", running.path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with script:
        running.await_readers(1)
        for at in range(0, len(records), 100):
            running.say(message(records[at : at + 100]))
        running.await_offered(len(records))
        (reader,) = running.await_readers(1)
        script.terminate()
        running.await_readers(0)
        _, told = script.communicate("\n" * len(records), timeout=TIMEOUT_S)
    assert reader["dropped_total"] > 1000
    assert f"{reader['dropped_total']} records dropped: too slow" in told


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--attach"], 64, "--attach"),
        (["--attach", "none.sock"], 69, "no lb there"),
    ],
)
def test_what_can_not_be_is_told(words: list[str], code: int, said: str, tmp_path: Path) -> None:
    for program in (["-c", COUNTS.format(processes=False)], ["-m", "trade_balancer.count"]):
        done = subprocess.run(
            [sys.executable, *program, *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (code, True, False), done.stderr


def test_in_a_thread_too(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Python sets no handlers."""
    monkeypatch.setattr(sys, "argv", ["x", "--attach", str(running.path)])
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: run(lambda record, fd: got.append(record), raw=True))
    thread.start()
    (reader,) = running.await_readers(1)
    running.say(message(TRADES))
    running.await_offered(6)
    with Joined(running.path) as client:
        client.result("stop")
    thread.join(TIMEOUT_S)
    assert (got, reader["topics"]) == (TRADES, ["*"])


def test_a_program_that_is_started_does_not_inherit_the_pipe(running: Running) -> None:
    """It would be a reader, too, and lb would not see that the first has gone."""
    with attach(running.path, ["*"]) as reader:
        assert not os.get_inheritable(reader.fd)


LEAVES_LATE = """
import os, sys
while os.read(int(sys.argv[1]), 1 << 16):
    pass
open({held!r}).close()
"""


def test_a_reader_that_comes_back_while_lb_stops_waits_for_the_next(tmp_path: Path) -> None:
    path = tmp_path / "lb.sock"
    held = tmp_path / "held"
    os.mkfifo(held)
    with Feed() as feed:
        with Lb(feed.url, 1, "--control", str(path), worker=inline(LEAVES_LATE.format(held=str(held)))) as lb:
            with feed.session():
                lb.await_line("session open")
                reader = attach(path, ["T.A"])
                lb.send_signal(signal.SIGTERM)
                assert list(batches(reader.fds)) == []
            with pytest.raises(RefusedError, match="lb stops"):
                attach(path, ["T.A"])
            again = threading.Thread(target=reader.reattach, daemon=True)
            again.start()
            held.write_text("")
            lb.wait()
        with Lb(feed.url, 1, "--control", str(path)), feed.session() as peer:
            again.join(TIMEOUT_S)
            peer.say(message(TRADES[:1]))
            with reader:
                assert next(batches(reader.fds)) == (reader.fd, TRADES[:1])
