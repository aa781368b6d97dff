"""What is handed to others: the source distribution is the whole checkout and builds alone; the wheel fits every Python
from 3.11 on, and holds the packages, the pages about its commands, and nothing else."""

from __future__ import annotations

import email
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from need import need

PROJECT = Path(__file__).parent.parent
# What comes and goes beside the tests, or would stand in for MANIFEST.in: the last build's list of files (*.egg-info).
LEFT_OUT = (".git", ".venv", ".hypothesis", ".*_cache", "__pycache__", "*.egg-info")
FILES = (
    "lb/setup/files/",
    "trade_balancer/books/service/protos/",
    "trade_balancer/emit/files/",
    "trade_balancer/page/files/",
)
PACKAGES = ("ktls/", "lb/", "trade_balancer/", "workers/")


pytestmark = pytest.mark.slow  # each builds the C parts


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an environment that has what pyproject.toml wants for building and no more, as pip makes one; out of this one,
    so that nothing is fetched."""
    folder = tmp_path_factory.mktemp("builder")
    venv.create(folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    wanted = tomllib.loads((PROJECT / "pyproject.toml").read_text())["build-system"]["requires"]
    while wanted:
        distribution = metadata.distribution(re.split(r"[^\w.-]", wanted.pop())[0])
        wanted += [line for line in distribution.requires or () if "extra ==" not in line]
        for name in {path.parts[0] for path in distribution.files or ()} - {".."}:
            if not (packages / name).exists():
                (packages / name).symlink_to(distribution.locate_file(name))
    return folder / "bin" / "python"


def build(what: str, source: Path, target: Path, python: Path) -> Path:
    """`what`: sdist or wheel."""
    call = f"from setuptools import build_meta; build_meta.build_{what}({str(target)!r})"
    done = subprocess.run([python, "-c", call], cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = target.iterdir()
    return built


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, because building writes into the folder; with what was built in it."""
    folder = tmp_path_factory.mktemp("checkout") / "project"
    return Path(shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT)))


@pytest.fixture(scope="module")
def unpacked(checkout: Path, python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked."""
    archive = build("sdist", checkout, tmp_path_factory.mktemp("sdist"), python)
    folder = tmp_path_factory.mktemp("unpacked")
    subprocess.run(["tar", "-xf", archive, "-C", folder], check=True)
    (root,) = folder.iterdir()
    return root


@pytest.fixture(scope="module")
def wheel(unpacked: Path, python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", unpacked, tmp_path_factory.mktemp("wheel"), python)


def test_the_source_distribution_is_the_checkout(unpacked: Path) -> None:
    if not (PROJECT / ".git").exists():
        pytest.skip("this is no checkout, but what came of one")
    need("git")
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert set(listed.stdout.splitlines()) <= files(unpacked)


def test_nothing_that_was_built_is_in_the_source_distribution(unpacked: Path) -> None:
    assert not [name for name in files(unpacked) if re.search(r"\.(so|o|pyc)$|/_\w+\.c$|__pycache__", name)]


def test_the_wheel_fits_every_python_and_holds_the_packages_only(unpacked: Path, wheel: Path) -> None:
    assert "-cp311-abi3-linux_" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        listed = {name for name in archive.namelist() if ".dist-info/" not in name}
    pages = {name.partition(".data/data/")[2] for name in listed if ".data/data/" in name}
    names = {name for name in listed if ".data/data/" not in name}
    compiled = {name for name in names if name.endswith(".so")}
    packaged = {name for name in files(unpacked) if name.startswith(PACKAGES)}
    data = {name for name in packaged if name.endswith("/py.typed") or name.startswith(FILES)}
    assert names - compiled == data | {name for name in packaged if name.endswith((".py", ".pyi"))}
    # Each compiled module has a stub beside it.
    assert compiled == {name.replace(".pyi", ".abi3.so") for name in packaged if name.endswith(".pyi")}
    places = ("share/man/man1/{}.1", "share/bash-completion/completions/{}", "share/zsh/site-functions/_{}")
    assert pages == {place.format(command) for place in places for command in COMMANDS}


def test_the_metadata_names_the_licence_and_the_authors(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (folder,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        told = email.message_from_bytes(archive.read(f"{folder}/METADATA"))
        licence = archive.read(f"{folder}/licenses/LICENSE")
    assert (told["License-Expression"], told["Author"]) == ("Apache-2.0", "trade-balancer authors")
    assert licence == (PROJECT / "LICENSE").read_bytes()


COMMANDS = sorted(script.name for script in metadata.distribution("trade-balancer").entry_points)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    told = subprocess.run(
        [Path(sys.executable).with_name(command), "--help"], capture_output=True, text=True, check=True
    )
    assert told.stdout.startswith(f"usage: {command} ")
