"""Dockerfile, compose.yaml and the sketch for Kubernetes name what there is: extras, options, files. scripts/check
lints the first two."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import lb.options
import lb.replay.options
import trade_balancer.emit.program

PROJECT = Path(__file__).parents[1]
COMPOSED: dict[str, Any] = yaml.safe_load((PROJECT / "compose.yaml").read_text())


def test_the_image_s_extras_are_the_package_s() -> None:
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"].keys()
    (named,) = re.findall(r"'\.\[(.*)\]'", (PROJECT / "Dockerfile").read_text())
    assert set(named.split(",")) == extras - {"bench", "columns", "docs", "test"}


def test_what_the_image_is_built_from_is_there() -> None:
    kept = re.findall(r"^!(.+)$", (PROJECT / ".dockerignore").read_text(), re.MULTILINE)
    assert len(kept) > 5
    assert all((PROJECT / name).exists() for name in kept)


def test_the_commands_are_understood() -> None:
    """That they work together, with a broker: tests/workers/kafka."""
    programs = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["scripts"]
    services = COMPOSED["services"]
    commands = {name: each["command"] for name, each in services.items() if each["image"] == "trade-balancer"}
    assert {"feed", "topics", "lb", "emit", "bars"} == commands.keys()
    assert all(command[0] in programs for command in commands.values())
    asked = {host for words in commands.values() for word in words for host in re.findall(r"\b([a-z]+):\d+\b", word)}
    assert asked == {"feed", "kafka"}
    assert asked < services.keys()
    assert lb.replay.options.parse(commands["feed"][1:]).synthetic
    config = lb.options.parse(commands["lb"][1:])
    assert (config.endpoint.host, config.endpoint.port) == ("feed", 8765)
    assert config.worker == "lb-kafka"


def test_what_is_mounted_is_there() -> None:
    mounted = [volume.split(":")[0] for each in COMPOSED["services"].values() for volume in each.get("volumes", ())]
    assert len(mounted) > 2
    assert all(name in COMPOSED["volumes"] or (PROJECT / name).exists() for name in mounted)


def test_the_sketch_s_commands_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LB_KEY", "secret")
    documents = yaml.safe_load_all((PROJECT / "contrib/kubernetes/trade-balancer.yaml").read_text())
    pods = [each["spec"]["template"]["spec"] for each in documents if "template" in each["spec"]]
    commands = {words[0]: words[1:] for pod in pods for words in (pod["containers"][0]["command"],)}
    assert {"lb", "lb-emit", "lb-kafka", "lb-bars"} == commands.keys()
    assert lb.options.parse(commands["lb"]).worker == "lb-kafka"
    assert trade_balancer.emit.program._parser().parse_args(commands["lb-emit"]).processes == 2
