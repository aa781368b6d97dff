"""The command line, read into a Config: what is lb's own, what is the worker's, and what errors may say."""

from __future__ import annotations

import os

import pytest

from lb import config, options
from lb.config import Config, LogFormat
from lb.endpoint import Endpoint
from lb.errors import KeyUnreadable, UsageError
from lb.key import Key
from lb.proxy import Proxy
from lb.pump import Route


def test_defaults_are_those_of_the_command_line() -> None:
    parsed = options.parse(["KEY", "ws://h/", "4", "/", "worker"])
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
        "--feed polygon --subscribe T.A --subscribe Q.*,AM.* --route symbol --spawn per-pipe --pipe-size 4096 "
        "--tls user --ca-file ca "
        "--on-full drop-oldest --backlog 70000 "
        "--proxy http://p:3128 --quiet-after 60 --on-quiet reconnect "
        "--stuck-after 5 --on-stuck restart --max-crashes 9 --on-crashes exit "
        f"--max-frame-bytes 1024 --cpu {cpu} --grace 0.5 --stats-interval 0 --log-level debug --log-format json "
        "KEY ws://h/ 65536 dir worker --route x -- -y"
    )
    parsed = options.parse(words.split())
    assert parsed == Config(
        key=parsed.key,
        endpoint=Endpoint.parse("ws://h/"),
        pipes=65536,
        directory="dir",
        worker="worker",
        worker_args=("--route", "x", "--", "-y"),
        feed="polygon",
        subscribe=("T.A", "Q.*", "AM.*"),
        route=Route.SYMBOL,
        spawn=config.Spawn.PER_PIPE,
        pipe_size_bytes=4096,
        on_full=config.OnFull.DROP_OLDEST,
        backlog_bytes=70000,
        cpu=cpu,
        tls=config.Tls.USER,
        ca_file="ca",
        proxy=Proxy("p", 3128),
        quiet_after_s=60.0,
        on_quiet=config.OnQuiet.RECONNECT,
        stuck_after_s=5.0,
        on_stuck=config.OnStuck.RESTART,
        max_crashes=9,
        on_crashes=config.OnCrashes.EXIT,
        max_frame_bytes=1024,
        grace_s=0.5,
        stats_interval_s=0,
        log_level=config.LogLevel.DEBUG,
        log_format=config.LogFormat.JSON,
    )


def test_a_config_prints_no_key() -> None:
    shown = repr(Config(Key("s3cret"), Endpoint.parse("ws://h/"), 1, "/", "worker", ()))
    assert "s3cret" not in shown


def words_behind_worker(*words: str) -> tuple[str, ...]:
    return options.parse(["k", "ws://h/", "1", "/", "worker", *words]).worker_args


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--", "x"),
        ("--",),
        ("--", "--", "-x"),
        ("-a", "--", "x"),
        ("--log-format", "json", "--help", "-", ""),
        ("-1", "ws://h/"),
    ],
)
def test_all_words_behind_worker_are_its_own(words: tuple[str, ...]) -> None:
    assert words_behind_worker(*words) == words


def test_two_dashes_in_front_end_the_options_of_lb() -> None:
    parsed = options.parse(["--once", "--", "-key", "ws://h/", "1", "/", "-worker", "--", "x"])
    assert (parsed.key.reveal(), parsed.worker, parsed.worker_args, parsed.once) == (
        "-key",
        "-worker",
        ("--", "x"),
        True,
    )


def test_the_value_of_an_option_is_none_of_the_five_words() -> None:
    for option in (["--route", "symbol"], ["--route=symbol"]):
        for at in range(6):
            words = ["k", "ws://h/", "1", "/", "worker"]
            parsed = options.parse([*words[:at], *option, *words[at:]])
            assert parsed.worker == "worker"
            behind = at == 5
            assert parsed.route is (Route.ROUND_ROBIN if behind else Route.SYMBOL)
            assert parsed.worker_args == (tuple(option) if behind else ())


def test_an_unknown_option_is_named_with_the_one_that_is_near() -> None:
    with pytest.raises(UsageError, match=r"^there is no option --rout \(there is --route\)$"):
        options.parse(["--rout=symbol", "k", "ws://h/", "1", "/", "w"])
    with pytest.raises(UsageError, match=r"^there is no option --quux$"):
        options.parse(["k", "--quux", "ws://h/", "1", "/", "w"])


SECRET = "S3cretS3cretS3cretS3cret"


@pytest.mark.parametrize(
    "words",
    [
        ["ws://h/", SECRET, "1", ".", "w"],
        ["ws://h/", "1", SECRET, ".", "w"],
        [SECRET, "ws://h/", "many", ".", "w"],
        [SECRET, "ws://h/", "1", "."],
        ["--route", SECRET, "ws://h/", "1", ".", "w"],
        ["--cpu", SECRET, "ws://h/", "1", ".", "w"],
        ["--grace", SECRET, "ws://h/", "1", ".", "w"],
        ["--pipe-size", SECRET, "ws://h/", "1", ".", "w"],
        [f"--key={SECRET}", "ws://h/", "1", ".", "w"],
        ["k", f"wss://user:{SECRET}@[::1/", "1", ".", "w"],
        ["k", f"wss://user:{SECRET}@h:x/", "1", ".", "w"],
        ["k", f"wss://[{SECRET}]/", "1", ".", "w"],
        ["k", f"wss://h:{SECRET}/", "1", ".", "w"],
        ["k", f"http://{SECRET}/", "1", ".", "w"],
        ["k", f"ws://h/ {SECRET}", "1", ".", "w"],
        ["k", f"ws://h/?key={SECRET}#", "1", ".", "w"],
        ["k", f"ws://..{SECRET}/", "1", ".", "w"],
    ],
)
def test_no_error_repeats_what_may_be_a_secret(words: list[str]) -> None:
    with pytest.raises(UsageError) as refusal:
        options.parse(words)
    assert SECRET.lower() not in str(refusal.value).lower()


@pytest.mark.parametrize(
    ("words", "form"),
    [
        ([], LogFormat.TEXT),
        (["--log-format", "json"], LogFormat.JSON),
        (["--log-format=json", "k", "--bogus"], LogFormat.JSON),
        (["k", "u", "x", "--log-format", "json"], LogFormat.JSON),
        (["--log-format", "json", "--log-format", "text"], LogFormat.TEXT),
        (["--log-format", "xml"], LogFormat.TEXT),
        (["--log-format"], LogFormat.TEXT),
        (["k", "u", "1", ".", "w", "--log-format", "json"], LogFormat.TEXT),
    ],
)
def test_the_form_of_log_lines_is_known_whatever_else_is_wrong(words: list[str], form: LogFormat) -> None:
    assert options.peek(words)[1] is form


def test_key_and_topics_that_are_not_utf_8_are_refused() -> None:
    """Python shows other bytes of the command line as half of a surrogate pair, which JSON can't say."""
    with pytest.raises(KeyUnreadable, match=r"^KEY is not UTF-8$"):
        options.parse(["\udcffk", "ws://h/", "1", "/", "w"])
    with pytest.raises(UsageError, match="--subscribe holds a topic that is not UTF-8"):
        options.parse(["--subscribe", "T.\udcff", "k", "ws://h/", "1", "/", "w"])


def test_redelivery_is_asked_for_with_its_bound() -> None:
    parsed = options.parse(["--redeliver", "--retain", "70000", "--spawn", "per-pipe", "k", "ws://h/", "2", "/", "w"])
    assert (parsed.redeliver, parsed.retain_bytes) == (True, 70000)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--redeliver", "--redeliver needs --spawn per-pipe"),
        ("--retain 70000", "--retain is for --redeliver"),
        ("--redeliver --spawn per-pipe --on-full drop-newest", "can't be had with --on-full drop-newest"),
        ("--redeliver --spawn per-pipe --on-full spill=/tmp", "can't be had with --on-full spill"),
        ("--redeliver --spawn per-pipe --backlog 70000", "--redeliver has no --backlog"),
        ("--redeliver --spawn per-pipe --frame lines", "which those of --frame lines can't"),
        ("--redeliver --spawn per-pipe --retain 100", "outside of 4096"),
    ],
)
def test_what_can_not_be_had_with_redelivery_is_told(words: str, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        options.parse([*words.split(), "k", "ws://h/", "2", "/", "w"])


def test_a_member_of_records_can_be_the_key() -> None:
    words = ["KEY", "ws://h/", "2", "/", "worker"]
    for member in ("account", "a b", "\u00fc" * 31, "k=v"):
        parsed = options.parse([f"--route=key={member}", *words])
        assert (parsed.route, parsed.key_member) == (Route.KEY, member)
    for wrong in ("key", "key=", "key=" + "\u00fc" * 32, 'key="', "key=\\", "key=a\nb", "symbol=a"):
        with pytest.raises(UsageError):
            options.parse(["--route", wrong, *words])
