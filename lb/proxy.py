"""The HTTP proxy that a session goes through: where it is, and how it is asked (RFC 9110 section 9.3.6, CONNECT).

Law: its password is a Key, and prints as stars.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from urllib.parse import unquote
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

from lb.endpoint import Endpoint, host_and_port
from lb.errors import UsageError
from lb.key import Key
from lb.secret import Hides, Secret

_DEFAULT_PORT = 80


@dataclass(frozen=True, slots=True)
class Proxy:
    """`credentials`: `USER:PASSWORD`, for Basic authentication (RFC 7617)."""

    host: str
    port: int
    credentials: Key | None = None

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """http://[USER:PASSWORD@]HOST[:PORT]. Raises UsageError, without the URL's words: it may hold a password."""
        scheme, separator, rest = url.partition("://")
        if not separator or scheme.lower() != "http":
            raise UsageError("--proxy begins with something else than http://")
        authority = rest.removesuffix("/")
        if "/" in authority or "?" in authority or "#" in authority:
            raise UsageError("--proxy names more than a host and a port")
        credentials, at, place = authority.rpartition("@")
        try:
            host, port = host_and_port(place)
        except UsageError as error:
            raise UsageError(str(error).replace("URL", "--proxy", 1)) from None
        return cls(host, port or _DEFAULT_PORT, Key(unquote(credentials)) if at else None)

    @classmethod
    def of_environment(cls, endpoint: Endpoint) -> Proxy | None:
        """The one that HTTPS_PROXY (for wss) or HTTP_PROXY (for ws) name, unless NO_PROXY excepts the host."""
        url = getproxies_environment().get("https" if endpoint.is_tls else "http")
        if url is None or proxy_bypass_environment(f"{endpoint.host}:{endpoint.port}"):
            return None
        return cls.parse(url if "://" in url else f"http://{url}")

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def secrets(self) -> tuple[Hides, ...]:
        """The credentials, the password in them, and both as they are sent."""
        if self.credentials is None:
            return ()
        password = self.credentials.reveal().partition(":")[2]
        return (self.credentials, Secret(password), Secret((self.authorization() or "").removeprefix("Basic ")))

    def authorization(self) -> str | None:
        """The value of Proxy-Authorization."""
        if self.credentials is None:
            return None
        return f"Basic {base64.b64encode(self.credentials.reveal().encode()).decode()}"
