"""User-mode instructions per record of the pump alone, counted by valgrind's callgrind: a figure without noise.

The driver, csrc/pump_driver.c, is compiled with the pump's own sources and called as `pump_driver FEED PASSES PIPES`:
it pushes the feed file (finished frames) through the pump that many times. The difference between two counts is the
pump's alone: what the driver does once drops out.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from harness.errors import SetupError
from harness.feed import Feed
from harness.programs import CSRC, ROOT, compile_program

_DRIVER = CSRC / "pump_driver.c"
_PIPES = 16
_FEW, _MANY = 1, 3
_COLLECTED = re.compile(r"Collected\s*:\s*(\d+)")


def pump_instructions(feed: Feed, build: Path) -> float:
    """Instructions per record of `feed`.

    Raises:
        SetupError: valgrind is not installed, or the driver does not compile or run.
    """
    if not shutil.which("valgrind"):
        raise SetupError("valgrind is not installed")
    pump = ROOT / "lb" / "pump" / "csrc"
    program = build / "pump-driver"
    sources = [_DRIVER, *sorted(pump.glob("*.c"))]
    compile_program(os.environ.get("CC", "cc"), program, sources, (f"-I{pump}",))
    return (_count(program, feed, _MANY) - _count(program, feed, _FEW)) / ((_MANY - _FEW) * len(feed.records))


def _count(program: Path, feed: Feed, passes: int) -> int:
    command = [
        "valgrind",
        "--tool=callgrind",
        "--callgrind-out-file=/dev/null",
        str(program),
        str(feed.path),
        str(passes),
    ]
    result = subprocess.run([*command, str(_PIPES)], capture_output=True, text=True, check=False)
    collected = _COLLECTED.search(result.stderr)
    if result.returncode or not collected:
        raise SetupError(f"{' '.join(command)} ended with status {result.returncode}\n{result.stderr[-2000:]}")
    return int(collected[1])
