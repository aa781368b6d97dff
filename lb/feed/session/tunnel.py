"""The HTTP exchange that makes a proxy's connection one to the feed (RFC 9110 section 9.3.6), bytes in and bytes out.

Law: no I/O. The feed's host and port are all that the proxy is told of the session.
"""

from __future__ import annotations

from lb.endpoint import Endpoint
from lb.feed.session.answer import AnswerReader
from lb.proxy import Proxy


class Tunnel:
    """One exchange. `now_s`: the time of day, for a Retry-After that is a date."""

    def __init__(self, proxy: Proxy, endpoint: Endpoint, now_s: float) -> None:
        self._proxy = proxy
        host = endpoint.host.encode("idna").decode("ascii") if ":" not in endpoint.host else f"[{endpoint.host}]"
        self._target = f"{host}:{endpoint.port}"
        self._now_s = now_s
        self._reader = AnswerReader(f"proxy {proxy}: CONNECT {self._target}")
        self.failure = self._reader.failure

    def request(self) -> bytes:
        """What to send."""
        authorization = self._proxy.authorization()
        lines = [f"CONNECT {self._target} HTTP/1.1", f"Host: {self._target}"]
        lines += [f"Proxy-Authorization: {authorization}"] if authorization else []
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("ascii")

    def receive(self, data: bytes) -> bytes | None:
        """Take what has come; b"" is the stream's end. None: the answer is not whole yet; else b"": the tunnel is open.

        Raises ConnectFailed where the proxy refuses, or sends what nobody can have said yet: the client speaks first.
        """
        answer = self._reader.receive(data)
        if answer is None:
            return None
        if not 200 <= answer.status < 300:
            raise answer.refusal(f"proxy {self._proxy} answers CONNECT {self._target}", self._now_s)
        if answer.rest:
            raise self._reader.failure(f"{len(answer.rest)} bytes came behind the answer, before anything was asked")
        return answer.rest
