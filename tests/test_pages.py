"""Manual pages and completions are those of what --help shows, without a fault that roff, bash or zsh could find."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from need import need

PROJECT = Path(__file__).parents[1]
COMMANDS = sorted(tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["scripts"])


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    subprocess.run([sys.executable, "scripts/pages.d", folder], cwd=PROJECT, env=environment, check=True)
    return folder / "share"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_manual_page_has_each_option_of_the_help(command: str, share: Path) -> None:
    need("groff")
    page = share / "man" / "man1" / f"{command}.1"
    formatted = subprocess.run(
        ["groff", "-man", "-ww", "-Tascii", "-P-cbou", "-rLL=200n", page], capture_output=True, text=True, check=True
    )
    assert formatted.stderr == ""
    helped = subprocess.run(
        [Path(sys.executable).with_name(command), "--help"], capture_output=True, text=True, check=True
    )
    options = set(re.findall(r"^  (--?[a-z][\w-]*)", helped.stdout, re.MULTILINE))
    assert options
    assert options <= set(re.findall(r"--?[a-z][\w-]*", formatted.stdout))


BASH = [
    ("lb --rou", ["--route"]),
    ("lb --route r", ["round-robin"]),
    ("lb --route = s", ["symbol"]),
    ("lb --route symbol @key wss://host 4 /tm", ["/tmp"]),
    ("lb @key wss://host 4 . ba", ["bash"]),
    ("lb @key wss://host 4 . awk --rou", []),
    ("lb --once --ca-file /et", ["/etc"]),
    ("lbctl p re", ["restart", "resume"]),
    ("lb-bars --late c", ["count", "correct"]),
    ("lb-lines cat --h", []),
    ("lb-setup ch", ["check"]),
    ("lb-setup install --large-pipes c", ["capability"]),
]
"""A command line as it has been typed, and what can stand for its last word, among other things."""


@pytest.mark.parametrize(("line", "found"), BASH)
def test_bash_completes(line: str, found: list[str], share: Path) -> None:
    words = line.split()
    file = share / "bash-completion" / "completions" / words[0]
    function = "_" + re.sub(r"\W", "_", words[0])
    code = f'compopt() {{ :; }}; . "{file}"; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; {function}'
    asked = subprocess.run(
        ["bash", "-c", f'{code}; printf "%s\\n" "${{COMPREPLY[@]}}"'],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    assert asked.stderr == ""
    assert set(found) <= set(asked.stdout.split()) if found else asked.stdout.strip() == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_bash_finds_no_fault_in_a_completion(command: str, share: Path) -> None:
    subprocess.run(["bash", "-n", share / "bash-completion" / "completions" / command], check=True)


class Zsh:
    """An interactive one that completes by our files, at a terminal of ours."""

    def __init__(self, share: Path) -> None:
        pid, self._terminal = pty.fork()
        if pid == 0:
            os.execvpe("zsh", ["zsh", "-f", "-i"], {"PATH": os.environ["PATH"], "TERM": "dumb", "HOME": str(share)})
        self._pid = pid
        functions = share / "zsh" / "site-functions"
        self._type(f"stty -echo; PS1=; fpath=({functions} $fpath); autoload -U compinit; compinit -D -u\n")
        self._type("zstyle ':completion:*' list-prompt ''; LISTMAX=10000; bindkey '^I' list-choices; print RE''ADY\n")
        self.await_words({"READY"})

    def _type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def ask(self, line: str) -> None:
        self._type(f"\x15{line}\t")

    def await_words(self, words: set[str]) -> None:
        """Until all of them have been shown."""
        shown, deadline_s = "", time.monotonic() + 60
        while not words <= set(re.findall(r"[\w./-]+", shown)):
            assert time.monotonic() < deadline_s, shown
            if select.select([self._terminal], [], [], 1)[0]:
                shown += re.sub(r"\x1b\[[\d;?]*[A-Za-z]", " ", os.read(self._terminal, 65536).decode(errors="replace"))

    def close(self) -> None:
        os.close(self._terminal)
        os.waitpid(self._pid, 0)


@pytest.fixture(scope="module")
def zsh(share: Path) -> Iterator[Zsh]:
    need("zsh")
    shell = Zsh(share)
    yield shell
    shell.close()


ZSH = [
    ("lb --route ", {"round-robin", "symbol", "least-backlog"}),
    ("lb --log-f", {"--log-format"}),
    ("lb @key wss://host 4 /et", {"etc/"}),
    ("lbctl p re", {"restart", "resume"}),
    ("lb-bars --late ", {"count", "correct"}),
    *((f"{command} --h", {"--help"}) for command in COMMANDS),
]


@pytest.mark.parametrize(("line", "found"), ZSH)
def test_zsh_completes(line: str, found: set[str], zsh: Zsh) -> None:
    zsh.ask(line)
    zsh.await_words(found)
