"""`lb-setup` below a folder that stands for /: nothing is run, no root is needed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lb.setup.cli import main
from lb.setup.machine import Machine

UNIT = "etc/systemd/system/lb@.service"


def files(root: Path) -> dict[str, str]:
    return {str(file.relative_to(root)): file.read_text() for file in root.rglob("*") if file.is_file()}


def setup(root: Path, *words: str) -> int:
    return main([*words, "--root", str(root)])


def test_remove_leaves_nothing_of_what_install_has_put_there(tmp_path: Path) -> None:
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    (tmp_path / "etc/systemd/system/other.service").write_text("x")
    before = files(tmp_path)
    assert setup(tmp_path, "install", "demo") == 0
    assert {UNIT, "etc/sysctl.d/60-lb.conf", "etc/lb/demo.env"} <= files(tmp_path).keys()
    assert setup(tmp_path, "remove") == 0
    assert files(tmp_path) == before
    assert not (tmp_path / "etc/lb").exists()


def test_a_second_install_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    setup(tmp_path, "install", "demo")
    before = files(tmp_path)
    capsys.readouterr()
    setup(tmp_path, "install", "demo")
    assert files(tmp_path) == before
    assert "wrote" not in capsys.readouterr().out


def test_settings_and_keys_of_the_user_s_own_are_kept_but_for_purge(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setup(tmp_path, "install", "demo")
    settings, key = tmp_path / "etc/lb/demo.env", tmp_path / "etc/lb/demo.key"
    settings.write_text("LB_URL=wss://h/\n")
    key.write_text("k\n")
    setup(tmp_path, "install", "demo")
    assert settings.read_text() == "LB_URL=wss://h/\n"
    for words in (["remove", "demo"], ["remove"]):
        setup(tmp_path, *words)
        assert settings.exists()
        assert key.exists()
        assert f"kept     {settings}" in capsys.readouterr().out
    setup(tmp_path, "remove", "--purge")
    assert files(tmp_path) == {}


def test_a_unit_that_was_edited_is_neither_replaced_nor_deleted(tmp_path: Path) -> None:
    setup(tmp_path, "install")
    unit = tmp_path / UNIT
    unit.write_text("mine")
    setup(tmp_path, "install")
    assert unit.read_text() == "mine"
    setup(tmp_path, "remove")
    assert files(tmp_path).keys() >= {UNIT}
    assert unit.read_text() == "mine"


def test_an_upgrade_replaces_what_is_as_it_was_written(tmp_path: Path) -> None:
    setup(tmp_path, "install", "--bin", "/opt/old/bin")
    setup(tmp_path, "install", "--bin", "/opt/new/bin")
    unit = (tmp_path / UNIT).read_text()
    assert "/opt/old" not in unit
    assert "ExecStart=/opt/new/bin/lb " in unit


def test_the_other_way_to_large_pipes_takes_the_place_of_the_first(tmp_path: Path) -> None:
    drop_in = "etc/systemd/system/lb@.service.d/10-capability.conf"
    setup(tmp_path, "install")
    setup(tmp_path, "install", "--large-pipes", "capability")
    assert drop_in in files(tmp_path)
    assert "etc/sysctl.d/60-lb.conf" not in files(tmp_path)
    setup(tmp_path, "install")
    assert drop_in not in files(tmp_path)
    assert "etc/sysctl.d/60-lb.conf" in files(tmp_path)


def test_settings_are_root_s_alone(tmp_path: Path) -> None:
    setup(tmp_path, "install", "demo")
    assert (tmp_path / "etc/lb/demo.env").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / UNIT).stat().st_mode & 0o777 == 0o644


def test_what_is_written_is_whole_or_not_there(tmp_path: Path) -> None:
    machine = Machine(tmp_path, print)
    machine.write("/etc/a", "one", 0o644)
    (tmp_path / "etc/a").chmod(0o400)
    machine.write("/etc/a", "two", 0o644)
    assert files(tmp_path) == {"etc/a": "two"}


@pytest.mark.parametrize("name", ["../x", "a/b", "", "a b", "-x", "x@y"])
def test_a_name_that_systemd_would_need_escapes_for_is_none(name: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        setup(tmp_path, "install", "--", name)
    assert ended.value.code == 64
    assert files(tmp_path) == {}


def test_only_root_may_change_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    if os.geteuid() == 0:
        pytest.skip("this is root: the machine would be changed")
    assert main(["install"]) == 77
    assert "root is needed" in capsys.readouterr().err
