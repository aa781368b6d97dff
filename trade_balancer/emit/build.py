"""Builds trade_balancer.emit._send with cffi, out of line. Never imported at run time.

Law: one text serves the C compiler and cffi. The header marks its declarations between two comments.
"""

import re
from pathlib import Path

from cffi import FFI

CSRC = Path("trade_balancer/emit/csrc")  # relative to setup.py, as setuptools wants sources

(DECLARATIONS,) = re.findall(r"/\* cffi: begin \*/(.*?)/\* cffi: end \*/", (CSRC / "send.h").read_text(), re.DOTALL)

ffibuilder = FFI()
ffibuilder.cdef(DECLARATIONS)
ffibuilder.set_source(
    "trade_balancer.emit._send",
    '#include "send.h"\n',
    sources=[str(CSRC / "send.c")],
    include_dirs=[str(CSRC)],
    depends=[str(CSRC / "send.h")],
    extra_compile_args=["-std=c11", "-O2", "-D_GNU_SOURCE", "-Wall", "-Wextra"],
)
