"""The command `lb`. Law: hands the command line to the balancer, and turns errors into one line and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from functools import partial

from lb import logs, options
from lb.balancer import Balancer
from lb.config import LogLevel
from lb.errors import EX_SOFTWARE, LbError, UsageError
from lb.key import hide_key_in
from lb.secret import hide_all
from lb.service import Manager


def main() -> int:
    """Runs the command; returns its exit code."""
    _open_missing_descriptors()
    words = sys.argv[1:]
    key_form, log_format = options.peek(words)
    logs.start(LogLevel.INFO, log_format, hide_key_in(key_form))
    manager = Manager.of_environment()
    manager.hide = hide_key_in(key_form)
    try:
        config = options.parse(words)
        manager.hide = partial(hide_all, config.secrets())
        logs.start(config.log_level, config.log_format, manager.hide)
        return Balancer(config, manager).run()
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


def _open_missing_descriptors() -> None:
    """Where 0, 1 or 2 is closed, put /dev/null there: the first pipe or socket would else be taken for it, by workers,
    too."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
