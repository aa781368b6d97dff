"""TLS servers of five stacks, as real processes on loopback, all of which send back what they get."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from need import need

SERVERS = Path(__file__).parent / "servers"


@dataclass
class TlsServer:
    """A running server."""

    stack: str
    port: int
    process: subprocess.Popen[bytes]
    answer: Callable[[bytes], bytes]
    """What it sends back for a line."""


def go_server_path() -> Path:
    """Where the Go server is, or will be, built: one file per version of its source, outside of the checkout."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME") or "/var/tmp") / ".cache")
    source = (SERVERS / "echo.go").read_bytes()
    return cache / "trade-balancer" / f"echo-go-{sha256(source).hexdigest()[:16]}"


def _same(line: bytes) -> bytes:
    return line


def _reversed(line: bytes) -> bytes:
    return line[:-1][::-1] + b"\n"


def _wait_for(process: subprocess.Popen[bytes], pattern: str) -> re.Match[str]:
    """The first line of output that fits."""
    assert process.stdout is not None
    seen = ""
    while line := process.stdout.readline().decode(errors="replace"):
        if match := re.search(pattern, line):
            return match
        seen += line
    raise AssertionError(f"{process.args!r} ended with {process.wait()} before {pattern!r}; it said:\n{seen}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def tls_server(stack: str, chain: Path, key: Path, *options: str) -> Iterator[TlsServer]:
    """Run a server: one of STACKS, or "openssl-terminal", which sends its standard input and obeys `k` and `K`.

    `options` go to `openssl s_server`.
    """
    port = _free_port() if stack == "gnutls" else 0
    s_server: list[str | Path] = [
        "openssl",
        "s_server",
        "-accept",
        "127.0.0.1:0",
        "-cert_chain",
        chain,
        "-cert",
        chain,
        "-key",
        key,
    ]
    gnutls = ["gnutls-serv", "--quiet", "--echo", "--disable-client-cert"]
    commands: dict[str, list[str | Path]] = {
        "python": [sys.executable, SERVERS / "echo_openssl.py", chain, key],
        "openssl": [*s_server, "-rev", *options],
        "openssl-terminal": [*s_server, *options],
        "gnutls": [*gnutls, f"--port={port}", f"--x509certfile={chain}", f"--x509keyfile={key}"],
        "go": [go_server_path(), chain, key],
        "tlslite": [sys.executable, SERVERS / "echo_tlslite.py", chain, key],
    }
    ready = {"openssl": r"ACCEPT 127\.0\.0\.1:(\d+)", "openssl-terminal": r"ACCEPT 127\.0\.0\.1:(\d+)"}
    need(str(commands[stack][0]))
    process = subprocess.Popen(commands[stack], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        if stack == "gnutls":
            _wait_for(process, r"listening on IPv4 .*done")
        else:
            port = int(_wait_for(process, ready.get(stack, r"^(\d+)$")).group(1))
        yield TlsServer(stack, port, process, _reversed if stack == "openssl" else _same)
    finally:
        process.kill()
        process.communicate()


STACKS = ("python", "openssl", "gnutls", "go", "tlslite")
