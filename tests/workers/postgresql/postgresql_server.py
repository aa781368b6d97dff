"""A server of PostgreSQL for tests and benchmark: in a temporary folder, on a socket there, of an ordinary user."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from database_server import cache, prepare

HERE = Path(__file__).parent
NOBODY = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
"""Root's servers refuse to run."""
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
"""Without the sanitizers' libraries (scripts/test --sanitize), with which it never starts."""


def programs() -> Path:
    """The folder of its programs: the machine's own, or Debian's, fetched once.

    Raises:
        UnavailableError
    """
    for installed in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if all((installed / name).exists() for name in ("postgres", "initdb", "pg_ctl")):
            return installed
    # Nobody may go into root's home.
    folder = Path("/var/cache/trade-balancer/postgresql") if NOBODY else cache("postgresql")
    return prepare(HERE / "prepare", folder) / "bin"


class Server:
    """A context manager: the folder goes with it. It listens on no port; `conninfo` says where it is.

    Raises:
        UnavailableError
    """

    def __init__(self, *, is_durable: bool = False) -> None:
        self._is_durable = is_durable
        self._programs = programs()
        self.folder = Path(tempfile.mkdtemp(prefix="lb-postgresql-"))
        if NOBODY:
            shutil.chown(self.folder, "nobody", "nogroup")
        self.conninfo = f"host={self.folder} user=lb dbname=postgres"

    def __enter__(self) -> Server:
        options = ["-U", "lb", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        self._run("initdb", *options)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if (self.folder / "data" / "postmaster.pid").exists():
            self.kill()
        shutil.rmtree(self.folder)

    def start(self) -> None:
        """Returns when it takes connections."""
        settings = f"-k {self.folder} -c listen_addresses= -c fsync={'on' if self._is_durable else 'off'}"
        self._run("pg_ctl", "start", "--wait", "--log", str(self.folder / "log"), "--options", settings)

    def kill(self) -> None:
        """All of its processes end at once, as in a crash; returns when they have."""
        self._run("pg_ctl", "stop", "--wait", "--mode", "immediate")

    def _run(self, program: str, *options: str) -> None:
        done = subprocess.run(
            [self._programs / program, "-D", self.folder / "data", *options],
            cwd=self.folder, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            **NOBODY,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
