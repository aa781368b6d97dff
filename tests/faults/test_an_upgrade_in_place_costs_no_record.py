"""Another program takes the process over: session, pipes, workers, readers and clients are the same, and every record
is there, once. One that can't is not let in, and nothing has changed."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import textwrap
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path

import pytest
from harness import Authority, Feed, Flood, Lb, message
from harness.feed import AUTH_SUCCESS, CLOSE, CONNECTED, SUBSCRIBED, Peer
from harness.flood import numbers_of, record
from harness.joining import Joined
from harness.lb_process import KEY, End, hold, inline
from harness.other_layout import built
from harness.redelivering import LITTLE, REDELIVER, assert_nothing_lost
from test_a_worker_that_dies_costs_no_record_where_it_acknowledges import HANDLER, handled

PIPES = 3
ROOT = Path(__file__).parents[2]


def upgrade(lb: Lb) -> dict[str, object]:
    """By a signal; waits until the other program is there."""
    lb.send_signal(signal.SIGHUP)
    return lb.await_line("upgraded")


def assert_all_delivered(lb: Lb, end: End, pipes: int = PIPES) -> None:
    received = end.balance["received"]
    assert end.exit_code == 0
    assert end.balance["exact"]
    assert received == end.balance["written"] == lb.recording.total
    for pipe in range(pipes):
        assert numbers_of(lb.recording.pipes[pipe]) == list(range(pipe, received, pipes))


DIGESTS = inline("""
    import hashlib, os, selectors, sys
    selector = selectors.DefaultSelector()
    for fd in map(int, sys.argv[1:]):
        selector.register(fd, selectors.EVENT_READ, hashlib.sha256())
    while selector.get_map():
        for key, _ in selector.select():
            if data := os.read(key.fd, 1 << 20):
                key.data.update(data)
            else:
                selector.unregister(key.fd)
                print(key.data.hexdigest(), flush=True)
""")
"""Of all that a pipe brings, in the order in which pipes end."""


def test_again_and_again_in_full_flight_every_byte_is_the_same() -> None:
    with (
        Feed() as feed,
        Lb(feed.url, PIPES, worker=DIGESTS, start_new_session=True) as lb,
        feed.session() as peer,
        Flood(peer, pause_s=0.005),
    ):
        for _ in range(20):
            assert upgrade(lb)["session"] == "kept"
        end = lb.stop()
    assert end.exit_code == 0
    assert end.statistics["reconnects"] == end.statistics["restarts"] == 0
    assert end.statistics["records"] == end.balance["received"] == end.balance["written"]
    assert end.balance["exact"]
    digests = [sha256() for _ in range(PIPES)]
    for number in range(end.balance["received"]):
        text = record(number)
        digests[number % PIPES].update(len(text).to_bytes(4, "little") + text)
    assert sorted(lb.output.decode().split()) == sorted(digest.hexdigest() for digest in digests)


@pytest.mark.parametrize("policy", ["block", "spill"])
def test_with_a_full_pipe(tmp_path: Path, policy: str) -> None:
    words = (
        "--pipe-size",
        "4096",
        "--backlog",
        "8192",
        "--on-full",
        policy if policy == "block" else f"spill={tmp_path}",
    )
    limit = 3000
    with Feed() as feed, Lb(feed.url, 1, *words, start_new_session=True) as lb, feed.session() as peer:
        (pid,) = lb.await_workers(1)
        hold(pid)
        with Flood(peer, limit=limit):
            lb.await_line(
                "a full pipe stops the reading"
                if policy == "block"
                else "a pipe is full: records for it go to the disk"
            )
            upgrade(lb)
            assert lb.balance()["exact"]
            upgrade(lb)
            os.kill(pid, signal.SIGCONT)
            lb.await_records(limit)
        end = lb.stop()
    assert end.balance["received"] == limit
    assert_all_delivered(lb, end, pipes=1)


def test_with_a_reader_attached_whose_client_asks_for_it(tmp_path: Path) -> None:
    path = tmp_path / "lb.sock"
    with Feed() as feed, Lb(feed.url, 2, "--control", str(path)) as lb, feed.session() as peer, Joined(path) as client:
        client.send(b'{"v":1,"id":0,"verb":"attach","topics":["T.*"]}\n')
        answer, (read_fd,), _, _ = socket.recv_fds(client.socket, 1 << 16, 1)
        with os.fdopen(read_fd, "rb") as pipe, Flood(peer, limit=2000):
            got = [_record_of(pipe) for _ in range(100)]
            assert client.result("upgrade")["session"] == "kept"
            got += [_record_of(pipe) for _ in range(1500)]
            first = numbers_of(got[:1])[0]
            assert numbers_of(got) == list(range(first, first + len(got)))
            (reader,) = client.result("status")["readers"]
            assert reader["reader"] == json.loads(answer)["result"]["reader"]
            assert reader["dropped_total"] == 0
        lb.await_records(2000)
        assert_all_delivered(lb, lb.stop(), pipes=2)


def _record_of(pipe: object) -> bytes:
    return pipe.read(int.from_bytes(pipe.read(4), "little"))  # type: ignore[attr-defined, no-any-return]


def test_during_the_dialogue_it_waits_for_its_end() -> None:
    with Feed() as feed, Lb(feed.url, 1, start_new_session=True) as lb, feed.connection() as peer:
        peer.upgrade()
        peer.say(CONNECTED)
        assert peer.receive_action("auth") == KEY
        lb.send_signal(signal.SIGHUP)
        lb.await_line("upgrade asked for")
        peer.say(AUTH_SUCCESS)
        peer.receive_action("subscribe")
        peer.say(SUBSCRIBED)
        assert lb.await_line("upgraded")["session"] == "kept"
        peer.say(message([record(0)]))
        lb.await_records(1)
        assert_all_delivered(lb, lb.stop(), pipes=1)


def test_during_a_stop_there_is_none() -> None:
    with Feed() as feed, Lb(feed.url, 1, start_new_session=True) as lb, feed.session():
        (pid,) = lb.await_workers(1)
        hold(pid)
        lb.send_signal(signal.SIGTERM)
        lb.await_line("stopping")
        lb.send_signal(signal.SIGHUP)
        assert lb.await_line("no upgrade: lb stops")
        os.kill(pid, signal.SIGCONT)
        assert lb.wait().exit_code == 0


OTHER_PROGRAMS = {
    "of another document": ("import lb.handover.document as of; of.VERSION = 99", "is of version 1, and not 99"),
    "of another command line": ("import lb.options as of; of.USAGE = 1; of.parse = None", "does not start"),
    "that does not start": ("import os; os._exit(1)", "does not start"),
}


@pytest.mark.parametrize("program", OTHER_PROGRAMS)
def test_a_program_that_can_not_is_not_let_in(tmp_path: Path, program: str) -> None:
    """It is installed while lb runs: Python imports sitecustomize at its start."""
    code, why = OTHER_PROGRAMS[program]
    installed = tmp_path / "sitecustomize.py"
    installed.touch()
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    with (
        Feed() as feed,
        Lb(feed.url, 2, "--control", str(tmp_path / "lb.sock"), environment=environment) as lb,
        feed.session() as peer,
        Joined(tmp_path / "lb.sock") as client,
    ):
        peer.say(message(map(record, range(10))))
        lb.await_records(10)
        installed.write_text(code)
        refused = client.ask("upgrade")["error"]
        assert refused["name"] == "not-possible"
        assert why in refused["text"]
        assert why in str(lb.await_line("no upgrade: this program goes on")["why"])
        peer.say(message(map(record, range(10, 20))))
        lb.await_records(20)
        installed.write_text("")
        assert client.result("upgrade")["session"] == "kept"
        peer.say(message(map(record, range(20, 30))))
        lb.await_records(30)
        end = lb.stop()
        lb.lines = [line for line in lb.lines if line["level"] != "text"]  # of the program that does not start
    assert_all_delivered(lb, end, pipes=2)


def test_the_program_that_is_asked_gets_no_key(tmp_path: Path) -> None:
    code = """
        import os, sys
        if "--check-handover" in sys.orig_argv:
            with open("asked", "wb") as file:
                file.write(os.pread(int(sys.orig_argv[-2]), 1 << 16, 0))
    """
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(code))
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    with Feed() as feed, Lb(feed.url, 1, environment=environment, cwd=tmp_path, start_new_session=True) as lb:
        with feed.session():
            lb.await_workers(1)
            upgrade(lb)
        assert lb.stop().exit_code == 0
    asked = (tmp_path / "asked").read_bytes()
    assert feed.url.encode() in asked
    assert KEY.encode() not in asked


def test_a_word_that_is_not_utf_8_costs_no_more_than_the_upgrade() -> None:
    """The document that is left to the next program has no place for it."""
    worker = (*inline("import os, sys\nwhile os.read(int(sys.argv[2]), 1 << 16): pass"), os.fsdecode(b"\xff"))
    with Feed() as feed, Lb(feed.url, 1, worker=worker, start_new_session=True) as lb, feed.session():
        lb.send_signal(signal.SIGHUP)
        assert "surrogates" in str(lb.await_line("no upgrade: this program goes on")["why"])
        assert lb.stop().exit_code == 0


@pytest.fixture(scope="session")
def other_layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH with an lb whose pump is laid out otherwise; for all processes of pytest-xdist one."""
    mine = tmp_path_factory.getbasetemp()
    return built((mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine) / "other-layout")


class Installed:
    """Where programs are installed while lb runs: that of this checkout at first."""

    def __init__(self, folder: Path) -> None:
        self._place = folder / "installed"
        self.run = {"environment": {"PYTHONPATH": f"{self._place}:{ROOT}"}, "cwd": folder, "start_new_session": True}

    def put(self, other: Path) -> None:
        self._place.symlink_to(other)

    def take_back(self) -> None:
        self._place.unlink()


def end_as_asked(peer: Peer, late: bytes) -> None:
    """A feed that is asked for the session's end, and has sent something more before it hears of that."""
    while (received := peer.receive()).opcode != CLOSE:
        pass
    assert received.close_code == 1001
    peer.say(late)
    peer.close(1001)


def test_to_another_layout_and_back_the_session_is_opened_anew_and_what_waits_goes_along(
    tmp_path: Path, other_layout: Path
) -> None:
    """Also what waits for a worker that does not read, and for a reader."""
    installed, path = Installed(tmp_path), tmp_path / "lb.sock"
    words = ("--pipe-size", "4096", "--backlog", "4000000", "--control", str(path))
    with Feed() as feed, Lb(feed.url, 2, *words, **installed.run) as lb, ExitStack() as stack:
        with feed.session() as peer:
            (pid,) = lb.await_workers(1)
            client = stack.enter_context(Joined(path))
            client.send(b'{"v":1,"id":0,"verb":"attach","topics":["T.*"],"pipe_size":4096}\n')
            _, (read_fd,), _, _ = socket.recv_fds(client.socket, 1 << 16, 1)
            reader = stack.enter_context(os.fdopen(read_fd, "rb"))
            hold(pid)
            peer.say(message(map(record, range(500))))
            await_received(lb, 500)
            waiting = lb.balance()["waiting"]
            assert waiting > 0
            installed.put(other_layout)
            lb.send_signal(signal.SIGHUP)
            end_as_asked(peer, message(map(record, range(500, 1000))))
        with feed.session() as peer:
            assert lb.await_line("closed for the upgrade: the other program's pump is laid out otherwise")
            assert lb.await_line("upgraded")["session"] == "opened anew"
            assert lb.balance()["waiting"] > waiting
            peer.say(message(map(record, range(1000, 1500))))
            await_received(lb, 1500)
            assert upgrade(lb)["session"] == "kept", "with the layout that it has now"
            installed.take_back()
            lb.send_signal(signal.SIGHUP)
            end_as_asked(peer, message(map(record, range(1500, 2000))))
        with feed.session() as peer:
            assert lb.await_line("upgraded")["session"] == "opened anew"
            peer.say(message(map(record, range(2000, 2500))))
            os.kill(pid, signal.SIGCONT)
            assert numbers_of([_record_of(reader) for _ in range(2500)]) == list(range(2500))
            lb.await_records(2500)
            end = lb.stop()
    assert end.statistics["restarts"] == 0
    assert_all_delivered(lb, end, pipes=2)


def await_received(lb: Lb, total: int) -> None:
    while lb.balance()["received"] < total:
        pass


@pytest.mark.parametrize("policy", ["spill", "redeliver"])
def test_to_another_layout_what_is_on_disk_or_not_acknowledged_goes_along(
    tmp_path: Path, other_layout: Path, policy: str
) -> None:
    installed = Installed(tmp_path)
    words = ("--on-full", f"spill={tmp_path / 'disk'}") if policy == "spill" else REDELIVER
    worker = {} if policy == "spill" else {"worker": (sys.executable, "-c", HANDLER, str(tmp_path))}
    with Feed() as feed, Lb(feed.url, 1, "--pipe-size", "4096", *words, **installed.run, **worker) as lb:  # type: ignore[arg-type]
        with feed.session() as peer:
            pid = lb.await_line("worker started")["pid"]
            hold(pid)
            peer.say(message(map(record, range(500))))
            await_received(lb, 500)
            installed.put(other_layout)
            lb.send_signal(signal.SIGHUP)
            end_as_asked(peer, message(map(record, range(500, 1000))))
        with feed.session():
            assert lb.await_line("upgraded")["session"] == "opened anew"
            if policy == "redeliver":
                os.kill(pid, signal.SIGKILL)
                lb.await_line("worker ended", pid=pid)
                lb.await_line("worker started")
            else:
                os.kill(pid, signal.SIGCONT)
                lb.await_records(1000)
            end = lb.stop()
    if policy == "spill":
        assert_all_delivered(lb, end, pipes=1)
    else:
        assert_nothing_lost(end.balance, 1000)


def test_to_another_layout_a_full_pipe_that_stops_the_reading_is_waited_for(tmp_path: Path, other_layout: Path) -> None:
    """The session is not closed before it can be read to its end; where that takes too long, there is no upgrade."""
    installed, limit = Installed(tmp_path), 3000
    words = ("--pipe-size", "4096", "--backlog", "8192")
    constants = {"lb.handover.upgrade.SETTLE_S": 0.3}
    with Feed() as feed, Lb(feed.url, 1, *words, constants=constants, **installed.run) as lb, feed.session() as peer:
        (pid,) = lb.await_workers(1)
        hold(pid)
        with Flood(peer, limit=limit):
            lb.await_line("a full pipe stops the reading")
            installed.put(other_layout)
            lb.send_signal(signal.SIGHUP)
            refused = lb.await_line("no upgrade: this program goes on")
            assert refused["why"] == "a full pipe that stops the reading has not come to its end within 0.3 s"
            os.kill(pid, signal.SIGCONT)
            lb.await_records(limit)
        end = lb.stop()
        assert peer.receive().close_code == 1000, "of the stop, and none was sent before"
    assert end.statistics["reconnects"] == 0
    assert_all_delivered(lb, end, pipes=1)


def test_with_tls_in_userspace_the_session_is_read_to_its_end_and_opened_anew(authority: Authority) -> None:
    tls = authority.server_context("127.0.0.1")
    words = ("--ca-file", authority.ca_file, "--tls", "user")
    with Feed(tls=tls) as feed, Lb(feed.url, 2, *words, start_new_session=True) as lb:
        with feed.session() as peer:
            pids = lb.await_workers(1)
            peer.say(message(map(record, range(50))))
            lb.await_records(50)
            lb.send_signal(signal.SIGHUP)
            while (frame := peer.receive()).opcode != CLOSE:
                pass
            assert frame.close_code == 1001
            peer.say(message(map(record, range(50, 100))))  # on its way when lb asked for the end
            peer.close(1001)
        with feed.session() as peer:
            assert lb.await_line("upgraded")["session"] == "opened anew"
            peer.say(message(map(record, range(100, 150))))
            lb.await_records(150)
            end = lb.stop()
    assert list(lb.recording.by_pid) == pids
    assert_all_delivered(lb, end, pipes=2)


def test_what_workers_have_not_acknowledged_goes_along(tmp_path: Path) -> None:
    worker = (sys.executable, "-c", HANDLER, str(tmp_path))
    with Feed() as feed, Lb(feed.url, 2, *REDELIVER, *LITTLE, worker=worker, start_new_session=True) as lb:
        with feed.session() as peer, Flood(peer, limit=4000):
            for _ in range(2):
                pid = lb.await_line("worker started")["pid"]
                upgrade(lb)
                os.kill(pid, signal.SIGKILL)
                lb.await_line("worker ended", pid=pid)
            lb.await_line("worker started")
        end = lb.stop()
    assert_nothing_lost(end.balance, end.balance["received"])
    for pipe, records in enumerate(handled(tmp_path)[fd] for fd in sorted(handled(tmp_path))):
        by_number = dict(records)
        assert numbers_of([by_number[number] for number in sorted(by_number)]) == list(
            range(pipe, end.balance["received"], 2)
        )


def test_the_process_keeps_its_name(tmp_path: Path) -> None:
    """execve(2) would name it after the interpreter."""
    program = "import os\nif 'LB_HANDOVER' not in os.environ:\n    open('/proc/self/comm', 'w').write('lb é')\n"
    (tmp_path / "sitecustomize.py").write_text(program)
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    with Feed() as feed, Lb(feed.url, 1, start_new_session=True, environment=environment) as lb, feed.session():
        name = Path(f"/proc/{lb.pid}/comm")
        assert name.read_text() == "lb é\n"
        lb.await_workers(1)
        upgrade(lb)
        assert name.read_text() == "lb é\n"
        assert lb.stop().exit_code == 0


def test_workers_are_lb_s_children_as_before() -> None:
    """One that dies is replaced; and where lb is killed, they hear of it (PR_SET_PDEATHSIG)."""
    with Feed() as feed, Lb(feed.url, 1, start_new_session=True) as lb, feed.session():
        (pid,) = lb.await_workers(1)
        upgrade(lb)
        os.kill(pid, signal.SIGKILL)
        assert lb.await_line("worker ended", pid=pid)["signal"] == "SIGKILL"
        lb.await_line("worker started")
        lb.await_recorders(2)
        upgrade(lb)
        lb.send_signal(signal.SIGKILL)
        assert lb.wait().exit_code == -signal.SIGKILL  # and no process that it has started is left: harness
