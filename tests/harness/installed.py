"""lb as an administrator installs it: in /opt/lb, which every user can read. For guests, where all is thrown away."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

PROJECT = Path(__file__).parents[2]
HOME = Path("/opt/lb")
_NEEDED = ("cffi", "_cffi_backend*", "pycparser", "orjson")
_SCRIPT = "#!{python}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n"


@functools.cache
def install_project() -> Path:
    """The folder of its commands."""
    python = _interpreter()
    subprocess.run([python, "-m", "venv", "--without-pip", HOME], check=True)
    (site,) = HOME.glob("lib/python3*/site-packages")
    for package in ("lb", "ktls", "trade_balancer", "workers"):
        shutil.copytree(PROJECT / package, site / package, ignore=shutil.ignore_patterns("__pycache__", "csrc"))
    for pattern in _NEEDED:
        for found in Path(sysconfig.get_path("platlib")).glob(pattern):
            copy = shutil.copytree if found.is_dir() else shutil.copy
            copy(found, site / found.name)
    for script in metadata.distribution("trade-balancer").entry_points:
        module, function = script.value.split(":")
        file = HOME / "bin" / script.name
        file.write_text(_SCRIPT.format(python=HOME / "bin/python", module=module, function=function))
        file.chmod(0o755)
    return HOME / "bin"


def _interpreter() -> Path:
    """One that others than root can reach: this one may be in a home."""
    base = Path(sys.base_prefix)
    name = f"bin/python3.{sys.version_info.minor}"
    if not base.is_relative_to("/usr"):
        reachable = Path("/opt/python")
        reachable.mkdir()
        subprocess.run(["mount", "--bind", base, reachable], check=True)
        base = reachable
        # What it is linked to would else be looked for in that home, and found elsewhere, in another version.
        subprocess.run(["systemctl", "set-environment", f"LD_LIBRARY_PATH={reachable}/lib"], check=True)
    return base / name
