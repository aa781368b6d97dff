"""The two import names of the SDK."""

from __future__ import annotations

from pathlib import Path

import pytest
from feeding import framed, run_worker

import trade_balancer
import workers
from trade_balancer import typed


def test_both_names_give_the_same_objects() -> None:
    assert workers.__all__ == trade_balancer.__all__
    for name in [*trade_balancer.__all__, *set(typed.__all__) - {"decode"}]:
        assert getattr(workers, name) is getattr(trade_balancer, name)
    for package in (workers, trade_balancer):
        with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
            package.Nothing  # noqa: B018


def test_a_project_with_a_package_called_workers_uses_the_sdk_by_its_unmistakable_name(tmp_path: Path) -> None:
    own = tmp_path / "workers"
    own.mkdir()
    (own / "__init__.py").write_text("PRICE = 'p'\n")
    script = tmp_path / "worker.py"
    script.write_text(
        "from trade_balancer import run\n"
        "from workers import PRICE\n"
        "run(lambda record, fd: print(record[PRICE]))\n"
        "import trade_balancer.bars, trade_balancer.count\n"
    )
    ended = run_worker([script], [framed([b'{"p":1.5}'])])
    assert (ended.code, ended.err, ended.out) == (0, "", "1.5\n")
