"""What an HTTP client asks for: a request's head, parsed (RFC 9112). Law: no I/O; whatever the bytes are, there is a
request or a refusal."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

LONGEST_HEAD_BYTES = 8 << 10

_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) (/[!-~]*|\*) HTTP/1\.([01])")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*")


class BadRequest(Exception):
    """Answered with `status`, and the end of the connection."""

    def __init__(self, status: int) -> None:
        super().__init__(f"answered with {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    """Without the query."""
    fields: Mapping[str, str]
    """Of the header, by their names in lower case."""
    keeps_alive: bool
    """The client may ask for more on this connection."""

    @property
    def host(self) -> str:
        """Of the field Host, without the port."""
        return without_port(self.fields.get("host", ""))


def parse(head: bytes) -> Request:
    """`head`: up to the empty line, without it. Raises BadRequest."""
    first, *lines = head.split(b"\r\n")
    if (asked := _REQUEST_LINE.fullmatch(first)) is None:
        raise BadRequest(400)
    fields: dict[str, str] = {}
    for line in lines:
        if (field := _FIELD.fullmatch(line)) is None:
            raise BadRequest(400)
        name = field[1].decode().lower()
        if name in fields and name in ("host", "content-length"):
            raise BadRequest(400)
        fields[name] = field[2].decode("latin-1")
    is_1_1 = asked[3] == b"1"
    if is_1_1 and "host" not in fields:
        raise BadRequest(400)
    if fields.get("content-length", "0") != "0" or "transfer-encoding" in fields:
        raise BadRequest(413)  # nothing here takes a body
    keeps_alive = is_1_1 and "close" not in fields.get("connection", "").lower()
    return Request(asked[1].decode(), asked[2].decode().partition("?")[0], fields, keeps_alive)


def without_port(host: str) -> str:
    """The name or address in a field Host, whatever else is in it."""
    return host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]


def is_local(host: str) -> bool:
    """Whether no name server was asked for it: then no other site can have lent it its own name (DNS rebinding)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
