"""The commands of compose.yaml, to be run as plain processes."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml
from feeding import ROOT
from harness.lb_process import lb_environment

_PROGRAMS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
_ANY_PORT = re.compile(r"0\.0\.0\.0:\d+")


def command(service: str, hosts: Mapping[str, str]) -> list[str]:
    """Its words: a program begins as a module, ports are any of this machine's, and what is said of a HOST:PORT of
    another service is said of what stands for it here."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    words: list[str] = []
    for word in map(str, services[service]["command"]):
        if word in _PROGRAMS:
            words += [sys.executable, "-m", _PROGRAMS[word].partition(":")[0]]
            continue
        told = _ANY_PORT.sub("127.0.0.1:0", word)
        for name, here in hosts.items():
            told = told.replace(name, here)
        words.append(told)
    return words


@contextmanager
def running(words: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        words, cwd=folder, env=lb_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()
