"""What lb answers, as tables: by rich where it is installed and a terminal looks, else as plain aligned text.

Law: text of a feed's or a worker's is in it: none of it reaches a terminal but what can be printed.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from typing import Any

_PIPE = {
    "pipe": "pipe",
    "written": "written_total",
    "waiting": "waiting_records",
    "dropped": "dropped_total",
    "in the pipe (bytes)": "backlog_bytes",
}
_READER = {
    "reader": "reader",
    "topics": "topics",
    "offered": "offered_total",
    "delivered": "delivered_total",
    "waiting": "waiting_records",
    "dropped": "dropped_total",
}
_SLOT = {"slot": "slot", "state": "state", "pid": "pid", "paused": "paused", "starts": "starts_total", "says": "says"}


def show(verb: str, result: Mapping[str, Any]) -> None:
    """Print the answer to a verb. What has nothing to say prints nothing."""
    if verb == "status":
        _show_status(result)
    if verb == "upgrade":
        print(_line("upgraded", result))
    for topic, word in result.get("topics", {}).items():
        print(printable(f"{topic} {word}"))
    for text in result.get("said", []):
        print(printable(f"the feed says: {text}"))


def show_event(event: Mapping[str, Any]) -> None:
    """Print what was pushed, as a line."""
    values = dict(event)
    name = values.pop("name", "")
    if name == "status":
        balance, session = values.get("balance", {}), values.get("session", {})
        said = {"session": session.get("state"), **{key: value for key, value in balance.items() if key != "per_pipe"}}
        print(_line("status", said), flush=True)
    else:
        head = f"{values.pop('level', '')} {values.pop('message', name)}"
        print(_line(head, values), flush=True)


def _show_status(status: Mapping[str, Any]) -> None:
    lb, session, balance = status["lb"], dict(status["session"]), status["balance"]
    print(_line("lb", {**lb, "restarts": status["restarts_total"]}))
    session.pop("sessions", None)  # what was, one by one: the page shows it
    print(_line("session", {key: value for key, value in session.items() if value not in ([], {}, "", None)}))
    print(_line("balance", {key: value for key, value in balance.items() if not isinstance(value, list)}))
    _table(_SLOT, status["slots"])
    _table(_PIPE, status["pipes"])
    _table(_READER, [{**reader, "topics": _word(reader["topics"][:3])} for reader in status["readers"]])


def _table(columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    cells = [[_cell(row.get(key)) for key in columns.values()] for row in rows]
    if sys.stdout.isatty() and importlib.util.find_spec("rich"):
        _rich_table(list(columns), cells)
        return
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    print()
    for row in [list(columns), *cells]:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _rich_table(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for head in heads:
        table.add_column(head, justify="right")
    for row in cells:
        table.add_row(*map(Text, row))
    Console().print(table)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    return printable("" if value is None else str(value))


def _line(head: str, values: Mapping[str, Any]) -> str:
    return printable(" ".join([head, *(f"{name}={_word(value)}" for name, value in values.items())]))


def _word(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(_word, value))
    if isinstance(value, dict):
        return ",".join(f"{name}:{_word(one)}" for name, one in value.items())
    text = str(value)
    return repr(text) if not text or " " in text else text


def printable(text: str) -> str:
    """Nothing in it moves a terminal's cursor."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
