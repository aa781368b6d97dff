"""What is served by HTTP: the page, health and readiness, and metrics at a place of their own. Law: each answer ends
its connection; the files are read once."""

from __future__ import annotations

import importlib.resources
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import PurePath

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from trade_balancer.page import reply

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FILES = {
    "trade_balancer.emit": ("index.html", "market.css", "feed.js", "market.js", "rows.js"),
    "trade_balancer.page": ("page.css", "theme.js", "icon.svg"),
}
"""Of each package: the page has the looks of lb's own."""
_PLAIN = "text/plain; charset=utf-8"

Give = Callable[[Request], Response]


def response(status: HTTPStatus, content_type: str, body: bytes, fields: Mapping[str, str] | None = None) -> Response:
    headers = Headers({"Content-Type": content_type, "Content-Length": str(len(body)), "Cache-Control": "no-cache"})
    headers.update({**reply.FORBIDDEN, "Connection": "close", **(fields or {})})
    return Response(status, status.phrase, headers, body)


def plain(status: HTTPStatus, text: str, fields: Mapping[str, str] | None = None) -> Response:
    return response(status, _PLAIN, f"{text}\n".encode(), fields)


def page() -> dict[str, Give]:
    """The paths of the page's files."""
    found: dict[str, Give] = {}
    for package, names in _FILES.items():
        for name in names:
            body = (importlib.resources.files(package) / "files" / name).read_bytes()
            content_type = f"{_TYPES[PurePath(name).suffix]}; charset=utf-8"
            found["/" if name == "index.html" else f"/{name}"] = _giver(response(HTTPStatus.OK, content_type, body))
    return found


def _giver(answer: Response) -> Give:
    return lambda _: answer


def readiness(is_source_here: Callable[[], bool], is_leaving: Callable[[], bool]) -> dict[str, Give]:
    def ready(_: Request) -> Response:
        checks = [("the source is here", is_source_here()), ("clients are taken", not is_leaving())]
        told = reply.readiness(checks, is_ready=all(is_so for _, is_so in checks))
        return response(HTTPStatus(told.status), told.content_type, told.body)

    return {"/healthz": lambda _: plain(HTTPStatus.OK, "ok"), "/readyz": ready}
