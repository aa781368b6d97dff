"""KEY: every form is sent to the feed, and none is seen anywhere else."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
from pathlib import Path
from urllib.parse import quote

import orjson
import pytest
from harness import KEY, SOON, Feed, Lb, inline, run_lb
from harness.feed import CONNECTED
from harness.joining import Joined
from hypothesis import example, given
from hypothesis import strategies as st

from lb.errors import EX_NOINPUT, EX_NOPERM, EX_UNAVAILABLE, EX_USAGE, KeyUnreadable, UsageError
from lb.key import Key, read_key

pytestmark = pytest.mark.slow

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


@pytest.mark.parametrize("key", [KEY, "env:LB_KEY"], ids=["word", "variable"])
def test_behind_a_kill_it_is_wiped_and_not_inherited_either(key: str) -> None:
    """The next start has the same words and variables, and knows the key already."""
    variables = {"LB_KEY": KEY} if key != KEY else {}
    worker = ["/bin/sh", "-c", 'echo "<$LB_KEY>"; cat <&$0']
    with (
        Feed() as feed,
        Lb(feed.url, 1, "--dumpable", keeper=True, key=key, environment=variables, worker=worker) as lb,
        feed.session(),
    ):
        pid = lb.await_line("lb started")["pid"]
        lb.await_line("worker started")
        lb.await_line("session open")
        for _ in range(2):  # in the turn between them all is put into the store
            lb.balance()
        os.kill(pid, signal.SIGKILL)
        pid = lb.await_line("lb started")["pid"]
        assert lb.await_line("lb was killed: taken over")["session"] == "kept"
        assert lb.await_output_lines(2) == [b"<>\n"] * 2
        assert KEY.encode() not in command_line(pid) + environment(pid)


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


READS_ITS_STANDARD_INPUT = inline("""
    import os, sys
    os.lseek(0, 0, os.SEEK_SET)
    print(os.readlink("/proc/self/fd/0"), os.read(0, 1000), flush=True)
    os.read(int(sys.argv[1]), 1)
""")


def test_a_file_that_was_standard_input_is_not_inherited(tmp_path: Path) -> None:
    """Each worker could read the key from its beginning again (`lb - ... < key`, systemd's StandardInput=file:)."""
    (tmp_path / "key").write_text(f"{KEY}\n")
    with (
        (tmp_path / "key").open() as file,
        Feed() as feed,
        Lb(feed.url, 1, "--dumpable", key="-", stdin=file, worker=READS_ITS_STANDARD_INPUT) as lb,
    ):
        assert lb.await_output() == b"/dev/null b''\n"
        assert str(Path(f"/proc/{lb.pid}/fd/0").readlink()) == "/dev/null"
        assert sent_key(feed) == KEY


def test_a_byte_order_mark_is_no_part_of_the_key(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xef\xbb\xbfabc\r\n")
    assert read_key(f"@{tmp_path / 'key'}").reveal() == "abc"


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


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_feed_that_repeats_the_key_gets_it_into_no_line(log_format: str) -> None:
    key = 'k3y/"that\\n\u00f6body may see'
    said = [
        json.dumps({"ev": "status", "status": "error", "message": f"what is {key}?"}),
        json.dumps({"ev": "status", "status": "error", "message": json.dumps({"params": key})}),
        json.dumps({"ev": "status", "status": "error", "message": f"GET /?key={quote(key, safe='')}"}),
        json.dumps({"ev": "status", "status": "auth_failed", "message": f"{key} is refused"}, ensure_ascii=False),
    ]
    with Feed() as feed, Lb(feed.url, 1, "--log-format", log_format, key=key) as lb, feed.session() as peer:
        peer.say(f"{said[0]},".encode())  # malformed: shown as it came
        for status in said:
            peer.say(f"[{status}]".encode())
        assert lb.wait().exit_code == EX_NOPERM
        log = "\n".join(line["message"] for line in lb.lines) if log_format == "text" else lb.log
    assert log.count("***") >= len(said) + 1
    for part in ("k3y", "body", "may see", "%22that"):
        assert part not in log


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_an_error_of_the_command_line_says_no_key(log_format: str) -> None:
    done = run_lb("--log-format", log_format, "--route", "brief-key", "brief-key", NO_FEED, "1", ".", "w")
    assert done.returncode == EX_USAGE
    assert "'***' is none of round-robin, symbol" in done.stderr
    done = run_lb("--log-format", log_format, KEY, NO_FEED, "1", f"/no/{KEY}/dir", "/bin/cat")
    assert done.returncode == EX_UNAVAILABLE
    assert "/no/***/dir" in done.stderr
    assert KEY not in done.stderr


def test_a_query_is_asked_for_and_not_logged() -> None:
    query = f"token={KEY}-2"
    with Feed() as feed, Lb(f"{feed.url}?{query}", 1, "--log-level", "debug", key="other", constants=SOON) as lb:
        with feed.session() as peer:
            assert peer.request.startswith(f"GET /stocks?{query} HTTP/1.1")
            assert KEY.encode() not in command_line(lb.pid)
            assert feed.url.encode() + b"?*" in command_line(lb.pid)
            assert lb.await_line("session open")["url"] == feed.url
        with feed.connection() as peer:
            assert query in peer.read_request()
            peer.send(f"HTTP/1.1 302 Found\r\nLocation: /stocks?{query}\r\n\r\n".encode())
            assert "/stocks?***" in lb.await_line("no session")["reason"]


@pytest.mark.parametrize("form", ["--proxy {}", "--proxy={}"])
def test_the_password_of_a_proxy_is_gone_from_the_command_line_and_in_no_line(form: str) -> None:
    with Feed() as proxy:
        option = form.format(f"http://user:{KEY}@127.0.0.1:{proxy.port}").split()
        basic = base64.b64encode(f"user:{KEY}".encode())
        with Lb("ws://feed.example/stocks", 1, *option, key="other") as lb, proxy.connection() as peer:
            assert basic.decode() in peer.read_request()
            assert KEY.encode() not in command_line(lb.pid)
            assert b"http://***" in command_line(lb.pid)
            peer.send(b"HTTP/1.1 302 Moved\r\nLocation: /?" + basic + f"?user:{KEY}?{KEY}\r\n\r\n".encode())
            said = lb.await_line("no session")["reason"]
            assert said.count("***") == 2
            assert "user" not in said
            assert KEY[:3] not in said


def test_an_object_that_holds_the_key_prints_none_of_it() -> None:
    key = Key(KEY)
    assert KEY not in repr(key) + str(key) + f"{key!r:s}"
    assert key.reveal() == KEY


def test_the_file_of_a_key_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("first-key\n")
    key = read_key(f"@{file}")
    assert not key.read_again(), "nothing has changed"
    file.write_text("second-key\n")
    assert key.read_again()
    assert key.reveal() == "second-key"
    assert not key.read_again()
    assert key.hide("<first-key> <second-key>") == "<***> <***>"
    for unusable in (b"", b"a\nb\n", b"\xff"):
        file.write_bytes(unusable)
        assert not key.read_again()
    file.unlink()
    assert not key.read_again()
    assert key.reveal() == "second-key"


def test_a_key_from_elsewhere_can_not_be_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LB_TEST_KEY", "abc")
    assert not read_key("env:LB_TEST_KEY").read_again()
    assert not read_key("abc").read_again()


def spellings(key: str) -> list[str]:
    """How a feed, a library or Python may repeat the key."""
    texts = [key, json.dumps(key), json.dumps(key, ensure_ascii=False), json.dumps(key).replace("/", "\\/")]
    texts += [quote(key), quote(key, safe=""), quote(key).lower(), orjson.dumps(key).decode()]
    return [*texts, *map(json.dumps, texts), *map(repr, texts), *(repr(text.encode()) for text in texts)]


@given(st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="\\"), min_size=8, max_size=40))
@example("with\\a backslash\\é")
def test_no_spelling_of_a_key_remains(key: str) -> None:
    for text in spellings(key):
        shown = Key(key).hide(f"said <{text}>.")
        assert "***" in shown
        assert shown.startswith("said <")
        assert shown.endswith(">.")
        assert len(shown) <= len("said <b'\"***\"'>.") + 4, shown


@given(st.text("abé", min_size=8, max_size=40), st.integers(8, 40))
def test_where_a_text_was_cut_off_the_beginning_of_the_key_is_hidden(key: str, length: int) -> None:
    assert Key(key).hide(f"said {key[:length]}") == "said ***"


def test_a_key_of_thousands_of_characters_is_hidden() -> None:
    """As tokens are."""
    key = "".join(chr(33 + number % 90) for number in range(2000))
    assert Key(key).hide(f"<{json.dumps(key)}>") == '<"***">'


def test_a_short_key_is_hidden_where_it_stands_alone() -> None:
    assert Key("demo").hide("demo, a demonstration: 'demo'") == "***, a demonstration: '***'"


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


def test_a_feed_that_repeats_the_key_does_not_show_it_to_those_who_ask_and_watch(tmp_path: Path) -> None:
    path = tmp_path / "lb.sock"
    with Feed() as feed, Lb(feed.url, 1, "--control", str(path), constants=SOON) as lb:
        with feed.session() as peer:
            peer.say(b'[{"ev":"status","status":"error","message":"no topic of %s"}]' % KEY.encode())
            lb.await_line("the feed reports an error")
            peer.close(1008, f"away with {KEY}".encode())
        lb.await_line("session lost")
        with Joined(path) as client:
            told = json.dumps(client.result("status"))
    assert "away with" in told
    assert KEY not in told
