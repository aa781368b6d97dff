"""What the README, the docstrings and docs/ show is run as it stands there."""

from __future__ import annotations

import ast
import importlib
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from feeding import ROOT, Finished, framed, run_worker
from harness import Lb, replay
from need import need

import trade_balancer

README = (ROOT / "README.md").read_text()
WORKERS = (ROOT / "docs" / "workers.md").read_text()
EXAMPLE = ROOT / "examples" / "large_trades.py"
READERS = ROOT / "docs" / "readers"

TRADE = b'{"ev":"T","sym":"BRK.A","p":713000.5,"s":2,"t":1781622376036}'
QUOTE = b'{"ev":"Q","sym":"AAPL","bp":1.5,"t":1781622376036}'


def python_in(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


def snippets() -> list[str]:
    return python_in(WORKERS)


PRINTED = [
    r"BRK\.A 713000\.5 2\n" * 2,
    rf"({2 * len(TRADE + QUOTE) // 2} bytes from \d+\n){{2}}",
    r"(process \d+ has (BRK\.A|AAPL)\n){4}",
    r"(2 records from \d+\n){2}",
    r"((BRK\.A|AAPL)\n){4}",
    r"(BRK\.A trades for 1426001\.0\nAAPL is bid 1\.5\n){2}",
    r"(1 trades for 1426001\.0 dollars; 0 other records\n){2}",
]


def on_two_pipes(command: Path) -> Finished:
    return run_worker([command], [framed([TRADE, QUOTE])] * 2)


def test_every_snippet_of_the_page_on_workers_has_its_output_here() -> None:
    assert len(snippets()) == len(PRINTED)


@pytest.mark.parametrize("number", range(len(PRINTED)))
def test_a_snippet_of_the_page_on_workers_runs_as_it_stands_there(number: int, tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(snippets()[number])
    ended = on_two_pipes(script)
    assert (ended.code, ended.err) == (0, "")
    assert re.fullmatch(PRINTED[number], ended.out), ended.out


COLUMNS = [r"(BRK\.A 1426001\.0 at 1781622376036 ms\n){2}", r"(BRK\.A 2\.0\n){2}"]


def snippets_on_columns() -> list[str]:
    return python_in((ROOT / "docs" / "columns.md").read_text())


@pytest.mark.parametrize("number", range(len(COLUMNS)))
def test_a_snippet_of_the_page_on_columns_runs_as_it_stands_there(number: int, tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(snippets_on_columns()[number])
    assert len(snippets_on_columns()) == len(COLUMNS)
    ended = on_two_pipes(script)
    assert (ended.code, ended.err) == (0, "")
    assert re.fullmatch(COLUMNS[number], ended.out), ended.out


def test_the_snippets_are_typed(tmp_path: Path) -> None:
    """As strictly as mypy can see it, without this project's own settings."""
    for number, text in enumerate([*snippets(), *snippets_on_columns()]):
        (tmp_path / f"snippet_{number}.py").write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={ROOT / '.mypy_cache'}", "."]
    checked = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"MYPYPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_first_snippet_is_the_file_that_the_readme_and_the_page_name() -> None:
    assert [snippets()[0]] == python_in(README) == [EXAMPLE.read_text()]


def test_the_example_runs_by_its_own_name() -> None:
    """By its interpreter line and mode, as the README's command runs it."""
    read_end, write_end = os.pipe()
    os.write(write_end, framed([TRADE, QUOTE]))
    os.close(write_end)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ended = subprocess.run(
        [EXAMPLE, str(read_end)], pass_fds=[read_end], env={"PATH": path}, capture_output=True, text=True, check=False
    )
    os.close(read_end)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "BRK.A 713000.5 2\n", "")


def test_the_commands_of_the_readme_show_it_at_work() -> None:
    """As they stand there, but for the port and the key; the page on workers has the same."""
    feed = re.search(r"`lb-replay (.*) --port \d+`", README)
    balancer = re.search(r"^    lb demo ws://127\.0\.0\.1:\d+/stocks (\d+) (\S+) (examples/\S+)$", README, re.MULTILINE)
    assert feed
    assert balancer
    assert feed[0] in WORKERS
    assert balancer[0] in WORKERS
    pipes, directory, worker = balancer.groups()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with (
        replay(*feed[1].split()) as server,
        Lb(server.url, pipes, worker=[worker], directory=directory, environment={"PATH": path}, cwd=ROOT) as lb,
    ):
        assert re.match(rb"\S+ [\d.]+ \d+\n", lb.await_output())
        lb.stop()
        assert lb.await_line("worker ended")["exit_code"] == 0


def examples_in_docstrings() -> Iterator[tuple[str, str]]:
    """Indented blocks of docstrings that import the SDK: complete workers."""
    names = [
        "trade_balancer",
        *(each.name for each in pkgutil.iter_modules(trade_balancer.__path__, "trade_balancer.")),
    ]
    for name in names:
        path = importlib.util.find_spec(name)
        assert path
        assert path.origin
        if not path.origin.endswith(".py"):
            continue
        for node in ast.walk(ast.parse(Path(path.origin).read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                for block in re.findall(r"(?:^(?:    .*)?\n)+", (ast.get_docstring(node) or "") + "\n", re.MULTILINE):
                    if "trade_balancer import" in block or "import trade_balancer" in block:
                        yield f"{name}.{getattr(node, 'name', '')}", textwrap.dedent(block)


def test_there_are_examples_in_docstrings() -> None:
    assert {name for name, _ in examples_in_docstrings()} >= {"trade_balancer."}


@pytest.mark.parametrize(("name", "text"), list(examples_in_docstrings()))
def test_an_example_in_a_docstring_runs(name: str, text: str, tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(text)
    ended = on_two_pipes(script)
    assert (ended.code, ended.err) == (0, ""), text
    assert ended.out != ""


COMPILED_BY = {
    "c": ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"],
    "go": ["go", "build", "-o"],
    "rs": ["rustc", "-O", "-D", "warnings", "-o"],
}


VERSION_OF = {"go": ["go", "version"], "rs": ["rustc", "--version"]}


def _runs(*command: str) -> bool:
    """Whether the program is there and works: rustup's rustc is there without a toolchain, too."""
    return (
        shutil.which(command[0]) is not None
        and not subprocess.run(command, capture_output=True, check=False).returncode
    )


@pytest.fixture(scope="module", params=COMPILED_BY)
def reader(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader of docs/pipe-protocol.md, compiled."""
    command = COMPILED_BY[request.param]
    if command[0] == "gcc":
        need("gcc")
    elif not _runs(*VERSION_OF[request.param]):
        pytest.skip(f"NOT TESTED here, for want of {command[0]}")
    program = tmp_path_factory.mktemp("reader") / "reader"
    source = READERS / f"reader.{request.param}"
    subprocess.run([*command, str(program), str(source)], check=True, cwd=program.parent)
    return program


def read_by(reader: Path, streams: list[bytes]) -> tuple[int, list[bytes]]:
    """Its exit code, and its lines, sorted: those of several pipes come in any order."""
    ended = run_worker([reader], streams, program=[])
    return ended.code, sorted(ended.out.encode().splitlines())


def test_the_page_shows_the_files_that_are_tested() -> None:
    page = (ROOT / "docs" / "pipe-protocol.md").read_text()
    for name in COMPILED_BY:
        assert f"\n{(READERS / f'reader.{name}').read_text()}```\n" in page


def test_a_reader_prints_all_records_of_all_pipes(reader: Path) -> None:
    """Small ones, a thousand at once, empty ones, and such as are larger than the pipe and come in pieces."""
    pipes = [[b"%d" % number for number in range(1000)], [b""], [], [b"x" * 3_000_000, b"y" * 70_000, b"z"]]
    code, lines = read_by(reader, [framed(records) for records in pipes])
    assert code == 0
    assert lines == sorted(record for records in pipes for record in records)


def test_a_reader_tells_a_pipe_that_ended_inside_a_frame(reader: Path) -> None:
    for rest in (b"\x01", b"\x05\0\0\0", b"\x05\0\0\0abc"):
        assert read_by(reader, [framed([b"a", b"b"]) + rest, framed([b"c"])]) == (65, [b"a", b"b", b"c"])


def test_a_reader_goes_on_to_the_end_of_its_pipes_after_sigterm(reader: Path) -> None:
    read_end, write_end = os.pipe()
    with subprocess.Popen([reader, str(read_end)], pass_fds=[read_end], stdout=subprocess.PIPE) as worker:
        os.close(read_end)
        os.write(write_end, framed([b"first"]))
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"first\n"
        worker.terminate()
        os.write(write_end, framed([b"second"]))
        assert worker.stdout.readline() == b"second\n"
        os.close(write_end)
    assert worker.returncode == 0
