"""A client of lb's control socket that may be as rude as a test wants.

Law: knows the protocol from its own few lines.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from types import TracebackType
from typing import Any

TIMEOUT_S = 20.0


class Joined:
    """A connection to the socket `path`. `timeout_s`: for each answer."""

    def __init__(self, path: Path, timeout_s: float = TIMEOUT_S) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout_s)
        try:
            self.socket.connect(str(path))
        except BaseException:
            self.socket.close()
            raise
        self._input = b""

    def __enter__(self) -> Joined:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self) -> dict[str, Any]:
        """The next line. Raises EOFError where lb has closed the connection."""
        while b"\n" not in self._input:
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            if not data:
                raise EOFError
            self._input += data
        line, _, self._input = self._input.partition(b"\n")
        said = json.loads(line)
        assert isinstance(said, dict)
        assert said["v"] == 1
        return said

    def ask(self, verb: str, **arguments: object) -> dict[str, Any]:
        """The whole answer, passing over events."""
        self.send(json.dumps({"v": 1, "id": verb, "verb": verb, **arguments}).encode() + b"\n")
        while "event" in (said := self.receive()):
            pass
        return said

    def result(self, verb: str, **arguments: object) -> dict[str, Any]:
        said = self.ask(verb, **arguments)
        assert "result" in said, said
        return dict(said["result"])

    def refusal(self, verb: str, **arguments: object) -> str:
        """The name of the error that answers."""
        return str(self.ask(verb, **arguments)["error"]["name"])

    def await_event(self, **values: object) -> dict[str, Any]:
        """The next event with these values."""
        while not values.items() <= (event := self.receive().get("event", {})).items():
            pass
        return dict(event)

    def has_ended(self) -> bool:
        """Waits for the end of the connection, passing over what is still said."""
        try:
            while True:
                self.receive()
        except EOFError:
            return True
