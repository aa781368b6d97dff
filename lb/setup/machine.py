"""The machine that lb-setup changes, or the folder of a packager, in which nothing runs.

Law: every change is said, one line each, before the next one is begun.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

SYSCTLS = Path("/proc/sys")


class SetupError(Exception):
    """Why it can't go on."""

    exit_code = os.EX_UNAVAILABLE


class NotRoot(SetupError):
    exit_code = os.EX_NOPERM


class Machine:
    """`root`: what stands for `/`. `say`: takes a line."""

    def __init__(self, root: Path, say: Callable[[str], None]) -> None:
        self.root = root
        self.say = say
        self.is_live = root == Path("/")
        """Whether this is the system that runs."""

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def write(self, path: str, text: str, mode: int) -> None:
        file = self.at(path)
        file.parent.mkdir(0o755, parents=True, exist_ok=True)
        part = file.with_name(f".{file.name}.part")
        part.touch(mode)
        part.chmod(mode)
        part.write_text(text)
        part.rename(file)
        self.say(f"wrote    {file}")

    def delete(self, path: str) -> None:
        """A file or a folder with all that is in it; and folders of ours that are empty then."""
        file = self.at(path)
        if file.is_dir() and not file.is_symlink():
            shutil.rmtree(file)
        elif file.is_symlink() or file.exists():
            file.unlink()
        else:
            return
        self.say(f"deleted  {file}")
        folder = file.parent
        while folder.name in ("lb", "lb@.service.d") and not any(folder.iterdir()):
            folder.rmdir()
            self.say(f"deleted  {folder}")
            folder = folder.parent

    def run(self, *command: str) -> bool:
        """Only on the live system. Returns whether it was there to be run, and went well."""
        if not self.is_live or shutil.which(command[0]) is None:
            return False
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        words = " ".join((done.stderr or done.stdout).split())
        self.say(f"ran      {' '.join(command)}" + (f": {words}" if done.returncode else ""))
        return done.returncode == 0

    def ask(self, *command: str) -> str:
        """What it prints; nothing where it is not there, or this is no live system."""
        if not self.is_live or shutil.which(command[0]) is None:
            return ""
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def systemd_version(self) -> int:
        """0 where there is none."""
        words = self.ask("systemctl", "--version").split()
        return int(words[1]) if words[1:2] and words[1].isdecimal() else 0

    def read_sysctl(self, name: str) -> str:
        return (SYSCTLS / name.replace(".", "/")).read_text().strip()

    def write_sysctl(self, name: str, value: str) -> None:
        (SYSCTLS / name.replace(".", "/")).write_text(value)
        self.say(f"set      {name} = {value}")


def require_root(machine: Machine) -> None:
    """Raises NotRoot where the live system is to be changed by somebody else."""
    if machine.is_live and os.geteuid() != 0:
        raise NotRoot("root is needed: sudo lb-setup ..., or --root FOLDER")
