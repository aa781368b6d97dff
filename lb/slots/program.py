"""Which program a WORKER is, and what runs it.

Law: a name without a slash is looked for in PATH alone, as execvp(3) does: a folder that others may write to, such as
DIR may be, is no place to find programs in.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path


def find_program(worker: str, directory: str) -> str:
    """The path to run. One with a slash is as it was given, seen from `directory`; one of PATH is absolute.

    Raises FileNotFoundError.
    """
    if "/" in worker:
        return worker
    for folder in os.get_exec_path():
        path = Path(folder).absolute() / worker  # here and now: the worker's own directory is another
        if is_program(path):
            return str(path)
    hint = f" (the one in DIR is ./{worker})" if is_program(Path(directory, worker)) else ""
    raise FileNotFoundError(errno.ENOENT, f"no such program in PATH{hint}", worker)


def line_reader(worker: str, directory: str, arguments: Sequence[str]) -> list[str]:
    """The command by which lb-lines runs a WORKER that reads lines; the pipes' numbers follow it.

    lb-lines itself can be started always, so what it is to run is looked at here. Raises OSError.
    """
    path = find_program(worker, directory)
    if not Path(directory, path).exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    if not is_program(Path(directory, path)):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    # -P: DIR, where it runs, is no place to find modules in
    return [sys.executable, "-P", "-m", "trade_balancer.lines", path, *arguments, "--"]


def is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
