"""Log lines: one per event, for people or as JSON, on standard error."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from lb import logs
from lb.config import LogFormat, LogLevel
from lb.key import Key

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def journal_stream() -> str:
    """The value that systemd would give JOURNAL_STREAM if standard error were its journal."""
    about = os.fstat(2)
    return f"{about.st_dev}:{about.st_ino}"


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
    monkeypatch.setenv("JOURNAL_STREAM", journal_stream())
    logs.start(LogLevel.DEBUG, LogFormat.TEXT)
    logs.debug("a")
    logs.info("b", n=1)
    logs.warning("c")
    logs.error("d")
    logs.last_words("e", "f\ng\n")
    assert capfd.readouterr().err == "<7>a\n<6>b n=1\n<4>c\n<3>d\n<3>lb: e\n<3>f\n<3>g\n"


@pytest.mark.parametrize("stream", ["8:12345", "", "no numbers", None])
def test_a_standard_error_that_is_not_the_journal_gets_times(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, stream: str | None
) -> None:
    """The variable is inherited by whatever a service starts, also where that writes to a terminal or a file."""
    device, inode = map(int, journal_stream().split(":"))
    monkeypatch.setenv("JOURNAL_STREAM", f"{device}:{inode + 1}" if stream is None else stream)
    logs.start(LogLevel.INFO, LogFormat.TEXT)
    logs.info("a")
    assert re.fullmatch(TIME + " info    a\n", capfd.readouterr().err)


def test_values_are_numbers_lists_and_texts_in_json(capfd: pytest.CaptureFixture[str]) -> None:
    logs.start(LogLevel.INFO, LogFormat.JSON)
    logs.info("a", whole=1, part=0.5, yes=True, none=None, several=(1, 2), path=Path("/x"))
    line = json.loads(capfd.readouterr().err)
    values = {"whole": 1, "part": 0.5, "yes": True, "none": None, "several": [1, 2], "path": "/x"}
    assert line.items() >= values.items()
    assert all(type(line[name]) is type(value) for name, value in values.items())


def test_last_words_are_for_people_or_json(capfd: pytest.CaptureFixture[str]) -> None:
    for level in LogLevel:
        logs.start(level, LogFormat.TEXT)
        logs.last_words("no such thing\n", "first\nsecond\n")
        assert capfd.readouterr().err == "lb: no such thing\\n\nfirst\nsecond\n"
        logs.start(level, LogFormat.JSON)
        logs.last_words("no such thing", "first\nsecond\n")
        line = json.loads(capfd.readouterr().err)
        assert (line["level"], line["message"], line["detail"]) == ("error", "no such thing", "first\nsecond\n")


def test_the_first_line_for_which_there_is_room_again_tells_how_many_were_left_out() -> None:
    read_end, write_end = os.pipe()
    before = os.dup(2)
    os.dup2(write_end, 2)
    try:
        logs.start(LogLevel.INFO, LogFormat.JSON)
        for number in range(1000):
            logs.info("a line", number=number, text="x" * 1000)
        seen = os.read(read_end, 1 << 20).splitlines()
        logs.info("there is room")
        logs.info("there still is")
        told, after = map(json.loads, os.read(read_end, 1 << 20).splitlines())
    finally:
        os.dup2(before, 2)
        for fd in (before, read_end, write_end):
            os.close(fd)
    assert told["lines_left_out"] == 1000 - len(seen) > 0
    assert "lines_left_out" not in after


@pytest.mark.parametrize("form", LogFormat)
def test_no_value_is_as_long_as_a_feed_likes(capfd: pytest.CaptureFixture[str], form: LogFormat) -> None:
    logs.start(LogLevel.INFO, form)
    logs.info("x" * 5_000_000, text="y" * 5_000_000)
    line = capfd.readouterr().err
    assert line.count("... (cut off)") == 2
    assert len(line) < 2 * logs.LONGEST_TEXT + 200


@pytest.mark.parametrize("form", LogFormat)
def test_what_is_to_be_hidden_is_hidden_wherever_it_stands(capfd: pytest.CaptureFixture[str], form: LogFormat) -> None:
    logs.start(LogLevel.INFO, form, Key("S3cretS3cret").hide)
    logs.info("S3cretS3cret refused", text="no S3cretS3cret.", several=["S3cretS3cret"], sample=repr(b"S3cretS3cret"))
    logs.last_words("S3cretS3cret refused", "S3cretS3cret\n")
    logs.info("cut", text="y" * (logs.LONGEST_TEXT - 6) + "S3cretS3cret")
    printed = capfd.readouterr().err
    assert printed.count("***") == 7
    assert "S3c" not in printed


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
