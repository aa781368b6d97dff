"""Builds the C parts; everything else about the package is in pyproject.toml."""

import os
import shutil
import sysconfig
from pathlib import Path

from setuptools import setup
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


# What cffi makes keeps to Python's stable ABI: one wheel for 3.11 and all later ones. A free-threaded Python has none.
abi3 = {} if sysconfig.get_config_var("Py_GIL_DISABLED") else {"bdist_wheel": {"py_limited_api": "cp311"}}

setup(
    cmdclass={"build_ext": BuildWithTools},
    cffi_modules=["lb/pump/build.py:ffibuilder", "lb/slots/spawn/build.py:ffibuilder", "ktls/build.py:ffibuilder"],
    options=abi3,
)
