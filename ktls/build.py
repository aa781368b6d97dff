"""Builds ktls._ktls from csrc/ with cffi. Never imported at run time.

The declarations cffi sees are cut out of the header that the C compiler sees, so the two cannot drift apart.
"""

import re
from pathlib import Path

from cffi import FFI

# setup.py wants paths relative to itself; cffi runs this file with the project's root as the working directory.
CSRC = Path("ktls/csrc")
HEADER = "ktls.h"

declarations = re.findall(r"/\* cffi: begin \*/(.*?)/\* cffi: end \*/", (CSRC / HEADER).read_text(), re.DOTALL)
if len(declarations) != 1:
    raise ValueError(f"{HEADER} has {len(declarations)} blocks between cffi markers, expected 1")

ffibuilder = FFI()
ffibuilder.cdef(declarations[0])
ffibuilder.set_source(
    "ktls._ktls",
    f'#include "{HEADER}"',
    sources=[str(CSRC / "ktls.c")],
    include_dirs=[str(CSRC)],
    depends=[str(CSRC / HEADER)],
    extra_compile_args=["-std=c11", "-O2", "-D_GNU_SOURCE", "-Wall", "-Wextra"],
)

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
