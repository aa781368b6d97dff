"""Log lines: one per event, for people or as JSON, on standard error."""

from __future__ import annotations

import json
import os
import re

import pytest

from lb import logs
from lb.config import LogFormat, LogLevel

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture(autouse=True)
def no_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)


def test_text(capfd: pytest.CaptureFixture[str]) -> None:
    logs.start(LogLevel.INFO, LogFormat.TEXT)
    logs.warning("session lost", reason="two words", code=1002, age_s=1.23456, pipes=[1, 2], empty="")
    line = capfd.readouterr().err
    assert re.fullmatch(
        TIME + r" warning session lost reason='two words' code=1002 age_s=1\.235 pipes=1,2 empty=''\n", line
    )


def test_json(capfd: pytest.CaptureFixture[str]) -> None:
    logs.start(LogLevel.INFO, LogFormat.JSON)
    logs.error("session lost", reason='two "words"\n', pipes=[1, 2])
    line = json.loads(capfd.readouterr().err)
    assert re.fullmatch(TIME, line.pop("time"))
    assert line == {"level": "error", "message": "session lost", "reason": 'two "words"\n', "pipes": [1, 2]}


def test_under_journald_a_line_begins_with_its_priority(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:12345")
    logs.start(LogLevel.DEBUG, LogFormat.TEXT)
    logs.debug("a")
    logs.info("b", n=1)
    logs.warning("c")
    logs.error("d")
    assert capfd.readouterr().err == "<7>a\n<6>b n=1\n<4>c\n<3>d\n"


@pytest.mark.parametrize(
    ("level", "said"),
    [
        (LogLevel.DEBUG, "abcd"),
        (LogLevel.INFO, "bcd"),
        (LogLevel.WARNING, "cd"),
        (LogLevel.ERROR, "d"),
    ],
)
def test_levels(capfd: pytest.CaptureFixture[str], level: LogLevel, said: str) -> None:
    logs.start(level, LogFormat.JSON)
    logs.debug("a")
    logs.info("b")
    logs.warning("c")
    logs.error("d")
    assert [json.loads(line)["message"] for line in capfd.readouterr().err.splitlines()] == list(said)


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "\x1b[31mred", "\u2028"])
def test_what_a_feed_says_stays_on_one_line(capfd: pytest.CaptureFixture[str], text: str) -> None:
    for form in LogFormat:
        logs.start(LogLevel.INFO, form)
        logs.info("the feed says", text=text)
        logs.error(f"the feed refuses the key: {text}")
        lines = capfd.readouterr().err
        assert len(lines.splitlines()) == 2, lines
        assert "\x1b" not in lines


def test_half_of_a_character_pair_is_no_error(capfd: pytest.CaptureFixture[str]) -> None:
    """JSON may hold one alone, and UTF-8 can not."""
    logs.start(LogLevel.INFO, LogFormat.TEXT)
    logs.info("the feed says", text="\ud800")
    assert capfd.readouterr().err.endswith("\n")


def test_a_line_longer_than_a_pipes_atom_is_whole() -> None:
    read_end, write_end = os.pipe()
    standard_error = os.dup(2)
    os.dup2(write_end, 2)
    try:
        logs.write("x" * 20_000)
    finally:
        os.dup2(standard_error, 2)
        os.close(standard_error)
        os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        assert pipe.read() == b"x" * 20_000 + b"\n"
