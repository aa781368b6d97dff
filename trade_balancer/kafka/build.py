"""Builds trade_balancer.kafka._kafka with cffi, out of line. Never imported at run time.

Law: one text serves the C compiler and cffi. Each header marks its declarations between two comments; nothing is
declared twice. Nothing of librdkafka is wanted here: it is found when it is used.
"""

import re
from pathlib import Path

from cffi import FFI

CSRC = Path("trade_balancer/kafka/csrc")  # relative to setup.py, as setuptools wants sources
JSON = Path("trade_balancer/columnar/csrc")  # the reader of JSON is the column decoder's
HEADERS = [CSRC / "inbox.h", CSRC / "outbox.h", CSRC / "subject.h"]

_DECLARATIONS = re.compile(r"/\* cffi: begin \*/(.*?)/\* cffi: end \*/", re.DOTALL)


def declarations(header: Path) -> str:
    (text,) = _DECLARATIONS.findall(header.read_text())
    return str(text)


ffibuilder = FFI()
for header in HEADERS:
    ffibuilder.cdef(declarations(header))
ffibuilder.set_source(
    "trade_balancer.kafka._kafka",
    "".join(f'#include "{header.name}"\n' for header in HEADERS),
    sources=[str(source) for source in [*sorted(CSRC.glob("*.c")), JSON / "json.c", JSON / "number.c"]],
    include_dirs=[str(CSRC), str(JSON)],
    depends=[str(header) for folder in (CSRC, JSON) for header in sorted(folder.glob("*.h"))],
    libraries=["dl"],  # part of the C library since glibc 2.34
    extra_compile_args=["-std=c11", "-O2", "-D_GNU_SOURCE", "-Wall", "-Wextra"],
)
