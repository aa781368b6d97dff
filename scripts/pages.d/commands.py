"""Every command of the project, and the parser that its --help shows: manual and completion have no other source."""

from __future__ import annotations

import argparse
import importlib
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn
from unittest import mock

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


class _Asked(BaseException):
    """A command was asked for its help; no Exception, as commands turn those into words of their own."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__()
        self.parser = parser


def commands() -> Iterator[argparse.ArgumentParser]:
    """The parser of each entry point in pyproject.toml; `prog` is the command's name."""
    scripts: dict[str, str] = tomllib.loads(PYPROJECT.read_text())["project"]["scripts"]
    for name, entry_point in sorted(scripts.items()):
        yield parser_of(name, entry_point)


def parser_of(name: str, entry_point: str) -> argparse.ArgumentParser:
    """The parser that prints `NAME --help`.

    Raises:
        ValueError: the command does not answer --help by argparse.
    """

    def asked(parser: argparse.ArgumentParser, file: object = None) -> NoReturn:
        raise _Asked(parser)

    module, _, function = entry_point.partition(":")
    main = getattr(importlib.import_module(module), function)
    with (
        mock.patch.object(sys, "argv", [name, "--help"]),
        mock.patch.object(argparse.ArgumentParser, "print_help", asked),
    ):
        try:
            main()
        except _Asked as answer:
            return answer.parser
    raise ValueError(f"{name} --help is not argparse's")


def shown(parser: argparse.ArgumentParser) -> Iterator[tuple[str, list[argparse.Action]]]:
    """The groups of --help that have something to show: title and actions."""
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if action.help != argparse.SUPPRESS]
        if actions:
            yield group.title or "options", actions


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers behind a command's first word, if it has such."""
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= action.choices
    return found


def help_of(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """An action's text as --help has it, on one line."""
    return " ".join(parser._get_formatter()._expand_help(action).split()) if action.help else ""


def metavar_of(action: argparse.Action) -> str:
    """What stands for an action's value; "" where it takes none."""
    if action.nargs == 0:
        return ""
    if isinstance(action.metavar, str):
        return action.metavar
    if action.choices:
        return "|".join(map(str, action.choices))
    return action.dest.upper() if action.option_strings else action.dest
