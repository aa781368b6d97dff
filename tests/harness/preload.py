"""System calls of a process held up or changed at one place, by a library that is loaded before libc (ld.so(8))."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from need import need

_HEAD = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
"""


def preload(folder: Path, source: str) -> dict[str, str]:
    """The environment of a program in which the functions of `source` (C) stand before libc's. Skips without a C
    compiler."""
    need("cc")
    code, library = folder / "preload.c", folder / "preload.so"
    code.write_text(_HEAD + source)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, code, "-ldl"], check=True)
    first = os.environ.get("LD_PRELOAD", "")  # the sanitizers' libraries have to come first (scripts/test --sanitize)
    return {"LD_PRELOAD": f"{first} {library}".strip()}
