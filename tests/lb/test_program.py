"""Which program a WORKER is: PATH for names, DIR for paths."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from harness import Lb, run_lb

from lb.errors import EX_UNAVAILABLE

NO_FEED = "ws://127.0.0.1:1/stocks"


def script(folder: Path, name: str, says: str, then: str = "sleep 1000") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho {says}\nexec {then}\n")
    path.chmod(0o755)
    return path


def with_path(*folders: Path | str) -> dict[str, str]:
    return {"PATH": ":".join([*map(str, folders), os.environ["PATH"]])}


def test_a_name_is_never_dirs(tmp_path: Path) -> None:
    """DIR may be a folder that others write to."""
    script(tmp_path / "dir", "worker", "DIR")
    done = run_lb("k", NO_FEED, "1", str(tmp_path / "dir"), "worker")
    assert done.returncode == EX_UNAVAILABLE
    assert "no such program in PATH (the one in DIR is ./worker): 'worker'" in done.stderr
    script(tmp_path / "bin", "worker", "PATH")
    with Lb(NO_FEED, directory=tmp_path / "dir", worker=["worker"], environment=with_path(tmp_path / "bin")) as lb:
        assert lb.await_output() == b"PATH\n"


def test_what_is_no_program_is_passed_over(tmp_path: Path) -> None:
    """A folder, too, may be executable."""
    folders = [tmp_path / name for name in ("one", "two", "three", "four")]
    (folders[0] / "worker").mkdir(parents=True)
    script(folders[1], "worker", "this is not to be run").chmod(0o644)
    script(folders[3], "worker", "the fourth")
    with Lb(NO_FEED, directory=tmp_path, worker=["worker"], environment=with_path(*folders)) as lb:
        assert lb.await_output() == b"the fourth\n"


@pytest.mark.parametrize("entry", ["bin", "./bin", ""])
def test_what_is_relative_in_path_is_seen_from_where_lb_was_started(tmp_path: Path, entry: str) -> None:
    """Not from DIR."""
    script(tmp_path / "bin", "worker", "PATH")
    script(tmp_path / "bin" / "bin", "worker", "DIR")
    started_in = tmp_path if entry else tmp_path / "bin"
    with Lb(NO_FEED, directory=tmp_path / "bin", worker=["worker"], environment=with_path(entry), cwd=started_in) as lb:
        assert lb.await_output() == b"PATH\n"


def test_a_program_that_comes_later_in_path_is_found_at_a_restart(tmp_path: Path) -> None:
    """Upgrades move programs; no name is kept."""
    first = script(tmp_path / "one", "worker", "first")
    first.write_text("#!/bin/sh\necho first\nhead -c 1 >/dev/null <&$1\n")
    script(tmp_path / "two", "worker", "second")
    folders = with_path(tmp_path / "one", tmp_path / "two")
    with Lb(NO_FEED, directory=tmp_path, worker=["worker"], environment=folders) as lb:
        assert lb.await_output() == b"first\n"
        first.unlink()
        os.kill(lb.await_line("worker started")["pid"], 9)
        assert lb.await_output(b"second\n") == b"first\nsecond\n"


@pytest.mark.parametrize(
    ("worker", "fault"),
    [("./missing", "No such file"), ("./plain", "Permission denied"), ("missing", "no such program in PATH")],
)
def test_a_reader_of_lines_that_can_not_be_run_is_told_at_the_start(tmp_path: Path, worker: str, fault: str) -> None:
    (tmp_path / "plain").touch(mode=0o644)
    done = run_lb("--frame", "lines", "k", NO_FEED, "1", str(tmp_path), worker)
    assert done.returncode == EX_UNAVAILABLE
    assert fault in done.stderr


def test_a_reader_of_lines_is_dirs_and_its_modules_are_not(tmp_path: Path) -> None:
    (tmp_path / "trade_balancer").mkdir()
    (tmp_path / "trade_balancer" / "__init__.py").write_text("raise SystemExit('this is not to be run')")
    script(tmp_path, "worker", "DIR", then="cat")
    with Lb(NO_FEED, 1, "--frame", "lines", directory=tmp_path, worker=["./worker"]) as lb:
        assert lb.await_output() == b"DIR\n"
