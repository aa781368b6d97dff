"""The C programs: compiled from csrc/ into a folder that git does not see."""

import os
import shutil
import subprocess
from pathlib import Path

from harness.errors import SetupError

BENCH = Path(__file__).resolve().parents[1]
ROOT = BENCH.parents[1]
CSRC = BENCH / "csrc"
FLAGS = ("-std=c11", "-O2", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror")

_WIRE = ("websocket.c", "wire.c")
SOURCES = {
    "feeder": ("feeder.c", *_WIRE),
    "worker": ("worker.c", *_WIRE),
    "limit": ("limit.c", "balancer.c", *_WIRE),
    "one-write-per-record": ("one_write_per_record.c", "balancer.c", *_WIRE),
}
"""Program name -> its sources."""
PRIVATE_MEMORY = "private_memory.so"
"""To be preloaded."""


def build(folder: Path) -> None:
    """Compiles every program into `folder` with the compiler named by $CC, else cc.

    Raises:
        SetupError: no compiler, no OpenSSL headers, or a source that does not compile.
    """
    compiler = os.environ.get("CC", "cc")
    if not shutil.which(compiler):
        raise SetupError(f"no C compiler '{compiler}': install gcc or clang, or name one in CC")
    preloaded = ("-shared", "-fPIC")
    compile_program(compiler, folder / PRIVATE_MEMORY, [CSRC / "private_memory.c"], preloaded)
    for name, sources in SOURCES.items():
        compile_program(compiler, folder / name, [CSRC / source for source in sources], ("-lssl", "-lcrypto"))


def compile_program(compiler: str, target: Path, sources: list[Path], libraries: tuple[str, ...] = ()) -> None:
    """Compiles one program; SetupError holds the compiler's own words."""
    command = [compiler, *FLAGS, "-o", str(target), *map(str, sources), *libraries]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        hint = "\nopenssl/ssl.h: install libssl-dev" if "openssl/" in result.stderr else ""
        raise SetupError(f"{' '.join(command)}\n{result.stderr}{hint}")
