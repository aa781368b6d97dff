"""Builds lb.slots.spawn._spawn with cffi, out of line. Never imported at run time."""

import re
from pathlib import Path

from cffi import FFI

CSRC = Path("lb/slots/spawn/csrc")  # relative to setup.py, as setuptools wants sources

(declarations,) = re.findall(r"/\* cffi: begin \*/(.*?)/\* cffi: end \*/", (CSRC / "spawn.h").read_text(), re.DOTALL)

ffibuilder = FFI()
ffibuilder.cdef(declarations)
ffibuilder.set_source(
    "lb.slots.spawn._spawn",
    '#include "spawn.h"',
    sources=[str(CSRC / "spawn.c")],
    include_dirs=[str(CSRC)],
    depends=[str(CSRC / "spawn.h")],
    extra_compile_args=["-std=c11", "-O2", "-D_GNU_SOURCE", "-Wall", "-Wextra"],
)
