"""A websocket client that sends back every message, for Autobahn's fuzzing server: lb, with a dealer that deals whole
messages (csrc/echo.c), and without anything else of its own.

    python echo_client.py URL AGENT

The pump, its Python face, the session, the upgrade and the keeper, which answers pings and closes, are lb's. Runs all
cases of the server, then asks it for its reports. All cases go through one pump, one after the other.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

from cffi import FFI

import lb.pump
from lb import logs
from lb.config import Config, LogFormat, LogLevel
from lb.endpoint import Endpoint
from lb.errors import OnceOver, SessionError
from lb.feed import session
from lb.feed.dialogue import Action, Ready
from lb.feed.keeper import Keeper
from lb.feed.venue import Venue
from lb.key import Key
from lb.pump import ControlFrame, Layout, Pump, Route, Wake, build
from lb.signals import WakeUps

MOST_BYTES = 1 << 24
CASE_TIMEOUT_S = 30.0

_HERE = Path(__file__).parent
_CSRC = Path(lb.pump.__file__).parent / "csrc"
_LENGTH_BYTES = 4

OnMessage = Callable[[int, bytes], None]


def build_pump(folder: Path) -> ModuleType:
    """The pump's C files, with the layout of echo.c for those of the venues."""
    sources = [str(path) for path in sorted(_CSRC.glob("*.c")) if path.name != "layouts.c"]
    builder = FFI()
    for name in build.HEADERS:
        builder.cdef(build.declarations(_CSRC / name))
    builder.set_source(
        "_echo",
        "".join(f'#include "{name}"\n' for name in build.HEADERS),
        sources=[*sources, str(_HERE / "csrc/echo.c")],
        include_dirs=[str(_CSRC)],
        extra_compile_args=["-std=c11", "-O2", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror"],
    )
    builder.compile(str(folder))
    sys.path.insert(0, str(folder))
    import _echo  # type: ignore[import-not-found]

    return _echo  # type: ignore[no-any-return]


class Silent:
    """Nothing is said beside the messages."""

    def begin(self) -> list[Action]:
        return [Ready()]

    def receive(self, notice: bytes) -> list[Action]:
        return []


class Client:
    """Opens sessions one after the other, with one pump."""

    def __init__(self, wake_ups: WakeUps, base_url: str) -> None:
        self._wake_ups = wake_ups
        self._base_url = base_url
        self._read_fd, write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._input = b""
        self._pump = Pump(
            pipe_fds=[write_fd], route=Route.ROUND_ROBIN, layout=Layout.POLYGON, max_frame_bytes=MOST_BYTES,
            high_water_bytes=2 * MOST_BYTES, wake_fd=wake_ups.fileno(), stall_ns=1 << 62,
        )  # fmt: skip
        wake_ups.watch(self._read_fd, self._read)
        self._on_message: OnMessage = lambda *_: None

    def session(self, path: str, on_message: Callable[[Keeper], OnMessage]) -> None:
        """One, to its end. Raises TimeoutError where it does not come to one."""
        endpoint = Endpoint.parse(f"{self._base_url}{path}")
        config = Config(Key(""), endpoint, 1, "/", "none", (), once=True, max_frame_bytes=MOST_BYTES)
        venue = Venue("echo", Layout.POLYGON, False, lambda *_: Silent())
        keeper = Keeper(config, venue, session.Security(config), self._pump, self._wake_ups)
        self._on_message = on_message(keeper)
        until_ns = time.monotonic_ns() + int(CASE_TIMEOUT_S * 1e9)
        with contextlib.suppress(OnceOver):
            while time.monotonic_ns() < until_ns:
                self._turn(keeper, until_ns)
            raise TimeoutError(path)

    def _turn(self, keeper: Keeper, until_ns: int) -> None:
        keeper.tend(time.monotonic_ns())
        try:
            event = self._pump.run(min(keeper.deadline_ns, until_ns))
        except SessionError as error:
            self._read()
            keeper.lost(error)
            return
        self._read()
        match event:
            case Wake.SIGNAL:
                self._wake_ups.take()
            case Wake.EOF:
                keeper.ended()
            case ControlFrame():
                keeper.control(event)

    def _read(self) -> None:
        """Take the messages that were dealt."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._read_fd, 1 << 20):
                self._input += data
        for opcode, payload in self._messages():
            self._on_message(opcode, payload)

    def _messages(self) -> Iterator[tuple[int, bytes]]:
        while len(self._input) >= _LENGTH_BYTES:
            end = _LENGTH_BYTES + int.from_bytes(self._input[:_LENGTH_BYTES], "little")
            if len(self._input) < end:
                return
            message, self._input = self._input[_LENGTH_BYTES:end], self._input[end:]
            yield message[0], message[1:]


def main(words: Sequence[str]) -> None:
    url, agent = words
    logs.start(LogLevel.ERROR, LogFormat.TEXT)
    with tempfile.TemporaryDirectory() as folder:
        module = build_pump(Path(folder))
    lb.pump.ffi, lb.pump.lib = module.ffi, module.lib
    with WakeUps() as wake_ups:
        client = Client(wake_ups, url)
        answers: list[bytes] = []
        client.session("/getCaseCount", lambda _: lambda _, payload: answers.append(payload))
        for case in range(1, json.loads(answers[0]) + 1):
            client.session(f"/runCase?case={case}&agent={agent}", lambda keeper: keeper._send)
        client.session(f"/updateReports?agent={agent}", lambda _: lambda *_: None)


if __name__ == "__main__":
    main(sys.argv[1:])
