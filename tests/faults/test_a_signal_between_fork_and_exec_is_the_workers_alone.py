"""The child of a fork has its parent's handlers, and the wake-up socket they write to, until it runs its program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from harness import lb_environment
from harness.preload import preload

# In the child of a fork: the first sigaction() comes with a SIGTERM to the child, before anything has changed there.
SIGNAL_IN_THE_CHILD = r"""
static pid_t parent;

__attribute__((constructor)) static void remember(void)
{
    parent = getpid();
}

int sigaction(int number, const struct sigaction *restrict new_one, struct sigaction *restrict old_one)
{
    int (*const next)(int, const struct sigaction *, struct sigaction *) = (int (*)())dlsym(RTLD_NEXT, "sigaction");
    if (getpid() != parent) {
        parent = getpid();
        kill(getpid(), SIGTERM);
    }
    return next(number, new_one, old_one);
}
"""

SPAWNS = """
import os, signal
from lb.signals import WakeUps
from lb.slots.spawn import Order, report, spawn
with WakeUps() as wake_ups:
    order = Order("/bin/sh", ["sh", "-c", "echo the worker runs"], os.environ, "/", [], 64, os.sched_getaffinity(0))
    report_fd, report_end = os.pipe2(os.O_CLOEXEC)
    pid = spawn(order, report_end)
    os.close(report_end)
    report(order, report_fd)
    os.close(report_fd)
    _, status = os.waitpid(pid, 0)
    numbers = wake_ups.take()
    assert numbers == [signal.SIGCHLD], numbers
    assert os.WTERMSIG(status) == signal.SIGTERM, status
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
"""


def test_lb_does_not_take_it_for_its_own(tmp_path: Path) -> None:
    """It would stop, or leave at once at what looks like a second signal. The child obeys as by default."""
    environment = lb_environment() | preload(tmp_path, SIGNAL_IN_THE_CHILD)
    done = subprocess.run([sys.executable, "-c", SPAWNS], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
