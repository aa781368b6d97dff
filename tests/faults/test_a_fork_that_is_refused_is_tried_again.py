"""fork(2) or pipe2(2) is refused: at the start lb can't go on; later it tries again, and loses nothing."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest
from harness import Feed, Lb, lb_environment, message, run_lb
from harness.flood import record
from harness.preload import preload

# While the folder named by REFUSED is there, no process is made; and no pipe where PIPES is an error's number.
REFUSAL = r"""
static int is_refused(int error)
{
    const char *folder = getenv("REFUSED");
    errno = error;
    return folder && access(folder, F_OK) == 0 && (errno = error);
}

pid_t fork(void)
{
    pid_t (*const next)(void) = (pid_t (*)(void))dlsym(RTLD_NEXT, "fork");
    return is_refused(EAGAIN) ? -1 : next();
}

int pipe2(int fds[2], int flags)
{
    int (*const next)(int *, int) = (int (*)(int *, int))dlsym(RTLD_NEXT, "pipe2");
    const char *error = getenv("PIPES");
    return error && is_refused(atoi(error)) ? -1 : next(fds, flags);
}
"""


def test_a_worker_that_was_killed_is_replaced_once_there_is_room(tmp_path: Path) -> None:
    refused = tmp_path / "refused"
    environment = preload(tmp_path, REFUSAL) | {"REFUSED": str(refused)}
    with Feed() as feed, Lb(feed.url, environment=environment) as lb, feed.session() as peer:
        worker = lb.await_line("worker started")["pid"]
        refused.mkdir()
        os.kill(worker, signal.SIGKILL)
        error = lb.await_line("worker can't be started", level="error")["error"]
        assert "Resource temporarily unavailable" in error
        peer.say(message([record(0)]))
        while lb.balance()["received"] < 1:
            pass
        refused.rmdir()
        lb.await_line("worker started")
        assert lb.await_records(1).pipes[0] == [record(0)]
        assert lb.stop().exit_code == 0


@pytest.mark.parametrize("error", [None, errno.ENFILE, errno.EMFILE, errno.ENOMEM])
def test_at_the_start_it_is_told_and_the_exit_code_is_69(error: int | None, tmp_path: Path) -> None:
    of_pipes = {} if error is None else {"PIPES": str(error)}
    environment = lb_environment() | preload(tmp_path, REFUSAL) | {"REFUSED": str(tmp_path)} | of_pipes
    done = run_lb("k", "ws://127.0.0.1:1/", "2", ".", "/bin/true", env=environment)
    assert done.returncode == 69, done.stderr
    said = "Resource temporarily unavailable" if error is None else f"pipe 0 of 2: {os.strerror(error)}"
    assert said in done.stderr
