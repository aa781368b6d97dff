"""The command line of `lb`: what is accepted, what is refused and how, and what it means to the worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness import Feed, Lb, inline, lb_environment, message, run_lb

from lb.errors import EX_UNAVAILABLE, EX_USAGE
from lb.version import VERSION

NO_FEED = "ws://127.0.0.1:1/stocks"

TELLS_OF_ITSELF = """
    import json, os, sys
    fds = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            fds[name] = os.readlink("/proc/self/fd/" + name)
        except FileNotFoundError:  # the one that listed them
            pass
    print(json.dumps({
        "argv": sys.argv[1:], "fds": fds, "cwd": os.getcwd(), "environment": dict(os.environ),
        "group": os.getpgid(0) == os.getpid(),
    }), flush=True)
    while os.read(int(sys.argv[-1]), 65536):
        pass
"""


def told(lb: Lb) -> dict[str, object]:
    """What the worker said of itself."""
    return dict(json.loads(lb.await_output()))


def test_help_names_every_option_with_its_default_and_every_form_of_the_key() -> None:
    done = run_lb("--help")
    assert done.returncode == 0
    for text in [
        "[OPTIONS] KEY URL NPIPES DIR WORKER [ARGS...]", "@FILE", "env:NAME", "standard input",
        "SIGTERM, SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "74 ",
        "--subscribe PARAMS", "default: T.*",
        "--route round-robin|symbol", "default: round-robin",
        "--spawn shared|per-pipe", "default: shared",
        "--pipe-size BYTES", "268435456",
        "--cpu N", "on any",
        "--tls auto|kernel|user", "default: auto",
        "--once", "--ca-file FILE", "--max-frame-bytes BYTES", "default: 16777216",
        "--grace S", "--stats-interval S", "seconds", "default: 10",
        "--log-level debug|info|warning|error", "default: info",
        "--log-format text|json", "default: text", "--version", "--help",
    ]:  # fmt: skip
        assert text in " ".join(done.stdout.split()), text


def test_version() -> None:
    done = run_lb("--version")
    assert (done.returncode, done.stdout) == (0, f"lb {VERSION}\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["k", NO_FEED, "0", ".", "w"], "NPIPES 0 has neither DIR nor WORKER"),
        (["k", NO_FEED, "-1", ".", "w"], "argument NPIPES: -1 pipes is outside of 0 to 65536"),
        (["k", NO_FEED, "abc", ".", "w"], "argument NPIPES: 'abc' is not a whole number"),
        (["k", NO_FEED, "100000", ".", "w"], "argument NPIPES: 100000 pipes is outside of 0 to 65536"),
        ([], "the following arguments are required: KEY, URL, NPIPES, DIR, WORKER"),
        (["k", NO_FEED, "1", "."], "the following arguments are required: WORKER\n"),
        (["k", "http://h/", "1", ".", "w"], "URL begins with neither ws:// nor wss://"),
        (["k", "ws://", "1", ".", "w"], "URL names no host"),
        (["k", "ws://h:99999/", "1", ".", "w"], "URL's port is no number from 1 to 65535"),
        (["k", "ws://h:x/", "1", ".", "w"], "URL's port is no number from 1 to 65535"),
        (["k", "ws://user:word@h/", "1", ".", "w"], "URL holds a user name or password"),
        (["--bogus", "k", NO_FEED, "1", ".", "w"], "there is no option --bogus"),
        (["--rout=symbol", "k", NO_FEED, "1", ".", "w"], "there is no option --rout (there is --route)"),
        (["--route", "random", "k", NO_FEED, "1", ".", "w"], "'random' is none of round-robin, symbol"),
        (["--spawn", "x", "k", NO_FEED, "1", ".", "w"], "'x' is none of shared, per-pipe"),
        (["--on-stuck", "x", "k", NO_FEED, "1", ".", "w"], "'x' is none of tell, restart"),
        (["--on-crashes", "x", "k", NO_FEED, "1", ".", "w"], "'x' is none of tell, exit"),
        (["--max-crashes", "-1", "k", NO_FEED, "1", ".", "w"], "-1 ends is outside of 0 to"),
        (["--stuck-after", "0.01", "k", NO_FEED, "1", ".", "w"], "0.01 s is less than 0.05 s, and not 0, which is off"),
        (["--tls", "x", "k", NO_FEED, "1", ".", "w"], "'x' is none of auto, kernel, user"),
        (["--log-level", "x", "k", NO_FEED, "1", ".", "w"], "'x' is none of debug, info, warning, error"),
        (["--log-format", "x", "k", NO_FEED, "1", ".", "w"], "'x' is none of text, json"),
        (["--pipe-size", "4095", "k", NO_FEED, "1", ".", "w"], "4095 bytes is outside of 4096 to"),
        (["--max-frame-bytes", "1", "k", NO_FEED, "1", ".", "w"], "1 bytes is outside of 1024 to"),
        (["--cpu", "9999", "k", NO_FEED, "1", ".", "w"], "'9999' is none of the CPUs allowed here: "),
        (["--cpu", "-1", "k", NO_FEED, "1", ".", "w"], "'-1' is none of the CPUs allowed here: "),
        (["--grace", "-1", "k", NO_FEED, "1", ".", "w"], "-1 s is outside of 0 to"),
        (["--grace", "nan", "k", NO_FEED, "1", ".", "w"], "'nan' is not a number of seconds"),
        (["--stats-interval", "soon", "k", NO_FEED, "1", ".", "w"], "'soon' is not a number of seconds"),
        (
            ["--stats-interval", "0.049", "k", NO_FEED, "1", ".", "w"],
            "0.049 s is less than 0.05 s, and not 0, which is off",
        ),
        (["--stats-interval", "1e-10", "k", NO_FEED, "1", ".", "w"], "1e-10 s is less than 0.05 s"),
        (["--subscribe", ",", "k", NO_FEED, "1", ".", "w"], "--subscribe names no topic"),
    ],
)
def test_a_wrong_word_is_named_and_the_exit_code_is_64(words: list[str], said: str) -> None:
    done = run_lb(*words)
    assert done.returncode == EX_USAGE
    assert said in done.stderr
    assert done.stderr.startswith("lb: ")
    assert done.stderr.endswith("\nlb: usage: lb [OPTIONS] KEY URL NPIPES DIR WORKER [ARGS...]; lb --help tells more\n")
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["k", NO_FEED, "1", "/no/dir", "/bin/cat"], "entering directory: No such file or directory: '/no/dir'"),
        (["k", NO_FEED, "1", "/", "/no/such/worker"], "running: No such file or directory: '/no/such/worker'"),
        (["k", NO_FEED, "1", "/", "no-such-worker"], "no such program in PATH: 'no-such-worker'"),
        (["k", NO_FEED, "1", "/", "/etc"], "running: Permission denied: '/etc'"),
        (["k", NO_FEED, "1", "/", "/etc/passwd"], "running: Permission denied: '/etc/passwd'"),
        (["--ca-file", "/no/ca", "k", "wss://h/", "1", "/", "/bin/cat"], "--ca-file '/no/ca' can't be used: No such"),
        (["--ca-file", "/etc/passwd", "k", "wss://h/", "1", "/", "/bin/cat"], "--ca-file '/etc/passwd' can't be used"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named_and_the_exit_code_is_69(words: list[str], said: str) -> None:
    done = run_lb(*words)
    assert done.returncode == EX_UNAVAILABLE
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "exit_code", "said"),
    [
        ([], 64, "the following arguments are required: KEY, URL, NPIPES, DIR, WORKER"),
        (["k", NO_FEED, "many", ".", "w"], 64, "argument NPIPES: 'many' is not a whole number"),
        (["k", NO_FEED, "1", ".", "w", "--log-format", "text"], 69, None),
        (["@/no/key", NO_FEED, "1", ".", "w"], 66, "key file '/no/key' can't be read: No such file or directory"),
        (["k", NO_FEED, "1", "/no/dir", "/bin/cat"], 69, None),
    ],
)
def test_all_lines_are_json_where_that_is_asked_for(words: list[str], exit_code: int, said: str | None) -> None:
    done = run_lb("--log-format", "json", *words, env={**lb_environment(), "PATH": "/no/path"})
    assert done.returncode == exit_code
    *_, last = map(json.loads, done.stderr.splitlines())
    assert last["level"] == "error"
    assert last["message"] == said or said is None
    assert "time" in last


BALANCER_WITH_A_BUG = """
import sys
from lb import cli
cli.Balancer = None
sys.exit(cli.main())
"""


def test_a_bug_is_one_line_of_json_with_its_traceback() -> None:
    command = [sys.executable, "-c", BALANCER_WITH_A_BUG, "--log-format", "json", "k", NO_FEED, "1", ".", "w"]
    done = subprocess.run(command, env=lb_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 70
    line = json.loads(done.stderr)
    assert line["message"].startswith("internal error: TypeError(")
    assert line["detail"].startswith("Traceback ")


def test_a_script_that_names_no_interpreter_is_reported(tmp_path: Path) -> None:
    script = tmp_path / "worker"
    script.write_text("echo\n")
    script.chmod(0o755)
    done = run_lb("k", NO_FEED, "1", str(tmp_path), "./worker")
    assert done.returncode == EX_UNAVAILABLE
    assert "Exec format error: './worker'" in done.stderr


def test_too_many_pipes_for_the_descriptor_limit_is_said_with_the_remedy() -> None:
    done = run_lb("k", NO_FEED, "60000", "/", "/bin/cat", preexec_fn=_few_descriptors)
    assert done.returncode == EX_UNAVAILABLE
    assert "120096 descriptors are needed, 1024 are allowed: raise the limit (ulimit -n" in done.stderr


def _few_descriptors() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))


def test_the_worker_gets_its_arguments_then_the_fd_of_every_pipe() -> None:
    with Lb(NO_FEED, 3, worker=[*inline(TELLS_OF_ITSELF), "--", "-x", "--stats-interval", "--", "--help"]) as lb:
        seen = told(lb)
        assert isinstance(seen["argv"], list)
        assert seen["argv"][:5] == ["--", "-x", "--stats-interval", "--", "--help"]
        assert len(seen["argv"]) == 5 + 3
        assert seen["group"], "a worker leads its own process group"


def test_only_the_pipes_and_the_standard_descriptors_reach_the_worker() -> None:
    """Not what lb opened, not what lb itself inherited. (--dumpable, so that its user may look at lb's own.)"""
    stray_read_end, stray_write_end = os.pipe()
    try:
        with (
            Feed() as feed,
            Lb(
                feed.url, 3, "--dumpable", worker=inline(TELLS_OF_ITSELF), pass_fds=[stray_read_end, stray_write_end]
            ) as lb,
            feed.session(),
        ):
            assert Path(f"/proc/{lb.pid}/fd/{stray_read_end}").is_symlink(), "lb has inherited it"
            seen = told(lb)
            assert isinstance(seen["fds"], dict)
            assert isinstance(seen["argv"], list)
            (channel,) = seen["fds"].keys() - {"0", "1", "2", *seen["argv"]}
            assert seen["fds"][channel].startswith("socket:")
            assert all(seen["fds"][fd].startswith("pipe:") for fd in seen["argv"])
            assert len({seen["fds"][fd] for fd in seen["argv"]}) == 3
    finally:
        os.close(stray_read_end)
        os.close(stray_write_end)


_OF_LIBC = 0b11 << 31
"""Signals 32 and 33: glibc's posix_spawn() leaves them ignored, and its sigaction() lets nobody change that."""


def test_the_worker_inherits_no_ignored_or_blocked_signal() -> None:
    """Python ignores SIGPIPE, and exec keeps that."""
    with Lb(NO_FEED, worker=["/bin/sh", "-c", "grep -E 'SigIgn|SigBlk' /proc/self/status; cat <&$0"]) as lb:
        for line in lb.await_output().decode().splitlines():
            name, mask = line.split()
            assert int(mask, 16) & ~_OF_LIBC == 0, name


def test_the_worker_runs_in_dir_and_a_path_is_seen_from_there(tmp_path: Path) -> None:
    script = tmp_path / "worker"
    script.write_text("#!/bin/sh\npwd\nexec sleep 1000\n")
    script.chmod(0o755)
    for name in ("./worker", str(script)):
        with Lb(NO_FEED, directory=tmp_path, worker=[name]) as lb:
            assert lb.await_output() == f"{tmp_path}\n".encode()


def test_a_worker_without_a_slash_is_looked_for_in_path(tmp_path: Path) -> None:
    with Lb(NO_FEED, directory=tmp_path, worker=["sh", "-c", "pwd; cat <&$0"]) as lb:
        assert lb.await_output() == f"{tmp_path}\n".encode()


def test_spawn_per_pipe_starts_a_worker_with_one_fd_for_each_pipe() -> None:
    with Feed() as feed, Lb(feed.url, 3, "--spawn", "per-pipe") as lb, feed.session() as peer:
        peer.say(message(b'{"ev":"T","sym":"%d"}' % number for number in range(6)))
        recording = lb.await_records(6)
        assert len(recording.pids) == 3
        shares = {frozenset(share[0]) for share in recording.by_pid.values()}
        assert shares == {
            frozenset([b'{"ev":"T","sym":"%d"}' % n, b'{"ev":"T","sym":"%d"}' % (n + 3)]) for n in range(3)
        }
        assert all(list(share) == [0] for share in recording.by_pid.values())
        assert lb.stop().exit_code == 0


@pytest.mark.parametrize(
    ("options", "params"),
    [
        ([], "T.*"),
        (["--subscribe", "T.AAPL,Q.*"], "T.AAPL,Q.*"),
        (["--subscribe", "T.AAPL", "--subscribe", "Q.*,AM.*"], "T.AAPL,Q.*,AM.*"),
        (["--subscribe=T.A,,"], "T.A"),
    ],
)
def test_what_is_subscribed(options: list[str], params: str) -> None:
    with Feed() as feed, Lb(feed.url, 1, *options), feed.connection().upgrade() as peer:
        peer.say(b'[{"ev":"status","status":"connected","message":"Connected Successfully"}]')
        peer.receive_action("auth")
        peer.say(b'[{"ev":"status","status":"auth_success","message":"authenticated"}]')
        assert peer.receive_action("subscribe") == params


def test_log_level_warning_leaves_out_what_is_normal() -> None:
    with Feed() as feed, Lb(feed.url, 1, "--log-level", "warning") as lb, feed.session() as peer:
        peer.say(message([b'{"ev":"T"}']))
        lb.await_records(1)
        lb.stop()
        assert {line["level"] for line in lb.lines} <= {"warning", "error"}


def test_log_lines_for_people_have_time_level_message_and_named_values() -> None:
    with Feed() as feed, Lb(feed.url, 1, "--log-format", "text") as lb, feed.session():
        lb.await_recorders(1)
        assert lb.stop().exit_code == 0
        texts = [line["message"] for line in lb.lines]
        assert all(line["level"] == "text" for line in lb.lines)
        (balance,) = (text for text in texts if " balance " in text)
        time, level, rest = balance.split(maxsplit=2)
        assert time.endswith("Z")
        assert len(time) == len("2026-01-01T00:00:00.000Z")
        assert level == "info"
        counts = "received=0 recovered=0 written=0 waiting=0 spilled=0 dropped=0 unread=0"
        assert rest == f"balance {counts} exact=True per_pipe=0"


def test_the_module_runs_wherever_it_is_called_from(tmp_path: Path) -> None:
    done = run_lb("--version", cwd=tmp_path)
    assert done.returncode == 0


def test_a_grace_as_long_as_a_life_is_no_hindrance_to_a_stop() -> None:
    """ "As long as it takes" is what such a value says; poll(2) takes 24 days at most."""
    with Feed() as feed, Lb(feed.url, 1, "--grace", "1e9") as lb, feed.session() as peer:
        peer.say(message([b'{"ev":"T"}']))
        lb.await_records(1)
        assert lb.stop().exit_code == 0
