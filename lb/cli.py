"""The command `lb`. Law: hands the command line to the balancer, and turns errors into one line and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from lb import estate, handover, keeper, logs, options
from lb.balancer import Balancer
from lb.config import Config, LogLevel
from lb.errors import EX_SOFTWARE, LbError, UsageError
from lb.feed.session import set_dumpable
from lb.key import Key, conceal, erase_all_behind, hide_key_in
from lb.pump import MappingRefused
from lb.secret import hide_all
from lb.service import Manager


def main() -> int:
    """Runs the command; returns its exit code."""
    _open_missing_descriptors()
    words = sys.argv[1:]
    if words[:1] == [handover.ARGUMENT]:
        set_dumpable(False)  # what it is given may hold a secret: the URL's query
        return handover.answer(words[1:])
    if words[:1] == [keeper.ARGUMENT]:
        return _keep(words[1:])
    key_form, log_format = options.peek(words)
    logs.start(LogLevel.INFO, log_format, hide_key_in(key_form))
    manager = Manager.of_environment()
    manager.hide = hide_key_in(key_form)
    try:
        if (adopted := handover.take()) is not None:
            return _go_on(adopted)
        key = None
        if (left := estate.take(manager, words)) is not None:
            key = Key.adopt(left["key"])
            conceal(key_form)
            try:
                return _go_on_behind(left, key, manager, words)
            except MappingRefused as error:
                fds = (left[name] for name in ("document_fd", "pump_fd", "session_fd"))
                estate.refuse(manager, error, [fd for fd in fds if fd is not None])
        config = options.parse(words, key)
        _tell(config, manager, config.log_level)
        return Balancer(config, manager, words).run()
    except UsageError as error:
        logs.last_words(str(error), f"lb: usage: {options.USAGE}; lb --help tells more\n")
        manager.tell(STATUS=str(error))
        return error.exit_code
    except LbError as error:
        logs.last_words(str(error), "")
        manager.tell(STATUS=str(error))
        return error.exit_code
    except Exception as bug:
        logs.last_words(f"internal error: {bug!r}", traceback.format_exc())
        return EX_SOFTWARE


def _go_on(adopted: Mapping[str, Any]) -> int:
    """In a process that another program had before."""
    config = options.parse(adopted["words"], Key.adopt(adopted["key"]))
    manager = Manager.adopt(adopted["manager"])
    _tell(config, manager, LogLevel(adopted["log_level"]))
    return Balancer(config, manager, adopted["words"], adopted).run()


def _go_on_behind(left: Mapping[str, Any], key: Key, manager: Manager, words: Sequence[str]) -> int:
    """Behind a process that was killed."""
    config = options.parse(words, key)
    _tell(config, manager, config.log_level)
    return Balancer(config, manager, words, left).run()


def _keep(words: Sequence[str]) -> int:
    """Of `words`, which are lb's, nothing is looked at here but the form of log lines."""
    logs.start(LogLevel.INFO, options.peek(words)[1])
    command = keeper.command_without_keeper()
    erase_all_behind(keeper.ARGUMENT)
    try:
        return keeper.run(command)
    except UsageError as error:
        logs.last_words(str(error), "")
        return error.exit_code


def _tell(config: Config, manager: Manager, log_level: LogLevel) -> None:
    """From now on, nothing that is told says what is secret."""
    manager.hide = partial(hide_all, config.secrets())
    logs.start(log_level, config.log_format, manager.hide)


def _open_missing_descriptors() -> None:
    """Where 0, 1 or 2 is closed, put /dev/null there: the first pipe or socket would else be taken for it, by workers,
    too."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
