"""A command's manual page, in man(7)'s macros."""

from __future__ import annotations

import argparse
import os
import re
import textwrap
import time
from collections.abc import Iterator, Sequence

from commands import help_of, metavar_of, shown, subcommands

from lb.version import VERSION

WIDTH = 78
"""Columns of the synopsis, and of the page's own lines."""


def manual(parser: argparse.ArgumentParser, names: Sequence[str]) -> str:
    """The page of the command, in section 1; `names` are all commands, for SEE ALSO."""
    description = parser.description or ""
    summary = re.split(r"(?<=[^.])[.:](?:\s|$)", " ".join(description.split()))[0]
    lines = [
        f'.TH {_text(parser.prog.upper())} 1 {_date()} "trade\\-balancer {VERSION}" "trade\\-balancer"',
        ".SH NAME",
        *_filled(f"{parser.prog} - {summary}"),
        ".SH SYNOPSIS",
        *_as_it_stands(_usage(parser)),
        ".SH DESCRIPTION",
        *_paragraphs(description),
        *_words(parser),
    ]
    for name, sub in subcommands(parser).items():
        lines += [f".SH {_text(name.upper())}", *_as_it_stands(_usage(sub)), *_paragraphs(sub.description or "")]
        lines += _words(sub, ".SS")
    if parser.epilog:
        lines += [".SH NOTES", *_paragraphs(parser.epilog)]
    others = [f".BR {_text(name)} (1)" for name in names if name != parser.prog]
    return "\n".join([*lines, ".SH SEE ALSO", *(f"{other}," for other in others[:-1]), *others[-1:]]) + "\n"


def _usage(parser: argparse.ArgumentParser) -> list[str]:
    return parser.format_usage().removeprefix("usage: ").rstrip().splitlines()


def _words(parser: argparse.ArgumentParser, heading: str = ".SH") -> Iterator[str]:
    """What may stand on the command line, group by group."""
    for title, actions in shown(parser):
        yield f"{heading} {_text(title.upper())}"
        for action in actions:
            value = metavar_of(action)
            yield ".TP"
            yield _tag(action.option_strings, value)
            yield from _filled(help_of(parser, action)) or ["\\&"]


def _tag(names: Sequence[str], value: str) -> str:
    """Names in bold, what stands for a value in italics."""
    if not names:
        return f"\\fI{_text(value)}\\fR"
    behind = f" \\fI{_text(value)}\\fR" if value else ""
    return ", ".join(f"\\fB{_text(name)}\\fR{behind}" for name in names)


def _paragraphs(text: str) -> Iterator[str]:
    """Prose is filled; what is indented or in columns stays as it stands."""
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text.strip("\n"))):
        lines = paragraph.rstrip().splitlines()
        if number:
            yield ".PP"
        if any(re.search(r"^\s|\S  ", line) for line in lines):
            yield from _as_it_stands(lines)
        else:
            yield from _filled(" ".join(lines))


def _as_it_stands(lines: Sequence[str]) -> Iterator[str]:
    yield ".nf"
    yield from (_text(line) or "\\&" for line in lines)
    yield ".fi"


def _filled(text: str) -> list[str]:
    """On lines that man may break anew."""
    return [_text(line) for line in textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)]


def _date() -> str:
    """Today's, or that of who builds it reproducibly."""
    return time.strftime("%Y-%m-%d", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))))


def _text(text: str) -> str:
    """With nothing in it that means something to roff; a hyphen stays one that can be copied into a shell."""
    escaped = (
        text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("^", "\\(ha").replace("~", "\\(ti")
    )
    escaped = escaped.replace("`", "\\(ga")
    return "\\&" + escaped if escaped.startswith(".") else escaped
