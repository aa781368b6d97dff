"""One line per event on standard error, for people or as JSON.

Law: a line has a message of fixed words and named values; never one per record, never of any length a feed likes, never
a credential. A standard error that is closed, full, or read by nobody never stops the balancer: what can't be written
at once is left out, and the next line tells how many lines were.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from lb.config import LogFormat, LogLevel
from lb.standard_error import StandardError, is_journal

LONGEST_TEXT = 4000
"""Characters of a message or value; a feed may say more."""
_LONGEST_LOOKED_AT = 16 * LONGEST_TEXT
"""Characters in which secrets are looked for, whose spelling may be longer than themselves."""

_SEVERITY = {LogLevel.DEBUG: 7, LogLevel.INFO: 6, LogLevel.WARNING: 4, LogLevel.ERROR: 3}
"""syslog(3) priorities, which journald reads from a line's beginning."""


def start(level: LogLevel, form: LogFormat, hide: Callable[[str], str] = str) -> None:
    """From now on log what is at least as severe as `level`. `hide` takes secrets out of a text."""
    global _log  # noqa: PLW0603 - there is one standard error
    _log = _Log(level, form, hide)


def set_level(level: LogLevel) -> None:
    """From now on write what is at least as severe."""
    _log.least_severe = _SEVERITY[level]


def level() -> LogLevel:
    """What is written is at least as severe."""
    return next(level for level, number in _SEVERITY.items() if number == _log.least_severe)


def listen(listener: Callable[[Mapping[str, object]], None] | None) -> None:
    """Hand every line over, too, whatever the level is, but for debug lines that are not written. It must not log,
    and any thread may call it."""
    _log.listener = listener


def shown(text: str) -> str:
    """As a line would show it: without what is to be hidden, and not of any length."""
    return _log.shown(text)


def debug(message: str, **values: object) -> None:
    _log.write(LogLevel.DEBUG, message, values)


def info(message: str, **values: object) -> None:
    _log.write(LogLevel.INFO, message, values)


def warning(message: str, **values: object) -> None:
    _log.write(LogLevel.WARNING, message, values)


def error(message: str, **values: object) -> None:
    _log.write(LogLevel.ERROR, message, values)


def last_words(message: str, detail: str) -> None:
    """Why the command ends, at any level; `detail` is lines for a person, each of which ends with a line feed."""
    _log.write_last_words(message, detail)


class _Log:
    def __init__(self, level: LogLevel, form: LogFormat, hide: Callable[[str], str]) -> None:
        self.least_severe = _SEVERITY[level]
        self.listener: Callable[[Mapping[str, object]], None] | None = None
        self._form = form
        self._hide = hide
        self._for_journal = form is LogFormat.TEXT and is_journal(os.environ.get("JOURNAL_STREAM", ""))
        self._standard_error = StandardError()
        self._left_out = 0

    def write(self, level: LogLevel, message: str, values: Mapping[str, object]) -> None:
        is_written = _SEVERITY[level] <= self.least_severe
        if not is_written and (self.listener is None or level is LogLevel.DEBUG):
            return
        if is_written and self._left_out:
            values = {**values, "lines_left_out": self._left_out}
        message = self.shown(message)
        shown = {name: self._value(value) for name, value in values.items()}
        if self.listener is not None:
            self.listener({"level": level.value, "message": message, **shown})
        if is_written:
            self._put(self._line(level, message, shown))

    def _line(self, level: LogLevel, message: str, shown: Mapping[str, Any]) -> str:
        if self._form is LogFormat.JSON:
            return json.dumps({"time": _now(), "level": level.value, "message": message, **shown}) + "\n"
        head = f"<{_SEVERITY[level]}>" if self._for_journal else f"{_now()} {level.value:7} "
        return head + _printable(message) + "".join(f" {name}={_word(value)}" for name, value in shown.items()) + "\n"

    def write_last_words(self, message: str, detail: str) -> None:
        if self._form is LogFormat.JSON:
            self.write(LogLevel.ERROR, message, {"detail": detail} if detail else {})
        else:
            text = f"lb: {_printable(self.shown(message))}\n{self._hide(detail)}"
            head = f"<{_SEVERITY[LogLevel.ERROR]}>" if self._for_journal else ""
            self._put("".join(f"{head}{line}\n" for line in text.splitlines()))

    def _put(self, text: str) -> None:
        is_written = self._standard_error.write(text.encode(errors="backslashreplace"))
        self._left_out = 0 if is_written else self._left_out + 1

    def _value(self, value: object) -> Any:
        """What JSON can say, with nothing that is to be hidden in it."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, list | tuple):
            return [self._value(item) for item in value]
        return self.shown(str(value))

    def shown(self, text: str) -> str:
        text = self._hide(text[:_LONGEST_LOOKED_AT])
        return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}... (cut off)"


_log = _Log(LogLevel.INFO, LogFormat.TEXT, str)


def utc(time: datetime) -> str:
    """As a line's own time stands in it. `time`: in UTC."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _now() -> str:
    return utc(datetime.now(UTC))


def _word(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list):
        return ",".join(map(_word, value))
    text = str(value)
    return repr(text) if not text or " " in text or not text.isprintable() else text


def _printable(text: str) -> str:
    """A feed's words may be in it: no line break of theirs begins a line of ours, no escape sequence reaches a
    terminal."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
