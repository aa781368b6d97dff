"""The URL of the feed, taken apart; and the command line, read into a Config."""

from __future__ import annotations

import os

import pytest

from lb import cli, config
from lb.config import Config, Endpoint
from lb.errors import LbError, UsageError
from lb.key import Key


@pytest.mark.parametrize(
    ("url", "host", "port", "is_tls"),
    [
        ("wss://socket.massive.com/stocks", "socket.massive.com", 443, True),
        ("ws://localhost/stocks", "localhost", 80, False),
        ("ws://localhost:8080", "localhost", 8080, False),
        ("wss://127.0.0.1:65535/a/b?c=d", "127.0.0.1", 65535, True),
        ("wss://[::1]:8443/futures/cme", "::1", 8443, True),
        ("ws://[fe80::1]/", "fe80::1", 80, False),
    ],
)
def test_host_port_and_tls(url: str, host: str, port: int, is_tls: bool) -> None:
    assert Endpoint.parse(url) == Endpoint(url, host, port, is_tls)


@pytest.mark.parametrize(
    "url",
    [
        "", "socket.massive.com", "//h/", "http://h/", "wss:h", "wss:///stocks", "ws://:80/", "ws://h:65536/", "ws://h:-1/",
        "ws://h:port/", "ws://[::1/", "ws://user@h/", "ws://user:word@h/", "ws://h:0/", "ws://h/a b", "ws://h/\r\nX: y",
    ],
)  # fmt: skip
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="URL"):
        Endpoint.parse(url)


@pytest.mark.parametrize("url", ["ws://user:s3cret@h/", "ws://user:s3cret@h:x/", "http://user:s3cret@h/"])
def test_a_password_in_the_url_is_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match="user name or password") as refusal:
        Endpoint.parse(url)
    assert "s3cret" not in str(refusal.value)


def test_defaults_are_those_of_the_command_line() -> None:
    parsed = cli.parse(["KEY", "ws://h/", "4", "/", "worker"])
    assert parsed == Config(
        key=parsed.key, endpoint=Endpoint.parse("ws://h/"), pipes=4, directory="/", worker="worker", worker_args=()
    )
    assert parsed.key.reveal() == "KEY"
    assert parsed.max_frame_bytes == 16 << 20
    assert parsed.grace_s == 10
    assert parsed.stats_interval_s == 10


def test_every_option_is_read() -> None:
    cpu = min(os.sched_getaffinity(0))
    words = (
        "--subscribe T.A --subscribe Q.*,AM.* --route symbol --spawn per-pipe --pipe-size 4096 --tls user --ca-file ca "
        f"--max-frame-bytes 1024 --cpu {cpu} --grace 0.5 --stats-interval 0 --log-level debug --log-format json "
        "KEY ws://h/ 65536 dir worker --route x -- -y"
    )
    parsed = cli.parse(words.split())
    assert parsed == Config(
        key=parsed.key,
        endpoint=Endpoint.parse("ws://h/"),
        pipes=65536,
        directory="dir",
        worker="worker",
        worker_args=("--route", "x", "--", "-y"),
        subscribe=("T.A", "Q.*", "AM.*"),
        route=config.Route.SYMBOL,
        spawn=config.Spawn.PER_PIPE,
        pipe_size_bytes=4096,
        cpu=cpu,
        tls=config.Tls.USER,
        ca_file="ca",
        max_frame_bytes=1024,
        grace_s=0.5,
        stats_interval_s=0,
        log_level=config.LogLevel.DEBUG,
        log_format=config.LogFormat.JSON,
    )


def test_a_config_prints_no_key() -> None:
    shown = repr(Config(Key("s3cret"), Endpoint.parse("ws://h/"), 1, "/", "worker", ()))
    assert "s3cret" not in shown


def test_the_tree_of_errors_is_what_its_file_draws() -> None:
    drawn = {}
    for branch in _all_of(LbError):
        drawn[branch.__name__] = (branch.exit_code, branch.retry)
    assert drawn == {
        "UsageError": (64, False),
        "KeyUnreadable": (66, False),
        "Unavailable": (69, False),
        "InternalError": (70, False),
        "SessionError": (70, True),
        "Refused": (77, False),
        "ConnectFailed": (70, True),
        "SessionLost": (70, True),
        "ProtocolError": (70, True),
        "Evicted": (70, True),
    }


def _all_of(error: type[LbError]) -> list[type[LbError]]:
    return [descendant for child in error.__subclasses__() for descendant in (child, *_all_of(child))]
