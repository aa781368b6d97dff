"""Another lb, whose pump is laid out otherwise: this checkout's, with two members more in the structs of the mapping.

Law: it is built from the sources, and nothing of it is pretended.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MORE = {
    "struct pump_pipe {\n": "struct pump_pipe {\n    uint64_t of_another_version[3];\n",
    "    int memory_fd;": "    uint32_t of_another_version[5];\n    int memory_fd;",
}
_BUILD = """
import runpy
builder = runpy.run_path("lb/pump/build.py")["ffibuilder"]
builder._assigned_source[3]["extra_compile_args"] = ["-std=c11", "-O1", "-D_GNU_SOURCE"]
builder.compile(tmpdir=".")
"""


def built(folder: Path) -> Path:
    """A folder for PYTHONPATH with that lb. `folder`: kept, for all processes of pytest-xdist one."""
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = folder / "made"
        if not made.exists():
            _build(folder / "part")
            (folder / "part").rename(made)
    return made


def _build(folder: Path) -> None:
    shutil.copytree(ROOT / "lb", folder / "lb", ignore=shutil.ignore_patterns("__pycache__", "_pump.*.so"))
    header = folder / "lb/pump/csrc/pump_state.h"
    text = header.read_text()
    for before, after in MORE.items():
        assert text.count(before) == 1
        text = text.replace(before, after)
    header.write_text(text)
    subprocess.run([sys.executable, "-c", _BUILD], cwd=folder, check=True, capture_output=True, env={**os.environ})
