"""Builds the C parts; everything else about the package is in pyproject.toml."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Distribution, Extension, setup
from setuptools.command.build_ext import build_ext


class BuildWithTools(build_ext):
    """Says what is missing, all of it, where setuptools would show a compiler's first error."""

    def run(self) -> None:
        compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
        header = Path(sysconfig.get_path("include")) / "Python.h"
        missing = []
        if not shutil.which(compiler):
            missing.append((f"a C compiler ({compiler})", "gcc libc6-dev"))
        if not header.exists():
            missing.append((f"Python's headers ({header})", "python3-dev"))
        if missing:
            things, packages = zip(*missing, strict=True)
            raise SystemExit(
                f"trade-balancer needs {' and '.join(things)}"
                f" - on Debian and Ubuntu: sudo apt-get install {' '.join(packages)}"
            )
        super().run()


class WritePages(Distribution().get_command_class("install_data")):  # setuptools has no other name for it
    """Manual pages and the shells' completions, from the parsers of the commands that were just built."""

    def run(self) -> None:
        built = self.get_finalized_command("build_ext")
        packages = "." if built.inplace else built.build_lib
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([packages, *filter(None, sys.path)])}
        subprocess.run([sys.executable, "scripts/pages.d", self.install_dir], env=environment, check=True)


# All C parts keep to Python's stable ABI: one wheel for 3.11 and all later ones. A free-threaded Python has none.
has_abi3 = not sysconfig.get_config_var("Py_GIL_DISABLED")


def extension(name: str, sources: list[str], **options: list[str]) -> Extension:
    return Extension(
        name,
        sources,
        define_macros=[("Py_LIMITED_API", "0x030b0000")] if has_abi3 else [],
        py_limited_api=has_abi3,
        extra_compile_args=["-std=c11", "-O2", "-D_GNU_SOURCE", "-Wall", "-Wextra"],
        **options,
    )


JSON = "trade_balancer/columnar/csrc"  # the reader of JSON is the column decoder's
LEDGER = "trade_balancer/ledger/csrc"
frames = extension("trade_balancer._frames", ["trade_balancer/csrc/frames.c"])
validation = extension(
    "trade_balancer.ledger._validation",
    [f"{LEDGER}/module.c", f"{LEDGER}/validation.c", f"{JSON}/json.c", f"{JSON}/number.c"],
    include_dirs=[JSON],
    depends=[f"{LEDGER}/validation.h", f"{JSON}/json.h", f"{JSON}/number.h", f"{JSON}/text.h"],
)

setup(
    cmdclass={"build_ext": BuildWithTools, "install_data": WritePages},
    data_files=[("share", [])],  # what they are is known once they are written
    cffi_modules=[
        "lb/pump/build.py:ffibuilder",
        "lb/slots/spawn/build.py:ffibuilder",
        "ktls/build.py:ffibuilder",
        "trade_balancer/columnar/build.py:ffibuilder",
        "trade_balancer/books/build.py:ffibuilder",
        "trade_balancer/kafka/build.py:ffibuilder",
        "trade_balancer/emit/build.py:ffibuilder",
    ],
    ext_modules=[frames, validation],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if has_abi3 else {},
)
