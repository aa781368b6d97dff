"""lb-emit as a process, and clients of it: the library's, and a rude one.

Law: nothing sleeps; whatever is waited for has a limit of time.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from harness.lb_process import lb_environment, with_constants
from harness.served import Served
from trade_balancer.frames import LENGTH_BYTES

TIMEOUT_S = 30.0
TEXT, CLOSE = 1, 8
T_MS = 1_781_622_376_036


def trade(symbol: str, price: float, size: int = 100, time_ms: int = T_MS) -> bytes:
    return b'{"ev":"T","sym":"%s","i":"1","x":4,"p":%s,"s":%d,"t":%d}' % (
        symbol.encode(), repr(price).encode(), size, time_ms,
    )  # fmt: skip


def statuses(message: Any) -> list[tuple[str, str]]:
    return [(each["status"], each["message"]) for each in message]


class Client:
    """A websocket, whose messages come decoded."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def say(self, action: str, params: object = None, **more: object) -> None:
        self.connection.send(json.dumps({"action": action, "params": params, **more}))

    def hear(self) -> Any:
        return json.loads(self.connection.recv(TIMEOUT_S))

    def subscribe(self, topics: str) -> list[tuple[str, str]]:
        self.say("subscribe", topics)
        while not isinstance(told := self.hear(), list) or "status" not in told[0]:
            pass
        return statuses(told)

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """All values that have come, once they are so; of events by symbols."""
        values: dict[str, Any] = {}
        while True:
            said = self.hear()
            if isinstance(said, dict) and "tick" in said:
                for event, some in said.items():
                    if isinstance(some, dict):
                        values.setdefault(event, {}).update(some)
                if holds(values):
                    return values

    def end(self) -> tuple[int, str, list[Any]]:
        """The code and the reason with which it is closed, and what was said before."""
        said = []
        with contextlib.suppress(ConnectionClosed):
            while True:
                said.append(self.hear())
        assert self.connection.close_code is not None
        return self.connection.close_code, self.connection.close_reason or "", said


class Emit:
    """A running lb-emit. Without an own source (`options`) it reads a pipe that the test writes to. `constants`: as of
    `Lb`."""

    def __init__(self, *options: str | Path, port: int = 0, constants: Mapping[str, object] | None = None) -> None:
        own = any(word in ("--attach", "--books", "--kafka") for word in options)
        read_fd, self._write_fd = (-1, -1) if own else os.pipe()
        words = [*map(str, options), *(() if own else (str(read_fd),))]
        ports = ("--listen", f"127.0.0.1:{port}", "--metrics", "127.0.0.1:0")
        self.process = subprocess.Popen(
            [sys.executable, *with_constants("trade_balancer.emit.program", constants or {}), *ports, *words],
            env=lb_environment(),
            pass_fds=() if own else (read_fd,),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if not own:
            os.close(read_fd)
        self._lines: queue.Queue[str] = queue.Queue()
        self.told: list[str] = []
        """On standard error."""
        self._has_told = threading.Condition()
        self._threads = [
            threading.Thread(target=self._read, args=(self.process.stdout, self._lines.put, "")),
            threading.Thread(target=self._read, args=(self.process.stderr, self._take)),
        ]
        for thread in self._threads:
            thread.start()
        self._places: list[str] = []

    def _read(self, stream: Any, put: Callable[[str], object], *at_the_end: str) -> None:
        for line in stream:
            put(line.rstrip("\n"))
        for line in at_the_end:
            put(line)

    def _take(self, line: str) -> None:
        with self._has_told:
            self.told.append(line)
            self._has_told.notify_all()

    def __enter__(self) -> Emit:
        page = self._lines.get(timeout=TIMEOUT_S).split()
        assert page, self.told
        self.metrics = Served(self._lines.get(timeout=TIMEOUT_S).split()[2].removesuffix("metrics"))
        self.url, self.ws = page[2], page[-1].removesuffix("/ws")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end_pipe()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(TIMEOUT_S)
        for thread in self._threads:
            thread.join(TIMEOUT_S)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        assert "Traceback" not in "\n".join(self.told), self.told

    @property
    def port(self) -> int:
        return int(self.ws.rpartition(":")[2])

    def feed(self, *records: bytes) -> None:
        data = memoryview(b"".join(len(each).to_bytes(LENGTH_BYTES, "little") + each for each in records))
        while data:
            data = data[os.write(self._write_fd, data) :]

    def end_pipe(self) -> None:
        if self._write_fd >= 0:
            os.close(self._write_fd)
            self._write_fd = -1

    def wait(self) -> int:
        return self.process.wait(TIMEOUT_S)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    @contextlib.contextmanager
    def client(self, path: str = "/ws", **connecting: Any) -> Iterator[Client]:
        """Connected, and told so."""
        with connect(self.ws + path, compression=None, open_timeout=TIMEOUT_S, **connecting) as connection:
            client = Client(connection)
            assert statuses(client.hear()) == [("connected", "Connected Successfully")]
            yield client

    def await_metric(self, name: str, holds: Callable[[float], bool], **labels: str) -> float:
        """Of all samples of this name and labels, summed."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while True:
            samples = self.metrics.metrics()
            found = [
                value
                for (each, pairs), value in samples.items()
                if each == name and labels.items() <= dict(pairs).items()
            ]
            if found and holds(sum(found)):
                return sum(found)
            assert time.monotonic() < deadline_s, (name, found)

    def await_told(self, words: str) -> None:
        """As soon as it has said so, in one line."""
        with self._has_told:
            assert self._has_told.wait_for(lambda: any(words in line for line in self.told), TIMEOUT_S), self.told

    @property
    def rss_bytes(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) << 10


def rude(port: int, topics: Sequence[str] = (), path: str = "/ws", receive_bytes: int | None = None) -> socket.socket:
    """A websocket that has said what it wants and reads nothing any more."""
    made = socket.socket()
    if receive_bytes is not None:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    made.settimeout(TIMEOUT_S)
    made.connect(("127.0.0.1", port))
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    made.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += made.recv(1)  # not more: a frame may follow
    assert b" 101 " in answer.partition(b"\r\n")[0], answer
    if topics:
        made.sendall(masked(json.dumps({"action": "subscribe", "params": list(topics)}).encode()))
    return made


def frames(reader: socket.socket) -> Iterator[tuple[int, bytes]]:
    """The opcode and the payload of each, up to a close frame or the end, whichever way it ends."""
    with reader.makefile("rb") as stream, contextlib.suppress(ConnectionResetError):
        opcode = 0
        while opcode != CLOSE and (head := stream.read(2)):
            opcode, size = head[0] & 15, head[1]
            if size >= 126:
                size = int.from_bytes(stream.read(2 if size == 126 else 8), "big")
            yield opcode, stream.read(size)


def masked(text: bytes, opcode: int = 1, fin: bool = True) -> bytes:
    """A client's frame (RFC 6455, 5.2), with a mask of zeros."""
    size = len(text)
    if size < 126:
        length = bytes([0x80 | size])
    elif size <= 0xFFFF:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return bytes([opcode | (0x80 if fin else 0)]) + length + bytes(4) + text
