"""The handwritten types of the C modules name what is there: no more, no less."""

from __future__ import annotations

import ast
from pathlib import Path
from types import BuiltinFunctionType, ModuleType

import pytest

from lb.pump import _pump
from lb.slots.spawn import _spawn
from trade_balancer.books import _books
from trade_balancer.columnar import _columns
from trade_balancer.emit import _send
from trade_balancer.kafka import _kafka


@pytest.mark.parametrize("module", [_books, _columns, _kafka, _pump, _send, _spawn], ids=lambda module: module.__name__)
def test_the_stub_names_what_the_module_has(module: ModuleType) -> None:
    package, name = module.__name__.rpartition(".")[::2]
    stub = Path(__file__).parents[1].joinpath(*package.split("."), f"{name}.pyi")
    (lib,) = (
        node for node in ast.parse(stub.read_text()).body if isinstance(node, ast.ClassDef) and node.name == "_Lib"
    )
    constants = {
        node.target.id for node in lib.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    functions = {node.name for node in lib.body if isinstance(node, ast.FunctionDef)}
    assert constants | functions == set(dir(module.lib))
    assert functions == {name for name in dir(module.lib) if isinstance(getattr(module.lib, name), BuiltinFunctionType)}
