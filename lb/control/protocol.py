"""What is said on the control socket: a JSON object a line, in both directions (docs/control.md).

    request   {"v":1,"id":7,"verb":"restart","slot":0}
    answer    {"v":1,"id":7,"result":{...}}
              {"v":1,"id":7,"error":{"name":"bad-argument","text":"..."}}
    pushed    {"v":1,"id":7,"event":{...}}               after `watch`, with its id

Law: no I/O. Bytes in, requests out; whatever the bytes are, memory is bounded by LONGEST_LINE_BYTES and a read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

VERSION = 1
LONGEST_LINE_BYTES = 64 << 10

Id = int | str | None


class Refusal(Exception):
    """A request that is not carried out. `name` is for programs, the text for people."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


@dataclass(frozen=True, slots=True)
class Request:
    id: Id
    verb: str
    arguments: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Fault:
    """A line that is no request. `is_last`: what follows can't be understood either."""

    id: Id
    refusal: Refusal
    is_last: bool


class Lines:
    """Cuts what a client sends into requests."""

    def __init__(self) -> None:
        self._rest = b""

    @property
    def rest(self) -> bytes:
        """What was received and not taken."""
        return self._rest

    def receive(self, data: bytes) -> None:
        """Take what was read."""
        self._rest += data

    def take(self) -> Request | Fault | None:
        """The next line, or None where it has not come whole yet."""
        line, end, rest = self._rest.partition(b"\n")
        if len(line) > LONGEST_LINE_BYTES:
            self._rest = b""
            return Fault(None, Refusal("too-long", f"a line is at most {LONGEST_LINE_BYTES} bytes"), is_last=True)
        if not end:
            return None
        self._rest = rest
        return _parsed(line)


def _parsed(line: bytes) -> Request | Fault:
    try:
        said = orjson.loads(line)
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, dict):
        return Fault(None, Refusal("malformed", "a request is a JSON object on a line of its own"), is_last=True)
    version, id_, verb = said.pop("v", None), said.pop("id", None), said.pop("verb", None)
    if not (id_ is None or isinstance(id_, str) or type(id_) is int):
        return Fault(None, Refusal("malformed", "id is a string or a whole number"), is_last=True)
    if version != VERSION or type(version) is not int:
        return Fault(id_, Refusal("version", f'this lb speaks version {VERSION}: "v":{VERSION}'), is_last=True)
    if not isinstance(verb, str):
        return Fault(id_, Refusal("malformed", "verb is a string"), is_last=False)
    return Request(id_, verb, said)


def request_line(request: Request) -> bytes:
    """As it came, but for white space and the like."""
    return _line({"v": VERSION, "id": request.id, "verb": request.verb, **request.arguments})


def result_line(id_: Id, result: Mapping[str, object]) -> bytes:
    return _line({"v": VERSION, "id": id_, "result": result})


def error_line(id_: Id, refusal: Refusal) -> bytes:
    return _line({"v": VERSION, "id": id_, "error": {"name": refusal.name, "text": str(refusal)}})


def event_line(id_: Id, event: Mapping[str, object]) -> bytes:
    return _line({"v": VERSION, "id": id_, "event": event})


def _line(message: Mapping[str, object]) -> bytes:
    return orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)
