"""User-mode instructions per record of the pump alone, counted one by one: a figure without noise.

csrc/pump_steps.c steps the pump through the first 256 KiB of a feed with ptrace(2). It counts what this CPU executes;
valgrind does not know AVX-512.
"""

import os
import subprocess
from pathlib import Path

from harness.errors import SetupError
from harness.feed import Feed
from harness.programs import CSRC, ROOT, compile_program

_VECTORS = ("baseline", "AVX2", "AVX-512")  # enum pump_vectors
_PIPES = 16


def pump_instructions(feed: Feed, build: Path) -> dict[str, float]:
    """Kind of vectors -> instructions per record, for AVX2 and AVX-512 as far as the CPU has them; the widest last.

    Raises:
        SetupError: the counter does not compile, or may not trace.
    """
    pump = ROOT / "lb" / "pump" / "csrc"
    program = build / "pump-steps"
    sources = [CSRC / "pump_steps.c", *sorted(pump.glob("*.c"))]
    compile_program(os.environ.get("CC", "cc"), program, sources, (f"-I{pump}",))
    counts: dict[str, float] = {}
    for number in (1, 2):
        records, instructions, used = _count(program, feed, number)
        counts[_VECTORS[used]] = instructions / records
    return counts


def _count(program: Path, feed: Feed, vectors: int) -> tuple[int, int, int]:
    command = [str(program), str(feed.path), str(_PIPES), str(vectors)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SetupError(f"{' '.join(command)} ended with status {result.returncode}\n{result.stderr[-2000:]}")
    records, instructions, used = map(int, result.stdout.split())
    return records, instructions, used
