"""Puts lb in place as a service, and takes it away.

Law: what was changed since by somebody else is his, and is neither replaced nor deleted, but for --purge. A second
install changes nothing; a remove leaves nothing but what it names.
"""

from __future__ import annotations

import pwd
import sys
from pathlib import Path

from lb.setup.ledger import Ledger, digest
from lb.setup.machine import Machine, SetupError
from lb.setup.pieces import (
    LargePipes,
    Piece,
    instance_piece,
    key_path,
    settings_path,
    shared_pieces,
    state_path,
    sysctls,
)

USER = "lb"


def install(machine: Machine, name: str | None, large_pipes: LargePipes, bin_folder: str | None = None) -> None:
    """`name`: of an instance, whose settings are begun; None: only what all share. `bin_folder`: where `lb` is; None:
    beside this program. Raises SetupError."""
    ledger = Ledger.read(machine.root)
    if machine.is_live:
        require_reachable(Path(bin_folder or sys.prefix))
    wanted = shared_pieces(bin_folder or str(Path(sys.prefix, "bin")), large_pipes)
    _put_all(machine, ledger, wanted)
    if name is not None:
        _begin_instance(machine, ledger, name)
    try:
        if machine.is_live:
            _take_effect(machine, ledger, large_pipes)
    finally:
        ledger.write(machine.root)
    if name is not None:
        _tell_next_steps(machine, name)


def remove(machine: Machine, name: str | None, *, purge: bool) -> None:
    """`name`: of the instance to end with; None: all of lb's service. `purge`: settings, keys and state, too. Raises
    SetupError where an instance runs."""
    ledger = Ledger.read(machine.root)
    names = [name] if name is not None else instances(machine)
    for each in names:
        if "active" in machine.ask("systemctl", "is-active", f"lb@{each}").split():
            raise SetupError(f"lb@{each} runs: systemctl stop lb@{each}")
    for each in names:
        _remove_instance(machine, ledger, each, purge=purge)
    if name is None:
        _remove_shared(machine, ledger, purge=purge)
    ledger.write(machine.root)
    machine.delete("/etc/lb") if _is_empty(machine.at("/etc/lb")) else None


def instances(machine: Machine) -> list[str]:
    """Those that have settings or a key."""
    folder = machine.at("/etc/lb")
    return sorted({file.stem for file in folder.glob("[!.]*") if file.suffix in (".env", ".key")})


def require_reachable(folder: Path) -> None:
    """The service's user must get there. Raises SetupError."""
    for real in {folder, Path(sys.executable).resolve()}:
        if real.is_relative_to("/root") or real.is_relative_to("/home") or real.is_relative_to("/run/user"):
            raise SetupError(
                f"{real} is in a home, which the service does not see: install lb elsewhere, "
                "such as python3 -m venv /opt/lb (with the system's python3)"
            )


def _put_all(machine: Machine, ledger: Ledger, wanted: list[Piece]) -> None:
    paths = {piece.path for piece in wanted}
    for path in [path for path in ledger.files if path not in paths and not path.startswith("/etc/lb/")]:
        _take(machine, ledger, path, purge=False)  # of an earlier version, or of another choice
    for piece in wanted:
        _put(machine, ledger, piece)


def _put(machine: Machine, ledger: Ledger, piece: Piece) -> None:
    file = machine.at(piece.path)
    wanted = digest(piece.text.encode())
    if file.exists() and digest(file.read_bytes()) == wanted:
        ledger.files[piece.path] = wanted
        machine.say(f"is there {file}")
    elif file.exists() and not ledger.is_ours(machine.root, piece.path):
        machine.say(f"kept     {file}, which was edited; delete it to have the one of this version")
    else:
        machine.write(piece.path, piece.text, piece.mode)
        ledger.files[piece.path] = wanted


def _take(machine: Machine, ledger: Ledger, path: str, *, purge: bool) -> None:
    file = machine.at(path)
    if file.exists() and not purge and not ledger.is_ours(machine.root, path):
        machine.say(f"kept     {file}, which was edited (--purge deletes it)")
        return
    ledger.files.pop(path, None)
    machine.delete(path)


def _begin_instance(machine: Machine, ledger: Ledger, name: str) -> None:
    piece = instance_piece(name)
    if machine.at(piece.path).exists():
        machine.say(f"is there {machine.at(piece.path)}")
    else:
        _put(machine, ledger, piece)


def _take_effect(machine: Machine, ledger: Ledger, large_pipes: LargePipes) -> None:
    has_user = _has_user()
    machine.run("systemd-sysusers", "/etc/sysusers.d/lb.conf")
    if not _has_user():
        raise SetupError(
            f"there is no user {USER}, and systemd-sysusers has made none: without it the service can't start"
        )
    ledger.made_user = ledger.made_user or not has_user
    if large_pipes is LargePipes.SYSCTL:
        for name, value in sysctls().items():
            before = machine.read_sysctl(name)
            if before != value:
                ledger.sysctls.setdefault(name, before)
                machine.write_sysctl(name, value)
    else:
        _restore_sysctls(machine, ledger)
    machine.run("modprobe", "tls")
    machine.run("systemctl", "daemon-reload")


def _tell_next_steps(machine: Machine, name: str) -> None:
    machine.say(f"\nNext, settings and key of lb@{name}, and a look whether it can work:")
    machine.say(f"  editor {machine.at(settings_path(name))}")
    if not machine.at(key_path(name)).exists():
        machine.say(f"  (umask 077; cat > {machine.at(key_path(name))})     # paste the key, Enter, Ctrl-D")
    machine.say(f"  lb-setup check {name}\n  systemctl enable --now lb@{name}")


def _remove_instance(machine: Machine, ledger: Ledger, name: str, *, purge: bool) -> None:
    if machine.ask("systemctl", "is-enabled", f"lb@{name}").strip() == "enabled":
        machine.run("systemctl", "disable", f"lb@{name}")
    if machine.at(settings_path(name)).exists():
        _take(machine, ledger, settings_path(name), purge=purge)
    for path in (key_path(name), state_path(name)):
        if not machine.at(path).exists():
            continue
        if purge or _is_empty(machine.at(path)):
            machine.delete(path)
        else:
            machine.say(f"kept     {machine.at(path)} (--purge deletes it)")


def _remove_shared(machine: Machine, ledger: Ledger, *, purge: bool) -> None:
    for path in list(ledger.files):
        if not path.startswith("/etc/lb/"):
            _take(machine, ledger, path, purge=purge)
    if not machine.is_live:
        return
    machine.delete("/run/lb")
    _restore_sysctls(machine, ledger)
    machine.run("systemctl", "daemon-reload")
    if not ledger.made_user:
        return
    if machine.at("/var/lib/lb").exists():
        machine.say(f"kept     user {USER}: files in /var/lib/lb are its own (--purge deletes them)")
    elif machine.run("userdel", USER):
        ledger.made_user = False


def _restore_sysctls(machine: Machine, ledger: Ledger) -> None:
    for name, before in list(ledger.sysctls.items()):
        if machine.read_sysctl(name) == sysctls().get(name):
            machine.write_sysctl(name, before)
        del ledger.sysctls[name]


def _has_user() -> bool:
    return any(entry.pw_name == USER for entry in pwd.getpwall())


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
