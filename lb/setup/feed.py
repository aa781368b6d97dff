"""A look at the way to an instance's feed: its name, its port, its certificate.

Law: goes as far as the TLS handshake, and says nothing to the feed: no session that lives is evicted.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator

from lb.config import Config
from lb.errors import LbError
from lb.feed.session.attempt import converse
from lb.feed.session.dial import Dialer
from lb.feed.session.secure import reason_of
from lb.feed.session.tunnel import Tunnel
from lb.setup.finding import Finding, failed, ok, warning

FEW_DAYS = 14


def look_at_feed(config: Config) -> Iterator[Finding]:
    """Until a step fails."""
    endpoint, proxy = config.endpoint, config.proxy
    host, port = (proxy.host, proxy.port) if proxy else (endpoint.host, endpoint.port)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        remedy = "LB_URL; /etc/resolv.conf; resolvectl query " + host
        yield failed("name", f"{host} can't be resolved: {reason_of(error)}", remedy)
        return
    addresses = dict.fromkeys(str(where[0]) for *_, where in found)
    yield ok("name", f"{host} is {', '.join(addresses)}")
    began_s = time.monotonic()
    try:
        with Dialer(host, port).dial() as sock:
            connect_ms = (time.monotonic() - began_s) * 1000
            if proxy is not None:
                converse(sock, Tunnel(proxy, endpoint, time.time()))
            yield ok("feed", f"{host}:{port} reached in {connect_ms:.1f} ms" + (", the proxy" if proxy else ""))
            if endpoint.is_tls:
                yield certificate(sock, endpoint.host, config.ca_file)
    except LbError as error:
        yield failed("feed", str(error), "LB_URL; a firewall's rule; --proxy")


def certificate(sock: socket.socket, host: str, ca_file: str | None) -> Finding:
    """Of the server at the other end."""
    name = "certificate"
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        return failed(name, f"--ca-file {ca_file} can't be used: {reason_of(error)}", "another --ca-file")
    try:
        with context.wrap_socket(sock.dup(), server_hostname=host) as stream:
            told = stream.getpeercert()
            version = stream.version()
    except ssl.SSLCertVerificationError as error:
        remedy = "the clock of this machine; apt install ca-certificates; --ca-file for a private authority"
        return failed(name, f"that of {host} is refused: {error.verify_message}", remedy)
    except OSError as error:
        return failed(name, f"no TLS session with {host}: {reason_of(error)}", "LB_URL: is it wss:// there?")
    assert told is not None  # it was verified
    days = (ssl.cert_time_to_seconds(str(told["notAfter"])) - time.time()) / 86400
    text = f"of {host}, trusted, {days:.0f} days left, {version}"
    return ok(name, text) if days >= FEW_DAYS else warning(name, text, "ask the vendor when it is renewed")
