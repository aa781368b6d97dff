"""What may be asked for, and the answers: the page, its news, metrics, health and readiness.

Law: no I/O but for the files of the page, which are read once.
"""

from __future__ import annotations

import hashlib
import importlib.resources
from collections.abc import Callable, Mapping

import orjson

from trade_balancer.control.view import is_ready
from trade_balancer.page.exposition import Exposition
from trade_balancer.page.news import News
from trade_balancer.page.reply import Reply, Routes, Write, plain, readiness
from trade_balancer.page.request import Request

_TYPES = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "theme.js": "text/javascript; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_RETRY_MS = 1000


class Site:
    """`only_local`: as of Routes."""

    def __init__(self, news: News, *, only_local: bool) -> None:
        self._news = news
        self._exposition = Exposition(news)
        files = importlib.resources.files("trade_balancer.page") / "files"
        self._files = {name: (files / name).read_bytes() for name in _TYPES}
        routes: Mapping[str, Callable[[Request], Reply]] = {
            "/": lambda request: self._file("index.html", request),
            **{f"/{name}": self._giver(name) for name in _TYPES if name != "index.html"},
            "/events": lambda _: Reply(200, "text/event-stream", greet=self._greet),
            "/metrics": self._metrics,
            "/healthz": lambda _: plain(200, "ok"),
            "/readyz": lambda _: self._readiness(),
        }
        self.reply = Routes(routes, only_local=only_local).reply

    def _greet(self, write: Write) -> None:
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
        return readiness(checks, is_ready=all(is_so for _, is_so in checks))


def _event(name: str, data: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(data))
