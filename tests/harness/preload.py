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

JUMPING_CLOCK = r"""
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int looks;
    int (*const next)(clockid_t, struct timespec *) = (int (*)())dlsym(RTLD_NEXT, "clock_gettime");
    const int rc = next(clock, now);
    if (clock == CLOCK_REALTIME)
        now->tv_sec += (looks++ % 2 ? 1 : -1) * 10LL * 365 * 24 * 3600;
    return rc;
}
"""
"""The time of day jumps by years, forward and back, with every look at it."""


def preload(folder: Path, source: str) -> dict[str, str]:
    """The environment of a program in which the functions of `source` (C) stand before libc's. Skips without a C
    compiler."""
    need("cc")
    code, library = folder / "preload.c", folder / "preload.so"
    code.write_text(_HEAD + source)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, code, "-ldl"], check=True)
    first = os.environ.get("LD_PRELOAD", "")  # the sanitizers' libraries have to come first (scripts/test --sanitize)
    return {"LD_PRELOAD": f"{first} {library}".strip()}
