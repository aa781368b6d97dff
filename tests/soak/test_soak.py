"""The soak: a short one is survived, and its worker notices what lb must never do."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "scripts/soak.d"
PIPES = 4
SECONDS = 20


@pytest.mark.timeout(400)
def test_lb_survives_what_a_soak_does_to_it() -> None:
    """A seed of its own each time: what fails names it."""
    soak = [sys.executable, "-m", "soak", "--seconds", str(SECONDS), "--pipes", str(PIPES)]
    environment = {**os.environ, "PYTHONPATH": f"{PACKAGE}:{PACKAGE.parents[1]}"}
    done = subprocess.run(soak, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ": exact" in done.stdout


@pytest.fixture
def soak() -> Iterator[None]:
    """The package `soak` can be imported."""
    sys.path.insert(0, str(PACKAGE))
    yield
    sys.path.remove(str(PACKAGE))


Doctor = Callable[[list[bytes]], list[bytes]]

SOUND: dict[str, Doctor] = {
    "whole and in order": lambda frames: frames,
    "and then a new session": lambda frames: frames[100:200] + frames[:300],
}
BROKEN: dict[str, Doctor] = {
    "one twice": lambda frames: [*frames[:50], frames[49], *frames[50:]],
    "one left out": lambda frames: frames[:50] + frames[51:],
    "two in the wrong order": lambda frames: [*frames[:50], frames[51], frames[50], *frames[52:]],
    "one a byte short": lambda frames: [*frames[:50], frames[50][:-1], *frames[51:]],
    "a byte changed": lambda frames: [*frames[:50], frames[50].replace(b'"T"', b'"Q"'), *frames[51:]],
    "an end amid the last one": lambda frames: [*frames[:50], frames[50][:-1]],
}


@pytest.mark.usefixtures("soak")
@pytest.mark.parametrize("brought", [*SOUND, *BROKEN])
def test_the_worker_of_the_soak_notices(brought: str, tmp_path: Path) -> None:
    from soak import tape  # type: ignore[import-not-found]
    from soak.lives import Lives  # type: ignore[import-not-found]

    tape.write_streams(tmp_path, PIPES)
    frames = (SOUND | BROKEN)[brought]([tape.framed(tape.record(number)) for number in range(1, 4000, PIPES)])
    pid, exit_code = run_worker(tmp_path, b"".join(frames), tape.RECORDS)
    (told,) = Lives(tmp_path).all()
    assert told.pid == pid
    if brought in SOUND:
        assert (exit_code, told.finished, told.has_ended, Lives(tmp_path).faults()) == (0, len(frames), True, [])
    else:
        assert (exit_code, told.finished, told.has_ended, len(Lives(tmp_path).faults())) == (3, 50, False, 1)


@pytest.mark.usefixtures("soak")
def test_a_worker_is_not_taken_for_an_earlier_one_of_the_same_number(tmp_path: Path) -> None:
    from soak.lives import Lives
    from soak.worker import SLOT_BYTES, start_of  # type: ignore[import-not-found]

    pid, start = os.getpid(), start_of(os.getpid())
    lives = Lives(tmp_path)
    (tmp_path / f"life-1-{pid}-{start - 1}").write_bytes(bytes(3 * SLOT_BYTES))
    assert lives.of(pid) is None
    (tmp_path / f"life-2-{pid}-{start}").write_bytes(bytes(3 * SLOT_BYTES))
    assert lives.of(pid).inode == 2


def run_worker(folder: Path, brought: bytes, records: int) -> tuple[int, int]:
    """Its pid and exit code."""
    read_fd, write_fd = os.pipe()
    worker = [sys.executable, "-I", "-S", str(PACKAGE / "soak/worker.py"), str(records), str(PIPES), str(read_fd)]
    with subprocess.Popen(worker, cwd=folder, pass_fds=[read_fd]) as process:
        os.close(read_fd)
        with contextlib.suppress(BrokenPipeError), os.fdopen(write_fd, "wb", buffering=0) as pipe:
            while brought:
                brought = brought[pipe.write(brought) :]
    return process.pid, process.wait()
