"""What may be asked for, and the answers: the page, its news, metrics, health and readiness.

Law: no I/O but for the files of the page, which are read once; every answer forbids browsers what the page does not
need.
"""

from __future__ import annotations

import hashlib
import importlib.resources
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import orjson

from trade_balancer.control.view import is_ready
from trade_balancer.page.exposition import Exposition
from trade_balancer.page.news import News
from trade_balancer.page.request import Request, is_local

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_FORBIDDEN = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_TYPES = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "theme.js": "text/javascript; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_METHODS = ("GET", "HEAD")
_RETRY_MS = 1000


@dataclass(frozen=True)
class Reply:
    status: int
    content_type: str
    body: bytes = b""
    fields: Mapping[str, str] = field(default_factory=dict)
    is_stream: bool = False
    """News follow, without an end."""

    def head(self, *, keeps_alive: bool) -> bytes:
        fields = {"Content-Type": self.content_type, "Cache-Control": "no-store", **_FORBIDDEN, **self.fields}
        if not self.is_stream:
            fields |= {"Content-Length": str(len(self.body)), "Connection": "keep-alive" if keeps_alive else "close"}
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}", *map(": ".join, fields.items()), "", ""]
        return "\r\n".join(lines).encode("latin-1")


def plain(status: int, text: str, **fields: str) -> Reply:
    return Reply(status, "text/plain; charset=utf-8", f"{text}\n".encode(), fields)


class Site:
    """`only_local`: nobody but programs of this machine can connect, so that a name other than the machine's own is
    a trick (DNS rebinding)."""

    def __init__(self, news: News, *, only_local: bool) -> None:
        self._news = news
        self._only_local = only_local
        self._exposition = Exposition(news)
        files = importlib.resources.files("trade_balancer.page") / "files"
        self._files = {name: (files / name).read_bytes() for name in _TYPES}
        self._routes: Mapping[str, Callable[[Request], Reply]] = {
            "/": lambda request: self._file("index.html", request),
            **{f"/{name}": self._giver(name) for name in _TYPES if name != "index.html"},
            "/events": lambda _: Reply(200, "text/event-stream", is_stream=True),
            "/metrics": self._metrics,
            "/healthz": lambda _: plain(200, "ok"),
            "/readyz": lambda _: self._readiness(),
        }

    def reply(self, request: Request) -> Reply:
        if request.method not in _METHODS:
            return Reply(405, "text/plain", b"only GET and HEAD\n", {"Allow": ", ".join(_METHODS)})
        if self._only_local and not is_local(request.host or "localhost"):
            return plain(421, "served to programs of this machine only, by its address or as localhost")
        if (route := self._routes.get(request.path)) is None:
            return plain(404, f"there is {', '.join(self._routes)}")
        return route(request)

    def greet(self, write: Callable[[bytes], object]) -> None:
        """Tell who begins to watch what was before."""
        write(f"retry: {_RETRY_MS}\n\n".encode())
        write(_event("points", [*self._news.view.points]))
        write(self.newest())

    def newest(self) -> bytes:
        """For those who watch: the picture of this moment, or how long lb has said nothing."""
        news = self._news
        if not news.is_fresh:
            return _event("stale", {"age_s": news.age_s, "why": news.why})
        return _event("picture", {**news.view.picture, "point": news.view.points[-1] if news.view.points else None})

    def _giver(self, name: str) -> Callable[[Request], Reply]:
        return lambda request: self._file(name, request)

    def _file(self, name: str, request: Request) -> Reply:
        body = self._files[name]
        tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        fields = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.fields.get("if-none-match") == tag:
            return Reply(304, _TYPES[name], b"", fields)
        return Reply(200, _TYPES[name], body, fields)

    def _metrics(self, request: Request) -> Reply:
        content_type, body = self._exposition.text(request.fields.get("accept", ""))
        return Reply(200, content_type, body)

    def _readiness(self) -> Reply:
        news = self._news
        checks = [("lb has told its status within the last seconds", news.is_fresh)]
        if news.status is not None:
            checks += is_ready(news.status)
        text = "\n".join(f"{'ok ' if is_so else 'NOT'} {what}" for what, is_so in checks)
        return plain(200 if all(is_so for _, is_so in checks) else 503, text)


def _event(name: str, data: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(data))
