"""A limit of memory (ulimit -v) that is too low for what was asked: the pump maps all it may ever need before a session
begins, so lb ends then and not amid the market's day."""

from __future__ import annotations

import subprocess
import sys

from harness import lb_environment
from need import need_plain_build

LIMIT_BYTES = 2 << 30


def test_the_exit_code_is_70_and_the_number_of_pipes_is_named() -> None:
    need_plain_build("they map terabytes")
    lb = [sys.executable, "-m", "lb", "--max-frame-bytes", str(1 << 27)]
    words = ["k", "ws://127.0.0.1:1/", "64", ".", "/bin/true"]
    limited = ["prlimit", f"--as={LIMIT_BYTES}", *lb, *words]
    done = subprocess.run(limited, env=lb_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 70, done.stderr
    assert "no memory for 64 pipes: Cannot allocate memory" in done.stderr
    assert "Traceback" not in done.stderr
