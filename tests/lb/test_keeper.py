"""lb --keeper: what it starts again and what not, whom it hears, and what it hands on. In lb's place stands a program
that does one thing a start."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.lb_process import lb_environment, run_lb
from harness.preload import preload

KEEPER = "import sys; from lb import keeper, logs; from lb.config import LogFormat, LogLevel; "
KEEPER += "logs.start(LogLevel.INFO, LogFormat.TEXT); sys.exit(keeper.run(sys.argv[1:]))"

PRELUDE = """
import array, os, signal, socket, struct, sys
address = os.environ["NOTIFY_SOCKET"].replace("@", chr(0), 1)
def tell(lines, fds=()):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendmsg([lines.encode()], rights, 0, address)
def pipe_with(text):
    ends = os.pipe()
    os.write(ends[1], text)
    return ends
def left():
    assert os.environ.get("LISTEN_PID", str(os.getpid())) == str(os.getpid())
    names = os.environ.get("LISTEN_FDNAMES", "")
    assert int(os.environ.get("LISTEN_FDS", 0)) == len(names.split(":")) * bool(names)
    return dict(zip(names.split(":"), range(3, 1000))) if names else {}
def die(number=signal.SIGKILL):
    os.kill(os.getpid(), number)
start = sum(1 for _ in open(sys.argv[1])) if os.path.exists(sys.argv[1]) else 0
open(sys.argv[1], "a").write("start\\n")
def say(*words):
    print(*words, flush=True)
"""


def kept(tmp_path: Path, code: str, stdin: int | None = None) -> subprocess.Popen[str]:
    """A keeper of a program whose `start` counts from 0."""
    program = [sys.executable, "-c", PRELUDE + textwrap.dedent(code), str(tmp_path / "starts")]
    return subprocess.Popen(
        [sys.executable, "-c", KEEPER, *program],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=stdin, text=True, process_group=0,
    )  # fmt: skip


@contextlib.contextmanager
def waiting(tmp_path: Path, at_sigterm: str) -> Iterator[subprocess.Popen[str]]:
    """A keeper whose program has begun, and does nothing but that at SIGTERM."""
    code = f"""
        signal.signal(signal.SIGTERM, lambda *_: {at_sigterm})
        tell("FDSTORE=1\\nFDPOLL=0\\nFDNAME=one", pipe_with(b"in one")[:1])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        say("begins")
        while True:
            signal.pause()
    """
    with kept(tmp_path, code) as keeper:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == "begins\n"
        yield keeper


def ended(keeper: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, and what was said on standard output and error."""
    with keeper:
        out, err = keeper.communicate(timeout=60)
        return keeper.returncode, out, err


def test_what_was_stored_is_there_at_the_next_start_with_what_is_in_it(tmp_path: Path) -> None:
    code = """
        if start == 0:
            tell("FDSTORE=1\\nFDPOLL=0\\nFDNAME=one", pipe_with(b"in one")[:1])
            tell("FDSTORE=1\\nFDNAME=two", pipe_with(b"in two")[:1])
            tell("FDSTORE=1\\nFDNAME=three", pipe_with(b"in three")[:1])
            tell("FDSTOREREMOVE=1\\nFDNAME=two")
            die()
        say(*(f"{name}: {os.read(fd, 99).decode()}," for name, fd in left().items()), os.environ["FDSTORE"].isdecimal())
        sys.exit(7)
    """
    exit_code, out, err = ended(kept(tmp_path, code))
    assert (exit_code, out) == (7, "one: in one, three: in three, True\n")
    assert "lb was killed: it is started again signal=SIGKILL delay_s=0.0" in err


def test_a_store_of_many_comes_back_whole_and_in_order(tmp_path: Path) -> None:
    code = """
        if start == 0:
            fds = [pipe_with(b"%d " % number)[0] for number in range(200)]
            tell("FDSTORE=1\\nFDNAME=many", fds)
            die(signal.SIGSEGV)
        say(b"".join(os.read(3 + number, 99) for number in range(int(os.environ["LISTEN_FDS"]))).decode())
        sys.exit(7)
    """
    exit_code, out, err = ended(kept(tmp_path, code))
    assert (exit_code, out.split()) == (7, [*map(str, range(200))])
    assert "signal=SIGSEGV" in err


def test_only_the_program_itself_is_heard(tmp_path: Path) -> None:
    code = """
        if start == 0:
            tell("FDSTORE=1\\nFDNAME=own", pipe_with(b"own")[:1])
            if os.fork() == 0:
                tell("FDSTORE=1\\nFDNAME=foreign", pipe_with(b"foreign")[:1])
                tell("FDSTOREREMOVE=1\\nFDNAME=own")
                os._exit(0)
            os.wait()
            die()
        say(*left())
        sys.exit(7)
    """
    assert ended(kept(tmp_path, code))[:2] == (7, "own\n")


@pytest.mark.parametrize("exit_code", [0, 1, 64, 66, 69, 74, 77])
def test_an_end_of_its_own_is_the_end(tmp_path: Path, exit_code: int) -> None:
    assert ended(kept(tmp_path, f"sys.exit({exit_code})"))[0] == exit_code


def test_one_that_leaves_for_its_next_start_gets_it(tmp_path: Path) -> None:
    code = """
        if start == 0:
            tell("FDSTORE=1\\nFDNAME=one", pipe_with(b"in one")[:1])
            sys.exit(0)
        say(*left())
        tell("FDSTOREREMOVE=1\\nFDNAME=one")
    """
    exit_code, out, err = ended(kept(tmp_path, code))
    assert (exit_code, out) == (0, "one\n")
    assert "killed" not in err


def test_one_that_leaves_once_it_is_to_stop_has_not_delivered_all(tmp_path: Path) -> None:
    with waiting(tmp_path, "sys.exit(0)") as keeper:
        keeper.terminate()
        assert keeper.wait(60) == 74
    assert (tmp_path / "starts").read_text() == "start\n"


REFUSED_FORK = r"""
pid_t fork(void)
{
    static int calls;
    if (calls++ < 2) {
        errno = EAGAIN;
        return -1;
    }
    return ((pid_t (*)(void))dlsym(RTLD_NEXT, "fork"))();
}
"""


def test_a_start_that_is_refused_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in preload(tmp_path, REFUSED_FORK).items():
        monkeypatch.setenv(name, value)
    exit_code, _, err = ended(kept(tmp_path, "sys.exit(7)"))
    assert exit_code == 7
    assert err.count("lb can't be started error='Resource temporarily unavailable'") == 2


def test_an_internal_error_is_none(tmp_path: Path) -> None:
    exit_code, _, err = ended(kept(tmp_path, "sys.exit(70 if start == 0 else 3)"))
    assert exit_code == 3
    assert "lb was killed: it is started again exit_code=70" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_passed_on_and_waits_for_a_program_that_is_not_ready_for_it(
    tmp_path: Path, number: signal.Signals
) -> None:
    code = f"""
        say("begins")
        sys.stdin.readline()
        signal.signal({int(number)}, lambda *_: sys.exit(5))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [{int(number)}])
        signal.pause()
    """
    with kept(tmp_path, code, stdin=subprocess.PIPE) as keeper:
        assert keeper.stdout is not None
        assert keeper.stdin is not None
        assert keeper.stdout.readline() == "begins\n"
        keeper.send_signal(number)
        keeper.stdin.write("go on\n")
        keeper.stdin.close()
        assert keeper.wait(60) == 5


def test_one_that_is_killed_while_it_is_to_stop_is_not_started_again(tmp_path: Path) -> None:
    with waiting(tmp_path, "die()") as keeper:
        keeper.terminate()
        assert keeper.wait(60) == 128 + signal.SIGKILL
    assert (tmp_path / "starts").read_text() == "start\n"


def test_a_stop_between_two_starts_is_told(tmp_path: Path) -> None:
    with kept(tmp_path, "sys.exit(70)") as keeper:
        assert keeper.stderr is not None
        for line in keeper.stderr:
            if "delay_s=" in line and "delay_s=0.0" not in line:
                keeper.terminate()
                break
        rest = keeper.stderr.read()
        exit_code = keeper.wait(60)
    assert exit_code == 74
    assert "lb is not started again: what it had not delivered is lost" in rest


def test_without_its_keeper_it_is_to_stop(tmp_path: Path) -> None:
    with waiting(tmp_path, r'os._exit(os.write(1, b"stops\n"))') as keeper:  # print() may be under way
        keeper.kill()
        assert keeper.stdout is not None
        assert keeper.stdout.read() == "stops\n"


def test_a_service_manager_of_its_own_is_enough(tmp_path: Path) -> None:
    environment = {**lb_environment(), "NOTIFY_SOCKET": str(tmp_path / "notify")}
    ran = run_lb("--keeper", "none", "ws://127.0.0.1:1/x", "1", ".", "true", env=environment)
    assert ran.returncode == 64
    assert "a service manager has started lb" in ran.stderr


def test_it_is_the_first_word() -> None:
    ran = run_lb("--once", "--keeper", "k3y", "ws://127.0.0.1:1/x", "1", ".", "true")
    assert ran.returncode == 64
    assert "--keeper is the first word" in ran.stderr


def test_the_command_line_of_the_keeper_shows_no_key() -> None:
    words = ("--keeper", "--log-format", "json", "k3y-k3y-k3y", "ws://127.0.0.1:1/x?token=t0ken", "1", ".", "true")
    with subprocess.Popen(
        [sys.executable, "-m", "lb", *words], stderr=subprocess.PIPE, text=True, env=lb_environment()
    ) as keeper:
        assert keeper.stderr is not None
        for line in keeper.stderr:
            if '"no session"' in line:
                shown = Path(f"/proc/{keeper.pid}/cmdline").read_bytes()
                break
        keeper.terminate()
        keeper.stderr.read()
    assert shown.rstrip(b"\0").split(b"\0")[-2:] == [b"lb", b"--keeper"]
