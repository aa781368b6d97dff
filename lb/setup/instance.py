"""A look at one instance: its settings, its key, its worker, and the way to its feed. Law: changes nothing."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from lb import options
from lb.config import Config
from lb.errors import KeyUnreadable, LbError
from lb.setup.feed import look_at_feed
from lb.setup.finding import Finding, State, failed, ok, warning
from lb.setup.install import USER
from lb.setup.machine import Machine
from lb.setup.pieces import key_path, settings_path, state_path
from lb.setup.settings import variables_of, words_of
from lb.slots.program import find_program, is_program


def look_at_instance(machine: Machine, name: str) -> Iterator[Finding]:
    yield from running(machine, name)
    try:
        variables = variables_of(machine.at(settings_path(name)).read_text())
        if "LB_KEY" not in variables:
            yield (of_key := key(machine.at(key_path(name))))
            if of_key.state is State.FAILED and not machine.at(key_path(name)).exists():
                return
        config = read_config(machine, name, variables)
    except KeyUnreadable as error:
        yield failed("key", str(error), f"one line in {key_path(name)}")
        return
    except (LbError, OSError, ValueError) as error:
        remedy = f"{settings_path(name)}; lb --help"
        if isinstance(error, FileNotFoundError):
            remedy = f"lb-setup install {name}"
        elif isinstance(error, PermissionError):
            remedy = f"sudo lb-setup check {name}"
        yield failed("settings", str(error), remedy)
        return
    yield ok("settings", f"{config.pipes} pipes, {config.endpoint.url}, {', '.join(config.subscribe)}")
    if config.pipes:
        yield worker(config)
        yield folder(machine, name, config)
    yield from look_at_feed(config)


def read_config(machine: Machine, name: str, variables: Mapping[str, str]) -> Config:
    """As lb will read it. Raises LbError, OSError or ValueError."""
    words = words_of(name, variables)
    key_word = f"@{key_path(name)}"
    return options.parse([f"@{machine.at(key_path(name))}" if word == key_word else word for word in words])


def key(file: Path) -> Finding:
    """Nobody but root may read it; systemd hands it to the service."""
    try:
        about = file.stat()
    except FileNotFoundError:
        return failed("key", f"there is no {file}", f"(umask 077; cat > {file})")
    except PermissionError:
        return failed("key", f"{file} can't be looked at", "sudo lb-setup check")
    if about.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(about.st_mode)
        return failed("key", f"{file} can be read by others than its owner (mode {mode:04o})", f"chmod 600 {file}")
    if not os.access(file, os.R_OK):
        return failed("key", f"{file} can't be read by you", "sudo lb-setup check")
    return ok("key", f"{file}, mode {stat.S_IMODE(about.st_mode):04o}")


def running(machine: Machine, name: str) -> Iterator[Finding]:
    """What systemd says about it, where it has been started."""
    text = machine.ask("systemctl", "show", "-p", "ActiveState,SubState,Result,StatusText,NRestarts", f"lb@{name}")
    told = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    state = told.get("ActiveState", "inactive")
    words = f"{state} ({told.get('SubState')}), {told.get('NRestarts', '0')} restarts: {told.get('StatusText', '')}"
    if state == "failed":
        yield failed("unit", f"{words} ({told.get('Result')})", f"journalctl -u lb@{name} -p warning")
    elif state != "inactive":
        yield ok("unit", words.rstrip(": "))


def worker(config: Config) -> Finding:
    """Whether the service's user can run it. As the unit has it, the programs beside lb come first."""
    name = "worker"
    path_before = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.prefix, "bin")), os.defpath, "/usr/local/bin", "/usr/sbin"])
    try:
        path = Path(config.directory, find_program(config.worker, config.directory))
    except OSError as error:
        return failed(name, f"{config.worker}: {error.strerror}", "LB_WORKER with a path, or a program beside lb")
    finally:
        os.environ["PATH"] = path_before
    if not is_program(path):
        return failed(name, f"{path} is no program that can be run", f"LB_WORKER; chmod +x {path}")
    if not _may("-x", path):
        return failed(name, f"{path} can't be run by user {USER}", f"chmod o+rx, also of the folders above {path}")
    return ok(name, shlex.join([str(path), *config.worker_args]))


def folder(machine: Machine, name: str, config: Config) -> Finding:
    """Where it runs: the service may write to its own folder, and to those that were opened for it."""
    path = Path(config.directory)
    own = Path(state_path(name))
    if path == own:  # systemd makes it
        return ok("folder", f"{path}")
    if not path.is_dir():
        return failed("folder", f"there is no folder {path}", f"LB_DIR; mkdir {path}")
    shown = machine.ask("systemctl", "show", "--value", "-p", "ReadWritePaths", f"lb@{name}").split()
    opened = [Path(word.lstrip("-+:")) for word in shown]
    if not any(path.is_relative_to(one) for one in [own, *opened]):
        lines = f"[Service] ReadWritePaths={path}"
        if path.is_relative_to("/home") or path.is_relative_to("/root"):
            lines += " ProtectHome=read-only"
        return failed("folder", f"{path} is not open to the service", f"systemctl edit lb@{name}: {lines}")
    if not _may("-w", path):
        return warning(
            "folder", f"{path} can't be written to by user {USER}", f"chown {USER} {path}, or chgrp and chmod"
        )
    return ok("folder", f"{path}")


def _may(test: str, path: Path) -> bool:
    """Whether the service's user may, as test(1) says; where it can't be asked, yes."""
    if os.geteuid() != 0:
        return True
    try:
        return subprocess.run(["test", test, path], user=USER, group=USER, extra_groups=[], check=False).returncode == 0
    except (LookupError, OSError, ValueError):  # no such user yet
        return True
