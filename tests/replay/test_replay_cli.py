"""The command `lb-replay` as a process: what it prints, what it sends, how it ends."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from feed_client import message, record, session

from lb.replay import cli
from lb.replay.synthetic import Layout, synthetic_market
from lb.replay.tape import records_of
from lb.version import VERSION

COMMAND = [sys.executable, "-m", "lb.replay"]
ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
MESSAGES = [message(record(1), record(2, "MSFT")), message(record(3, event="Q"))]


class Running:
    """An `lb-replay` that listens."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        self.process = process
        words = process.stdout.readline().split()
        assert words[:2] == ["listening", "on"]
        self.url = words[2]
        self.ca_file: Path | None = None
        if self.url.startswith("wss"):
            line = process.stdout.readline().rstrip("\n")
            assert line.startswith("ca file ")
            self.ca_file = Path(line.removeprefix("ca file "))

    def end(self) -> tuple[int, str]:
        """Waits for it; its exit code and standard error."""
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors

    def command(self) -> str:
        """The command of `lb` that it prints."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("to try it: ")
        return line.removeprefix("to try it: ").rstrip("\n")


@contextmanager
def replay(*arguments: str | Path) -> Iterator[Running]:
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)], env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield Running(process)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "recording.jsonl"
    path.write_bytes(b"\n".join(MESSAGES) + b"\n")
    return path


def test_a_recording_is_sent_once_and_the_command_ends(recording: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    with replay("--once", "--report", report, recording) as running:
        assert running.url.startswith("ws://127.0.0.1:")
        assert running.url.endswith("/stocks")
        with session(running.url) as client:
            client.subscribe("T.*,Q.*")
            assert client.hear_all() == MESSAGES
        frames_bytes = sum(map(len, MESSAGES)) + 2 * 2
        assert running.end() == (0, f"sent 3 records in 2 messages, {frames_bytes} bytes; connections: 1\n")
    totals = json.loads(report.read_text())
    assert totals["records_total"] == 3
    assert totals["sent_bytes"] == frames_bytes


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_a_report(recording: Path, number: signal.Signals) -> None:
    with replay("--loop", "--speed", "max", recording) as running, session(running.url) as client:
        client.subscribe()
        assert client.hear() == message(record(1), record(2, "MSFT"))
        running.process.send_signal(number)
        client.hear_all()
        code, errors = running.end()
    assert code == 0
    assert errors.startswith("sent ")
    assert errors.endswith("connections: 1\n")


IS_INTERRUPTED_AT_AN_IMPORT = """
import os, signal, sys
class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == MODULE:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupts())
from lb.replay.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize("module", ["lb.replay.cli", "lb.replay.serve"])
def test_ctrl_c_amid_the_imports_ends_it_without_a_word(module: str, recording: Path) -> None:
    program = IS_INTERRUPTED_AT_AN_IMPORT.replace("MODULE", repr(module))
    done = subprocess.run([sys.executable, "-c", program, recording], env=ENVIRONMENT, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_the_synthetic_market_over_wss() -> None:
    asked = ["--synthetic", "--seed", "5", "--layout", "2022", "--speed", "max", "--count", "70000", "--once"]
    with replay("--self-signed", *asked) as running:
        with session(running.url, running.ca_file) as client:
            client.subscribe()
            received = client.hear_all()
        code, errors = running.end()
        assert running.ca_file is not None
        assert not running.ca_file.parent.exists()
    assert (code, errors.startswith("sent 70000 records in ")) == (0, True)
    tape = synthetic_market(seed=5, layout=Layout.OF_2022, behind=True)
    *second_pass, cut = received[len(tape.messages) :]
    assert received[: len(tape.messages)] == tape.messages
    assert second_pass == tape.messages[: len(second_pass)]
    assert tape.messages[len(second_pass)].startswith(cut[:-1])


def test_drops_and_fragments_and_keys_and_paths(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret\n")
    faults = ["--drop-every", "1", "--drops", "1", "--fragment", "9", "--end", "abort"]
    with replay("--key", f"@{tmp_path / 'key'}", "--path", "/x", *faults, "--once", recording) as running:
        assert running.url.endswith("/x")
        for expected in MESSAGES:
            with session(running.url) as client:
                client.subscribe("T.*,Q.*", key="secret")
                assert client.hear_all() == [expected]
                assert client.close_received is None
        assert running.end()[0] == 0


def test_end_stay_and_stamps(recording: Path) -> None:
    with replay("--end", "stay", "--stamp", recording) as running, session(running.url) as client:
        client.subscribe()
        ((_, first), (_, second)) = records_of(client.hear())
        assert first["t"] == second["t"] > 1_781_622_376_036 - 400 * 86_400_000
        client.say("unsubscribe", "T.*")
        assert b"unsubscribed to: T.*" in client.hear()


def test_the_real_opening_second(data: Path) -> None:
    path = data / "polygon_trades_open_20131218.jsonl.zst"
    with replay("--speed", "max", "--once", path) as running:
        with session(running.url) as client:
            client.subscribe()
            assert sum(len(records_of(one)) for one in client.hear_all()) == 32_444
        assert running.end()[1].startswith("sent 32444 records in 1000 messages, ")


def test_a_bar_on_a_terminal(recording: Path) -> None:
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "--once", recording], env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=terminal
    ) as process:
        os.close(terminal)
        with session(Running(process).url) as client:
            client.subscribe("T.*,Q.*")
            client.hear_all()
        drawn = b""
        with suppress(OSError):  # What a terminal says when the last process on it is gone.
            while part := os.read(controller, 65_536):
                drawn += part
        os.close(controller)
    assert process.returncode == 0
    assert b"3 records" in drawn
    assert b"records/s" in drawn
    assert b"sent 3 records in 2 messages" in drawn


# Errors: one line each, and the exit code of their kind


@pytest.mark.parametrize(
    ("arguments", "code", "fault"),
    [
        ([], 64, "either FILES or --synthetic is needed, and not both"),
        (["--synthetic", "a.jsonl"], 64, "either FILES or --synthetic is needed, and not both"),
        (["a.csv"], 64, "a.csv: unknown suffix '.csv'; known are .jsonl, .gz and .zst"),
        (["--rate", "5", "a.jsonl"], 64, "--rate needs --synthetic"),
        (["--seed", "5", "a.jsonl"], 64, "--seed needs --synthetic"),
        (["--layout", "2022", "a.jsonl"], 64, "--layout needs --synthetic"),
        (["--synthetic", "--rate", "0"], 64, "argument --rate: '0' is not above 0"),
        (["--synthetic", "--rate", "many"], 64, "argument --rate: 'many' is not a number"),
        (["--synthetic", "--rate", "2e8"], 64, "rate of 2e+08 records/s is not above 0 and at most 1e+08 records/s"),
        (["--synthetic", "--speed", "inf"], 64, "argument --speed: 'inf' is not a number"),
        (["--synthetic", "--speed", "-1"], 64, "argument --speed: '-1' is not above 0"),
        (["--synthetic", "--count", "1.5"], 64, "argument --count: '1.5' is not a whole number"),
        (["--synthetic", "--count", "0"], 64, "argument --count: 0 records is below 1"),
        (["--synthetic", "--port", "65536"], 64, "argument --port: 65536 as a port is outside of 0 to 65535"),
        (["--synthetic", "--path", "stocks"], 64, "argument --path: 'stocks' does not begin with /"),
        (["--synthetic", "--ping-interval", "-1"], 64, "argument --ping-interval: -1 s is outside of 0 to 1e9 s"),
        (
            ["--synthetic", "--fault", "9:melt"],
            64,
            "argument --fault: '9:melt' is not AFTER:KIND[=VALUE] with",
        ),
        (
            ["--synthetic", "--fault", "drop"],
            64,
            "argument --fault: 'drop' is not AFTER:KIND[=VALUE] with one",
        ),
        (["--synthetic", "--fault", "9:drop=1"], 64, "argument --fault: drop takes no value"),
        (["--synthetic", "--fault=-1:drop"], 64, "argument --fault: -1 records is below 0"),
        (["--synthetic", "--fault", "xs:drop"], 64, "argument --fault: 'x' is not a number of seconds"),
        (
            ["--synthetic", "--fault", "9:close=1005"],
            64,
            "argument --fault: 1005 is no code that a close",
        ),
        (["--synthetic", "--fault", "9:stall=0"], 64, "argument --fault: '0' is not above 0"),
        (["--synthetic", "--tls"], 64, "--tls needs --self-signed, or --cert and --key-file"),
        (["--synthetic", "--cert", "c.pem"], 64, "--cert and --key-file need each other"),
        (["--synthetic", "--self-signed", "--cert", "c.pem"], 64, "--self-signed and --cert exclude each other"),
        (["--synthetic", "--drops", "2"], 64, "--drops needs --drop-every"),
        (
            ["--synthetic", "--speed", "max", "--slow-consumer-after", "9"],
            64,
            "--slow-consumer-after needs a pace: not",
        ),
        (["--synthetic", "--slow-consumer-after", "9.5"], 64, "argument --slow-consumer-after: '9.5' is not a whole"),
        (["--synthetic", "--slow-consumer-after", "0s"], 64, "argument --slow-consumer-after: '0' is not above 0"),
        (["--synthetic", "--stamp", "--fragment", "9"], 64, "--stamp and --fragment exclude each other: "),
        (["--synthetic", "--key", ""], 64, "the key is empty"),
        (
            ["--synthetic", "--key", "env:NO_SUCH_KEY"],
            64,
            "the environment variable 'NO_SUCH_KEY', named by --key, is not",
        ),
        (["--synthetic", "--key", "@none"], 66, "the key file none cannot be read: No such file or directory"),
        (["--synthetic", "--from", "+1"], 64, "--from and --by need FILES"),
        (["--from", "noon", "a.jsonl"], 64, "argument --from: 'noon' is neither a time such as"),
        (["--by", "received", "good.jsonl"], 64, "good.jsonl: no recording of lb-record: nothing says when"),
        (["--from", "+1", "good.jsonl"], 66, "the files end before the time of --from"),
        (["none.jsonl"], 66, "none.jsonl: No such file or directory"),
        (["bad.jsonl"], 66, "bad.jsonl:2: not a JSON array"),
        (["--synthetic", "--cert", "none", "--key-file", "none"], 66, "none or none cannot be read: No such file"),
        (
            ["--synthetic", "--host", "192.0.2.1"],
            69,
            "cannot listen on 192.0.2.1 port 0: Cannot assign requested address",
        ),
        (["--synthetic", "--nonsense"], 64, "unrecognized arguments: --nonsense"),
    ],
)
def test_errors(
    arguments: list[str],
    code: int,
    fault: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "bad.jsonl").write_text("[]\n5\n")
    (tmp_path / "good.jsonl").write_bytes(message(record(1)))
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"lb-replay: {fault}")
    assert printed.err.count("\n") == 1


def test_a_port_in_use(capsys: pytest.CaptureFixture[str], recording: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert cli.main(["--port", str(port), str(recording)]) == 69
    expected = f"lb-replay: cannot listen on 127.0.0.1 port {port}: Address already in use\n"
    assert capsys.readouterr().err == expected


def test_a_report_that_cannot_be_written(recording: Path, tmp_path: Path) -> None:
    with replay("--report", tmp_path, recording) as running:
        running.process.terminate()
        code, errors = running.end()
    assert code == 69
    assert errors.endswith(f"lb-replay: the report {tmp_path} cannot be written: Is a directory\n")


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for argument, expected in (("--version", f"lb-replay {VERSION}\n"), ("--help", "--drop-every N")):
        with pytest.raises(SystemExit, match="0"):
            cli.main([argument])
        assert expected in capsys.readouterr().out
