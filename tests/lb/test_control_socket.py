"""--control: what is asked is answered, what is ordered is done, and no client, however rude, is in anybody's way."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Feed, Lb, inline, message, run_lb
from harness.flood import record
from harness.joining import Joined

pytestmark = pytest.mark.slow

NO_FEED = "ws://127.0.0.1:1/stocks"
WAITING = inline("import os, sys; os.read(int(sys.argv[1]), 1)")
"""A worker that ends with its pipe, or when it is asked to."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lb.sock"


@pytest.fixture
def running(path: Path) -> Iterator[Lb]:
    with Lb(NO_FEED, 1, "--control", str(path), worker=WAITING, constants={"lb.control.client.UNREAD_S": 0.1}) as lb:
        lb.await_line("worker started")
        yield lb


def assert_serves(path: Path) -> None:
    with Joined(path) as client:
        assert client.result("status")["lb"]["state"] == "running"


def test_status_tells_of_every_record_pipe_and_slot(path: Path) -> None:
    with Feed() as feed, Lb(feed.url, 2, "--control", str(path)) as lb, feed.session() as peer:
        peer.say(message([record(number) for number in range(5)]))
        lb.await_records(5)
        with Joined(path) as client:
            status = client.result("status")
        assert status["balance"]["received"] == 5
        assert [pipe["written_total"] for pipe in status["pipes"]] == [3, 2]
        assert [slot["state"] for slot in status["slots"]] == ["running"]
        assert (status["session"]["state"], status["session"]["topics"]) == ("open", ["T.*"])
        assert status["lb"]["pid"] == lb.pid
        assert status["counters"]["records_total"] == 5


def test_requests_are_answered_in_their_order_each_with_its_id(running: Lb, path: Path) -> None:
    with Joined(path) as client:
        client.send(b'{"v":1,"id":1,"verb":"status"}\n{"v":1,"id":"x","verb":"dance"}\n{"v":1,"verb":"status"}\n')
        answers = [client.receive() for _ in range(3)]
    assert [answer["id"] for answer in answers] == [1, "x", None]
    assert answers[1]["error"]["name"] == "unknown-verb"


def test_arguments_are_checked(running: Lb, path: Path) -> None:
    with Joined(path) as client:
        assert client.refusal("status", slot=1) == "bad-argument"
        assert client.refusal("restart") == "bad-argument"
        assert client.refusal("restart", slot="0") == "bad-argument"
        assert client.refusal("restart", slot=True) == "bad-argument"
        assert client.refusal("restart", slot=1) == "bad-argument"
        assert client.refusal("restart", slot=-1) == "bad-argument"
        assert client.refusal("log-level", level="loud") == "bad-argument"
        assert client.result("status")


@pytest.mark.parametrize(
    ("rudeness", "error"),
    [(b"GET / HTTP/1.1\r\n\r\n", "malformed"), (b"\0" * 100 + b"\n", "malformed"), (b"x" * (1 << 20), "too-long")],
)
def test_garbage_is_answered_and_ends_the_connection(running: Lb, path: Path, rudeness: bytes, error: str) -> None:
    with Joined(path) as client:
        with contextlib.suppress(BrokenPipeError):  # lb has closed before it was all sent
            client.send(rudeness)
        assert client.receive()["error"]["name"] == error
        assert client.has_ended()
    assert_serves(path)


def test_half_a_line_and_nothing_at_all_hold_up_nobody(running: Lb, path: Path) -> None:
    with Joined(path) as half, Joined(path):
        half.send(b'{"v":1,"verb":"st')
        assert_serves(path)
    assert_serves(path)


def test_who_does_not_read_is_cut_off(running: Lb, path: Path) -> None:
    with Joined(path) as deaf:
        deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        questions = b'{"v":1,"verb":"status"}\n' * 1_000_000
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            deaf.send(questions)
    assert_serves(path)


def test_one_too_many_is_told_so(path: Path) -> None:
    with Lb(NO_FEED, 1, "--control", str(path), "--control-clients", "2", worker=WAITING) as lb:
        lb.await_line("worker started")
        with Joined(path) as first, Joined(path) as second:
            assert first.result("status")
            assert second.result("status")
            with Joined(path) as third:
                assert third.receive()["error"]["name"] == "too-many"
                assert third.has_ended()
        assert_serves(path)


def test_a_slot_is_restarted_paused_and_resumed(running: Lb, path: Path) -> None:
    def state(pid: int) -> str:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]

    with Joined(path) as client:
        (slot,) = client.result("status")["slots"]
        client.result("pause", slot=0)
        assert client.result("status")["slots"][0]["paused"]
        while state(slot["pid"]) != "T":
            pass
        client.result("resume", slot=0)
        while state(slot["pid"]) == "T":
            pass
        client.result("pause", slot=0)
        client.result("restart", slot=0)
        ended = running.await_line("worker ended", pid=slot["pid"])
        assert ended["signal"] == "SIGTERM"
        running.await_line("worker started")
        (successor,) = client.result("status")["slots"]
        assert (successor["starts_total"], successor["paused"]) == (2, False)


def test_a_worker_that_outlives_sigterm_is_killed_when_it_is_to_be_restarted(path: Path) -> None:
    stubborn = inline("""
        import os, signal, sys
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("ready", flush=True)
        os.read(int(sys.argv[1]), 1)
    """)
    constants = {"lb.slots.orders.KILL_AFTER_S": 0.05}
    with Lb(NO_FEED, 1, "--control", str(path), worker=stubborn, constants=constants) as lb:
        lb.await_output()
        with Joined(path) as client:
            client.result("restart", slot=0)
        assert lb.await_line("worker ended")["signal"] == "SIGKILL"
        lb.await_line("worker started")


def test_a_paused_worker_takes_part_in_the_stop(path: Path) -> None:
    with Feed() as feed, Lb(feed.url, 1, "--control", str(path)) as lb, feed.session() as peer:
        lb.await_recorders(1)
        with Joined(path) as client:
            client.result("pause", slot=0)
            peer.say(message([record(1)]))
            peer.say(message([record(2)]))
            while client.result("status")["balance"]["received"] < 2:
                pass
            client.result("stop")
        end = lb.wait()
        assert (end.exit_code, end.balance["unread"]) == (0, 0)


def test_the_level_of_the_log_is_changed(running: Lb, path: Path) -> None:
    with Joined(path) as client:
        client.result("log-level", level="error")
        client.result("restart", slot=0)
        running.await_line("worker ended")
        client.result("log-level", level="info")
        client.result("restart", slot=0)
    lines = [line["message"] for line in running.lines]
    assert "worker is to be replaced" not in lines[: lines.index("worker ended")]
    running.await_line("worker is to be replaced")


def test_who_watches_is_told_what_happens_whatever_is_logged(running: Lb, path: Path) -> None:
    with Joined(path) as client:
        client.result("log-level", level="error")
        assert client.result("watch") == {}
        assert client.receive()["id"] == "watch"
        (slot,) = client.result("status")["slots"]
        os.kill(slot["pid"], signal.SIGKILL)
        assert client.await_event(name="log", message="worker ended")["signal"] == "SIGKILL"
        assert client.await_event(name="log", message="worker started")["level"] == "info"
        assert client.await_event(name="status")["slots"][0]["starts_total"] == 2


def test_stop_is_a_stop(running: Lb, path: Path) -> None:
    with Joined(path) as client:
        assert client.result("stop") == {}
        assert client.has_ended()
    assert running.wait().exit_code == 0
    assert not list(path.parent.iterdir()), "the socket and its lock are taken away"


def test_the_socket_of_a_dead_lb_is_replaced(path: Path) -> None:
    with Lb(NO_FEED, 1, "--control", str(path), worker=WAITING) as dead:
        dead.await_line("worker started")
        dead.send_signal(signal.SIGKILL)
        dead.wait()
    assert path.is_socket()
    with Lb(NO_FEED, 1, "--control", str(path), worker=WAITING) as lb:
        lb.await_line("worker started")
        assert_serves(path)


def test_the_socket_of_a_living_lb_is_never_replaced(running: Lb, path: Path) -> None:
    second = run_lb("--control", str(path), "key", NO_FEED, "1", ".", *WAITING)
    assert (second.returncode, "another lb serves it" in second.stderr) == (69, True)
    assert_serves(path)


def test_nor_is_another_program_s_nor_a_file(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        assert run_lb("--control", str(path), "key", NO_FEED, "1", ".", *WAITING).returncode == 69
        assert path.is_socket()
    path.unlink()
    path.write_text("precious")
    assert run_lb("--control", str(path), "key", NO_FEED, "1", ".", *WAITING).returncode == 69
    assert path.read_text() == "precious"


def test_a_place_that_can_not_be_is_told(tmp_path: Path) -> None:
    for place in (tmp_path / "none" / "lb.sock", tmp_path / ("x" * 120)):
        ended = run_lb("--control", str(place), "key", NO_FEED, "1", ".", *WAITING)
        assert (ended.returncode, "--control" in ended.stderr) == (69, True), ended.stderr
    ended = run_lb("--control", "x", "--control-group", "no-such-group", "key", NO_FEED, "1", ".", *WAITING)
    assert ended.returncode == 64


def test_the_socket_is_its_owner_s_alone_or_a_group_s(running: Lb, path: Path, tmp_path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    shared = tmp_path / "shared.sock"
    group = os.getgid()
    with Lb(NO_FEED, 1, "--control", str(shared), "--control-group", str(group), worker=WAITING) as lb:
        lb.await_line("worker started")
        assert (stat.S_IMODE(shared.stat().st_mode), shared.stat().st_gid) == (0o660, group)


AS_NOBODY = """
import contextlib, os, socket, sys
os.setgroups([int(group) for group in sys.argv[2:]]); os.setgid(65534); os.setuid(65534)
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
with contextlib.suppress(BrokenPipeError):  # it may have been sent away already
    client.sendall(b'{"v":1,"verb":"status"}\\n')
print(client.recv(400).decode())
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Which all users may enter."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_user_is_refused_by_the_mode_and_behind_it(open_folder: Path) -> None:
    path = open_folder / "lb.sock"

    def said_to_nobody(*groups: str) -> str:
        command = [sys.executable, "-I", "-S", "-c", AS_NOBODY, str(path), *groups]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20).stdout

    with Lb(NO_FEED, 1, "--control", str(path), "--control-group", "54321", worker=WAITING) as lb:
        lb.await_line("worker started")
        assert said_to_nobody() == ""
        assert '"result"' in said_to_nobody("54321")
        path.chmod(0o666)
        assert '"forbidden"' in said_to_nobody()
        lb.await_line("client of the control socket sent away")
