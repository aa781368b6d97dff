"""What HTTP clients are answered, by path. Law: no I/O; every answer forbids browsers what no page here needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from trade_balancer.page.request import Request, is_local

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
FORBIDDEN = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_METHODS = ("GET", "HEAD")

Write = Callable[[bytes], object]


@dataclass(frozen=True)
class Reply:
    """`greet`: news follow, without an end; it writes those that a new client begins with."""

    status: int
    content_type: str
    body: bytes = b""
    fields: Mapping[str, str] = field(default_factory=dict)
    greet: Callable[[Write], object] | None = None

    def head(self, *, keeps_alive: bool) -> bytes:
        fields = {"Content-Type": self.content_type, "Cache-Control": "no-store", **FORBIDDEN, **self.fields}
        if self.greet is None:
            fields |= {"Content-Length": str(len(self.body)), "Connection": "keep-alive" if keeps_alive else "close"}
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}", *map(": ".join, fields.items()), "", ""]
        return "\r\n".join(lines).encode("latin-1")


def plain(status: int, text: str, **fields: str) -> Reply:
    return Reply(status, "text/plain; charset=utf-8", f"{text}\n".encode(), fields)


def readiness(checks: Iterable[tuple[str, bool]], *, is_ready: bool) -> Reply:
    """200 or 503, and of each check whether it is so."""
    text = "\n".join(f"{'ok ' if is_so else 'NOT'} {what}" for what, is_so in checks)
    return plain(200 if is_ready else 503, text)


class Routes:
    """`only_local`: nobody but programs of this machine can connect, so that a name other than the machine's own is
    a trick (DNS rebinding)."""

    def __init__(self, routes: Mapping[str, Callable[[Request], Reply]], *, only_local: bool) -> None:
        self._routes = routes
        self._only_local = only_local

    def reply(self, request: Request) -> Reply:
        if request.method not in _METHODS:
            return Reply(405, "text/plain", b"only GET and HEAD\n", {"Allow": ", ".join(_METHODS)})
        if self._only_local and not is_local(request.host or "localhost"):
            return plain(421, "served to programs of this machine only, by its address or as localhost")
        if (route := self._routes.get(request.path)) is None:
            return plain(404, f"there is {', '.join(self._routes)}")
        return route(request)
