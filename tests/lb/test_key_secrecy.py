"""KEY: every form is sent to the feed, and none is seen anywhere else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from harness import KEY, Feed, Lb, inline, run_lb
from harness.feed import CONNECTED

from lb.errors import EX_NOINPUT, EX_NOPERM, EX_USAGE, KeyUnreadable, UsageError
from lb.key import Key, read_key

NO_FEED = "ws://127.0.0.1:1/stocks"


def sent_key(feed: Feed) -> str:
    with feed.connection().upgrade() as peer:
        peer.say(CONNECTED)
        return peer.receive_action("auth")


def command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def environment(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


def test_the_key_itself_is_sent_and_gone_from_the_command_line_before_the_worker_starts() -> None:
    with Feed() as feed, Lb(feed.url) as lb:
        assert KEY in lb.command
        lb.await_line("worker started")
        shown = command_line(lb.pid)
        assert KEY.encode() not in shown
        assert b"*" * len(KEY) in shown, "erased in place: what stands around it is whole"
        assert feed.url.encode() in shown
        assert sent_key(feed) == KEY


def test_the_same_word_elsewhere_on_the_command_line_is_erased_too() -> None:
    with Lb(NO_FEED, worker=["/bin/sh", "-c", "cat <&$1", KEY]) as lb:
        lb.await_line("worker started")
        assert KEY.encode() not in command_line(lb.pid)


def test_a_file_is_named_with_an_at_sign(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    with Feed() as feed, Lb(feed.url, key=f"@{tmp_path / 'key'}"):
        assert sent_key(feed) == KEY


def test_a_variable_is_sent_wiped_and_not_inherited() -> None:
    """Wiped also where --dumpable lets its user look."""
    variables = {"LB_KEY": KEY, "LB_OTHER": "stays"}
    worker = ["/bin/sh", "-c", 'echo "<$LB_KEY><$LB_OTHER>"; cat <&$0']
    with (
        Feed() as feed,
        Lb(feed.url, 1, "--dumpable", key="env:LB_KEY", environment=variables, worker=worker) as lb,
    ):
        assert lb.await_output() == b"<><stays>\n"
        assert KEY.encode() not in environment(lb.pid)
        assert b"LB_OTHER=stays" in environment(lb.pid)
        assert sent_key(feed) == KEY


def test_a_line_of_standard_input_is_the_key() -> None:
    with Feed() as feed, Lb(feed.url, key="-", stdin=subprocess.PIPE) as lb:
        lb.type(f"{KEY}\nanother line\n")
        assert sent_key(feed) == KEY


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "No such file or directory"), (b"", "holds no key"), (b" \n", "holds no key"), (b"\xff\n", "not UTF-8")],
)
def test_a_file_that_holds_no_key_is_named_and_the_exit_code_is_66(
    tmp_path: Path, text: bytes | None, said: str
) -> None:
    file = tmp_path / "key"
    if text is not None:
        file.write_bytes(text)
    done = run_lb(f"@{file}", NO_FEED, "1", ".", "w")
    assert done.returncode == EX_NOINPUT
    assert f"key file {str(file)!r}" in done.stderr
    assert said in done.stderr


def test_a_directory_is_no_key_file(tmp_path: Path) -> None:
    done = run_lb(f"@{tmp_path}", NO_FEED, "1", ".", "w")
    assert (done.returncode, "Is a directory" in done.stderr) == (EX_NOINPUT, True)


def test_a_variable_that_is_not_set_is_named() -> None:
    done = run_lb("env:NO_SUCH_NAME", NO_FEED, "1", ".", "w")
    assert done.returncode == EX_NOINPUT
    assert "environment variable 'NO_SUCH_NAME' is not set" in done.stderr


def test_an_empty_standard_input_holds_no_key() -> None:
    done = run_lb("-", NO_FEED, "1", ".", "w", stdin=subprocess.DEVNULL)
    assert done.returncode == EX_NOINPUT
    assert "standard input holds no key" in done.stderr


def test_a_file_of_several_lines_is_refused_without_telling_them(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\nsecond\n")
    done = run_lb(f"@{tmp_path / 'key'}", NO_FEED, "1", ".", "w")
    assert done.returncode == EX_USAGE
    assert "holds more than one line" in done.stderr
    assert KEY not in done.stderr


@pytest.mark.parametrize("level", ["debug", "info"])
def test_the_key_is_in_no_line_of_the_log_at_any_level(level: str) -> None:
    """The harness looks through every line of every test; here also through what other libraries log."""
    with Feed() as feed, Lb(feed.url, 1, "--log-level", level) as lb, feed.session() as peer:
        lb.await_line("session open")
        peer.close(1000, b"bye")
        lb.await_line("session lost")
        lb.stop()
        assert KEY not in lb.log


def test_a_refused_key_is_not_shown() -> None:
    with Feed() as feed, Lb(feed.url) as lb, feed.connection().upgrade() as peer:
        peer.say(CONNECTED)
        peer.receive_action("auth")
        peer.say(b'[{"ev":"status","status":"auth_failed","message":"authentication failed"}]')
        assert lb.wait().exit_code == EX_NOPERM
        assert KEY not in lb.log


def test_an_object_that_holds_the_key_prints_none_of_it() -> None:
    key = Key(KEY)
    assert KEY not in repr(key) + str(key) + f"{key!r:s}"
    assert key.reveal() == KEY


def test_surrounding_white_space_is_no_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LB_TEST_KEY", "  abc \n")
    assert read_key("env:LB_TEST_KEY").reveal() == "abc"
    assert "LB_TEST_KEY" not in os.environ


def test_two_lines_are_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LB_TEST_KEY", "a\nb")
    with pytest.raises(UsageError, match="more than one line"):
        read_key("env:LB_TEST_KEY")
    with pytest.raises(KeyUnreadable, match="is not set"):
        read_key("env:LB_TEST_KEY")


@pytest.mark.parametrize("options", [(), ("--dumpable",)], ids=["default", "dumpable"])
@pytest.mark.parametrize(("key", "variables"), [(KEY, {}), ("env:LB_KEY", {"LB_KEY": KEY})], ids=["word", "variable"])
def test_a_worker_can_not_read_the_key_from_its_parent(
    key: str, variables: dict[str, str], options: tuple[str, ...]
) -> None:
    """Not from /proc of lb, as the same user: the environment of an lb that is not dumpable is root's alone."""
    worker = inline("""
        import os, sys
        from pathlib import Path
        for name in ("cmdline", "environ"):
            try:
                shown = Path("/proc", str(os.getppid()), name).read_bytes()
            except PermissionError as error:
                shown = error
            print(name, shown)
        print("end", flush=True)
        os.read(int(sys.argv[1]), 1)
    """)
    with Lb(NO_FEED, 1, *options, key=key, environment=variables, worker=worker) as lb:
        seen = lb.await_output(b"end\n")
        assert KEY.encode() not in seen
        assert NO_FEED.encode() in seen, "the command line can be seen"
        assert (b"environ b'" in seen) == bool(options or os.geteuid() == 0)
