"""Builds the C parts; everything else about the package is in pyproject.toml."""

import os
import shutil
import sysconfig
from pathlib import Path

from setuptools import setup
from setuptools.command.build_ext import build_ext


class BuildWithTools(build_ext):
    """Says what is missing, where setuptools would show a compiler's error."""

    def run(self) -> None:
        compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
        header = Path(sysconfig.get_path("include")) / "Python.h"
        if not shutil.which(compiler):
            raise SystemExit(
                f"trade-balancer needs a C compiler: {compiler!r} is missing (Debian, Ubuntu: apt install gcc)"
            )
        if not header.exists():
            raise SystemExit(
                f"trade-balancer needs Python's headers: {header} is missing (Debian, Ubuntu: apt install python3-dev)"
            )
        super().run()


setup(
    cmdclass={"build_ext": BuildWithTools},
    cffi_modules=["lb/pump/build.py:ffibuilder", "lb/slots/spawn/build.py:ffibuilder", "ktls/build.py:ffibuilder"],
)
