"""Programs that some tests want and a machine may lack; scripts/setup names their packages."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import NoReturn

import pytest


def need(program: str) -> None:
    """Skip where the program is missing."""
    if shutil.which(program) is None:
        leave_untested(program)


def need_libfuzzer() -> None:
    """Skip where clang, or its library for libFuzzer, is missing."""
    need("clang")
    link = ["clang", "-x", "c", "-fsanitize=address,fuzzer-no-link", "-o", os.devnull, "-"]
    if subprocess.run(link, input=b"int main(void) { return 0; }", stderr=subprocess.DEVNULL, check=False).returncode:
        leave_untested("clang's sanitizers")


def need_plain_build(why: str) -> None:
    """Skip under scripts/test --sanitize, where `why` is not as it is without."""
    if "libasan" in os.environ.get("LD_PRELOAD", ""):
        pytest.skip(f"not with sanitizers: {why}")


def leave_untested(what: str) -> NoReturn:
    """Skip; in CI, fail: a test must not go missing there unseen."""
    text = f"NOT TESTED here, for want of {what}"
    pytest.fail(text) if os.environ.get("CI") else pytest.skip(text)
