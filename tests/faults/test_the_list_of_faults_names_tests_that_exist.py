"""README.md beside this file: each test that it names is there, and each file of this folder stands in it."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
NAMED = re.findall(r"`([\w/]+\.py)::(\w+)`", (HERE / "README.md").read_text())


def test_each_test_that_is_named_is_there() -> None:
    assert len(NAMED) > 50
    gone = [name for path, name in NAMED if f"def {name}(" not in (HERE.parent / path).read_text()]
    assert gone == []


def test_each_line_has_a_test_or_a_reason() -> None:
    rows = [line.split("|")[1:4] for line in (HERE / "README.md").read_text().splitlines() if line.startswith("| ")]
    for fault, outcome, test in rows:
        is_head = (fault, outcome, test) == (" fault ", " outcome ", " test ")
        assert is_head or "::test_" in test or test.startswith(" not tested"), fault


def test_each_file_of_this_folder_is_named() -> None:
    files = {f"faults/{path.name}" for path in HERE.glob("test_*.py")} - {f"faults/{Path(__file__).name}"}
    assert files - {path for path, _ in NAMED} == set()
