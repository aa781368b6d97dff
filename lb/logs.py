"""One line per event on standard error, for people or as JSON.

Law: a line has a message of fixed words and named values; never one per record, never a credential. A standard error
that is closed or full never stops the balancer.
"""

from __future__ import annotations

import logging
import os
import sys
from datetime import UTC, datetime

import orjson

from lb.config import LogFormat, LogLevel

_log = logging.getLogger("lb")

_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}
"""syslog(3) priorities, which journald reads from a line's beginning."""


def start(level: LogLevel, form: LogFormat) -> None:
    """Begin to log to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form is LogFormat.JSON else _Text(for_journal="JOURNAL_STREAM" in os.environ))
    _log.handlers = [handler]
    _log.setLevel(level.name)
    _log.propagate = False
    logging.raiseExceptions = False  # a failing write to standard error is not reported on standard error


def debug(message: str, **values: object) -> None:
    _log.debug(message, extra={"values": values})


def info(message: str, **values: object) -> None:
    _log.info(message, extra={"values": values})


def warning(message: str, **values: object) -> None:
    _log.warning(message, extra={"values": values})


def error(message: str, **values: object) -> None:
    _log.error(message, extra={"values": values})


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Text(logging.Formatter):
    def __init__(self, *, for_journal: bool) -> None:
        super().__init__()
        self._for_journal = for_journal

    def format(self, record: logging.LogRecord) -> str:
        values = "".join(f" {name}={_word(value)}" for name, value in record.__dict__["values"].items())
        if self._for_journal:  # which adds the time itself
            return f"<{_PRIORITY[record.levelno]}>{record.getMessage()}{values}"
        return f"{_time(record)} {record.levelname.lower():7} {record.getMessage()}{values}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"time": _time(record), "level": record.levelname.lower(), "message": record.getMessage()}
        return orjson.dumps(line | record.__dict__["values"], default=str).decode()


def _word(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list):
        return ",".join(map(_word, value))
    text = str(value)
    return repr(text) if not text or any(character.isspace() for character in text) else text
