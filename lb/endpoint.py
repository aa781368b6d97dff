"""Where the feed is: a ws:// or wss:// URL, checked. Law: no I/O; no error repeats the URL's words."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import unquote

from lb.errors import UsageError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A ws:// or wss:// URL, taken apart."""

    host: str
    """An IPv6 address is without brackets, and has its zone, if any, behind a `%`."""
    port: int
    is_tls: bool
    path: str = "/"
    query: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Raises UsageError for anything but ws://HOST[:PORT][/PATH][?QUERY] and wss:// (RFC 6455 section 3).

        What is wrong is said without the URL's words: it may be a key in the wrong place, or hold a password.
        """
        if " " in url or not url.isprintable():
            raise UsageError("URL holds white space or a character that can't be printed")
        scheme, separator, rest = url.partition("://")
        if not separator or scheme.lower() not in ("ws", "wss"):
            raise UsageError("URL begins with neither ws:// nor wss:// (KEY comes first, then URL)")
        if "#" in rest:
            raise UsageError("URL holds a fragment (#), which a websocket's can't")
        resource, _, query = rest.partition("?")
        authority, _, path = resource.partition("/")
        if not (path + query).isascii():
            raise UsageError("URL's path or query holds a letter that is not ASCII: write it as %XX")
        if "@" in authority:
            raise UsageError("URL holds a user name or password; the feed takes a KEY only")
        host, port = host_and_port(authority)
        is_tls = scheme.lower() == "wss"
        return cls(host, port or (443 if is_tls else 80), is_tls, f"/{path}", query)

    @property
    def url(self) -> str:
        """For logs and errors: without the query, where some venues want a credential."""
        return f"{'wss' if self.is_tls else 'ws'}://{_bracketed(self.host)}:{self.port}{self.path}"

    @property
    def target(self) -> str:
        """What the upgrade asks for (RFC 9112 section 3.2.1)."""
        return f"{self.path}?{self.query}" if self.query else self.path


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def host_and_port(authority: str) -> tuple[str, int | None]:
    """Of a URL's authority. Raises UsageError, without its words."""
    if authority.startswith("["):
        address, bracket, behind = authority[1:].partition("]")
        host = _ipv6_address(address) if bracket else None
        if host is None or not (behind == "" or behind.startswith(":")):
            raise UsageError("URL's brackets hold no IPv6 address")
        port = behind[1:]
    else:
        host, _, port = authority.partition(":")
        host = host.lower()
        if not host:
            raise UsageError("URL names no host")
        if not _is_host_name(host):
            raise UsageError(
                "URL's host name has a part that is empty or longer than 63 letters, or more than 253 in all"
            )
    if not port:
        return host, None
    if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= 65535):
        raise UsageError("URL's port is no number from 1 to 65535 (an IPv6 address stands in brackets)")
    return host, int(port)


def _ipv6_address(literal: str) -> str | None:
    """The address, with its zone decoded, whose mark is `%25` in a URL (RFC 6874 section 2); None if it is none."""
    number, mark, zone = literal.partition("%25")
    address = f"{number}%{unquote(zone)}" if mark else literal
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        return None
    return address


def _is_host_name(host: str) -> bool:
    try:
        return 0 < len(host.removesuffix(".").encode("idna")) <= 253
    except UnicodeError:  # RFC 1035 section 2.3.4, RFC 3490 section 4.1
        return False
