"""A service manager with a store of descriptors, as small as it can be: `descriptor_store.py COMMAND...`.

Written from the contract alone (sd_notify(3), sd_listen_fds(3)). Starts the command, and starts it again when a signal
has killed it, with what it has stored; passes signals on; ends as the command does when that ends by itself. Tells of
each start in a line of JSON on standard error.
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import json
import os
import selectors
import signal
import socket
import sys
import tempfile
from pathlib import Path

FIRST_FD = 3
MOST = 512
PR_SET_PDEATHSIG = 1
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class Store:
    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.kept: list[tuple[str, int]] = []

    def take(self) -> None:
        """What has been sent."""
        while True:
            try:
                text, ancillary, _, _ = self.socket.recvmsg(1 << 16, socket.CMSG_SPACE(253 * 4), socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            fds = array.array("i")
            for _, _, data in ancillary:
                fds.frombytes(data[: len(data) // 4 * 4])
            told = dict(line.split("=", 1) for line in text.decode().split("\n"))
            if told.get("FDSTORE") == "1" and len(self.kept) + len(fds) <= MOST:
                high = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 1000) for fd in fds)
                self.kept += [(told["FDNAME"], fd) for fd in high]
            if told.get("FDSTOREREMOVE") == "1":
                for _, fd in filter(lambda of: of[0] == told["FDNAME"], self.kept):
                    os.close(fd)
                self.kept = [of for of in self.kept if of[0] != told["FDNAME"]]
            for fd in fds:
                os.close(fd)


def start(command: list[str], store: Store, address: str) -> int:
    environment = {**os.environ, "NOTIFY_SOCKET": address, "FDSTORE": str(MOST)}
    pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for at, (_, fd) in enumerate(store.kept):
            os.dup2(fd, FIRST_FD + at)
        if store.kept:
            names = ":".join(name for name, _ in store.kept)
            environment |= {"LISTEN_FDS": str(len(store.kept)), "LISTEN_FDNAMES": names, "LISTEN_PID": str(os.getpid())}
        os.execvpe(command[0], command, environment)
    print(json.dumps({"message": "started", "pid": pid, "kept": len(store.kept)}), file=sys.stderr, flush=True)
    return pid


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, selectors.DefaultSelector() as ready:
        address = str(Path(folder) / "notify")
        store = Store(Path(address))
        wake, woken = socket.socketpair()
        woken.setblocking(False)
        signal.set_wakeup_fd(woken.fileno())
        wake.setblocking(False)
        for number in (*PASSED_ON, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        ready.register(store.socket, selectors.EVENT_READ)
        ready.register(wake, selectors.EVENT_READ)
        pid = start(sys.argv[1:], store, address)
        while True:
            ready.select()
            store.take()
            for number in _signals(wake):
                if number in PASSED_ON:
                    os.kill(pid, number)
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended and not os.WIFSIGNALED(status):
                return os.waitstatus_to_exitcode(status)
            if ended:
                store.take()
                pid = start(sys.argv[1:], store, address)


def _signals(wake: socket.socket) -> bytes:
    try:
        return wake.recv(4096)
    except BlockingIOError:
        return b""


if __name__ == "__main__":
    sys.exit(main())
