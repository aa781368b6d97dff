"""Who may import whom: the layers of the project, read from its own sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import lb

ROOT = Path(lb.__file__).resolve().parents[1]
BALANCER_SIDE = [file for file in sorted((ROOT / "lb").rglob("*.py")) if "replay" not in file.parts]


def imports_of(file: Path) -> Iterator[str]:
    """Every module that the file imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{file}: imports are absolute"
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def importers(files: list[Path], *packages: str) -> set[str]:
    """Which of the files import one of the packages or something of it, relative to the root."""
    return {
        str(file.relative_to(ROOT))
        for file in files
        for name in imports_of(file)
        if any(name == package or name.startswith(f"{package}.") for package in packages)
    }


@pytest.mark.parametrize(("package", "strangers"), [("workers", ["lb", "ktls"]), ("ktls", ["lb", "workers"])])
def test_a_package_that_stands_alone(package: str, strangers: list[str]) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    assert importers(files, *strangers) == set()


def test_lb_knows_no_worker() -> None:
    assert importers(BALANCER_SIDE, "workers", "lb.replay") == set()


def test_only_the_session_speaks_tls_and_websocket() -> None:
    users = importers(BALANCER_SIDE, "ssl", "websocket", "ktls")
    assert all(user.startswith("lb/session/") for user in users), users


def test_only_the_supervisor_spawns() -> None:
    users = importers(BALANCER_SIDE, "lb.spawn", "subprocess", "multiprocessing")
    assert {user for user in users if not user.startswith("lb/spawn/")} == {"lb/supervisor.py"}


def test_only_the_balancer_knows_the_parts() -> None:
    parts = ["lb.feed", "lb.supervisor", "lb.pipes", "lb.signals", "lb.metrics"]
    assert importers(BALANCER_SIDE, *parts) <= {"lb/balancer.py"}


@pytest.mark.parametrize(
    "pure", ["lb/backoff.py", "lb/config.py", "lb/errors.py", "lb/metrics.py", "lb/feeds/polygon.py"]
)
def test_what_is_pure_imports_nothing_that_does_io(pure: str) -> None:
    for name in ("os", "socket", "select", "subprocess", "time", "pathlib", "signal"):
        assert importers([ROOT / pure], name) == set(), name
