"""One line per event on standard error, for people or as JSON.

Law: a line has a message of fixed words and named values; never one per record, never a credential. A standard error
that is closed, full, or read by nobody never stops the balancer: what can't be written at once is left out.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
from datetime import UTC, datetime

from lb.config import LogFormat, LogLevel

_log = logging.getLogger("lb")

_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}
"""syslog(3) priorities, which journald reads from a line's beginning."""

_STANDARD_ERROR = 2


def start(level: LogLevel, form: LogFormat) -> None:
    """Begin to log to standard error."""
    handler = _Handler()
    handler.setFormatter(_Json() if form is LogFormat.JSON else _Text(for_journal="JOURNAL_STREAM" in os.environ))
    _log.handlers = [handler]
    _log.setLevel(level.name)
    _log.propagate = False


def debug(message: str, **values: object) -> None:
    _log.debug(message, extra={"values": values})


def info(message: str, **values: object) -> None:
    _log.info(message, extra={"values": values})


def warning(message: str, **values: object) -> None:
    _log.warning(message, extra={"values": values})


def error(message: str, **values: object) -> None:
    _log.error(message, extra={"values": values})


def write(text: str) -> None:
    """Write a line to standard error, as far as that needs no waiting.

    In pieces of PIPE_BUF, for which a pipe that polls as writable has room (pipe(7)). The descriptor may be shared, so
    that it can't be made non-blocking.
    """
    line = f"{text}\n".encode(errors="backslashreplace")
    poll = select.poll()
    poll.register(_STANDARD_ERROR, select.POLLOUT)
    with contextlib.suppress(OSError):
        while line and poll.poll(0):
            line = line[os.write(_STANDARD_ERROR, line[: select.PIPE_BUF]) :]


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        write(self.format(record))


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Text(logging.Formatter):
    def __init__(self, *, for_journal: bool) -> None:
        super().__init__()
        self._for_journal = for_journal

    def format(self, record: logging.LogRecord) -> str:
        values = "".join(f" {name}={_word(value)}" for name, value in record.__dict__["values"].items())
        if self._for_journal:  # which adds the time itself
            return f"<{_PRIORITY[record.levelno]}>{_printable(record.getMessage())}{values}"
        return f"{_time(record)} {record.levelname.lower():7} {_printable(record.getMessage())}{values}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"time": _time(record), "level": record.levelname.lower(), "message": record.getMessage()}
        return json.dumps(line | record.__dict__["values"], default=str)


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
