"""Builds lb.pump._pump with cffi, out of line. Never imported at run time.

Law: one text serves the C compiler and cffi. Each header marks its declarations between two comments; nothing is
declared twice.
"""

import re
import zlib
from pathlib import Path

from cffi import FFI

CSRC = Path("lb/pump/csrc")  # relative to setup.py, as setuptools wants sources
HEADERS = ["pump_rc.h", "layouts.h", "pump.h"]

_DECLARATIONS = re.compile(r"/\* cffi: begin \*/(.*?)/\* cffi: end \*/", re.DOTALL)


def declarations(header: Path) -> str:
    (text,) = _DECLARATIONS.findall(header.read_text())
    return str(text)


_MAPPED = "pump pump_state scan utf8 spill_state retain mapping ring reader topics readers checkpoint"
"""What says how the pump's mapping is laid out."""
_COMMENTS = re.compile(r"/\*.*?\*/", re.DOTALL)


def description() -> int:
    """A checksum of those, but for comments and white space: of another one, no mapping can be adopted."""
    texts = (" ".join(_COMMENTS.sub(" ", (CSRC / f"{name}.h").read_text()).split()) for name in _MAPPED.split())
    return zlib.crc32("\n".join(texts).encode())


ffibuilder = FFI()
for name in HEADERS:
    ffibuilder.cdef(declarations(CSRC / name))
ffibuilder.set_source(
    "lb.pump._pump",
    "".join(f'#include "{name}"\n' for name in HEADERS),
    sources=[str(source) for source in sorted(CSRC.glob("*.c"))],
    include_dirs=[str(CSRC)],
    define_macros=[("PUMP_MAPPING_DESCRIPTION", f"{description()}U")],
    depends=[str(header) for header in sorted(CSRC.glob("*.h"))],
    extra_compile_args=["-std=c11", "-O2", "-D_GNU_SOURCE", "-Wall", "-Wextra"],
)
