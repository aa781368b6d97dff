"""Builds trade_balancer.columnar._columns with cffi, out of line. Never imported at run time.

Law: one text serves the C compiler and cffi. Each header marks its declarations between two comments; nothing is
declared twice.
"""

import re
from pathlib import Path

from cffi import FFI

CSRC = Path("trade_balancer/columnar/csrc")  # relative to setup.py, as setuptools wants sources
HEADERS = ["columns.h", "bars.h", "recording.h", "pgcopy.h"]

_DECLARATIONS = re.compile(r"/\* cffi: begin \*/(.*?)/\* cffi: end \*/", re.DOTALL)


def declarations(header: Path) -> str:
    (text,) = _DECLARATIONS.findall(header.read_text())
    return str(text)


ffibuilder = FFI()
for name in HEADERS:
    ffibuilder.cdef(declarations(CSRC / name))
ffibuilder.set_source(
    "trade_balancer.columnar._columns",
    "".join(f'#include "{name}"\n' for name in HEADERS),
    sources=[str(source) for source in sorted(CSRC.glob("*.c"))],
    include_dirs=[str(CSRC)],
    depends=[str(header) for header in sorted(CSRC.glob("*.h"))],
    extra_compile_args=["-std=c11", "-O2", "-D_GNU_SOURCE", "-Wall", "-Wextra"],
)
