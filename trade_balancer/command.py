"""The command line of the SDK's programs: exit code 64 for what it does not allow, and the words that many have."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from typing import NoReturn

from trade_balancer.errors import WorkerError, report


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(os.EX_USAGE, f"{self.prog}: {message}\n")


def exit_code_of(work: Callable[[], int]) -> int:
    """What the program ends with: what `work` returns, 0 at a ^C, the error's code where it fails, 74 where nobody
    reads its output any more."""
    try:
        return work()
    except KeyboardInterrupt:
        return 0
    except WorkerError as fault:
        return report(fault)
    except BrokenPipeError:
        forget_output()
        return os.EX_IOERR


def natural(text: str) -> int:
    """The type of an option that is a number from 0 on."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is below 0")
    return number


def topics_of(words: Iterable[str]) -> list[str]:
    """Topics, one a word or several with commas between."""
    return [topic for word in words for topic in word.split(",") if topic]


def forget_output() -> None:
    """Whoever read standard output has had enough: what is still in its buffer goes nowhere, or the interpreter's end
    would fail on it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
