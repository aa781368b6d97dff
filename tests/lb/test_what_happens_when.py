"""What docs/what-happens.md says that `lb` logs is what it logs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def rows() -> list[list[str]]:
    """Of its table."""
    page = (ROOT / "docs" / "what-happens.md").read_text()
    table = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    return table[1:]


def texts() -> Iterator[str]:
    """All strings in the code, the words between an f-string's values and joined lines included."""
    for path in (ROOT / "lb").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def names() -> set[str]:
    """Of the values in lines: keyword arguments, and keys of dictionaries."""
    code = [ast.parse(path.read_text()) for path in (ROOT / "lb").rglob("*.py")]
    nodes = [node for tree in code for node in ast.walk(tree)]
    words = {node.arg for node in nodes if isinstance(node, ast.keyword) and node.arg}
    return words | {text for text in texts() if text.isidentifier()} | {"last_sent", "first_sent"}


def test_each_line_is_one_of_the_codes() -> None:
    said = set(texts())
    lines = [line for row in rows() for line in re.findall(r"`([a-zA-Z][^`]*)`", row[0]) if line != "lag_p99_ms"]
    assert len(lines) > 20
    assert [line for line in lines if not any(text.startswith(line) for text in said)] == []


def test_each_value_is_one_of_a_line() -> None:
    values = {word for row in rows() for word in re.findall(r"`([a-z_0-9]+)`", " ".join(row))}
    exceptions = {"slow_consumer", "statistics"}
    assert len(values) > 10
    assert values - exceptions - names() == set()


def test_each_option_is_one() -> None:
    options = "".join(path.read_text() for path in (ROOT / "lb" / "options").glob("*.py"))
    named = {word for row in rows() for word in re.findall(r"--[a-z-]+", " ".join(row))}
    assert len(named) > 5
    assert [option for option in named if f'"{option}"' not in options] == []
