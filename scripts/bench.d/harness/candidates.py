"""The candidates: every program that takes the command line KEY URL NPIPES DIR WORKER [ARGS...]."""

import importlib.util
import os
import shlex
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from harness.certificate import Certificate
from harness.programs import BENCH, ROOT

LB = "lb"
LB_SYMBOL = "lb-symbol"
LB_CPU = "lb-cpu"
LB_TLS = "lb-wss"
LB_KERNEL_TLS = "lb-wss-ktls"
LIMIT = "limit"
TLS_LIMIT = "tls-limit"
ONE_WRITE = "one-write-per-record"
PYTHON_CLIENTS = {"py-picows": "picows", "py-websockets": "websockets", "py-websocket-client": "websocket"}
"""Candidate name -> the package it imports; its program is clients/with_NAME.py."""

_KEY = "benchmark"
LB_COMMAND = "import sys; from lb.cli import main; sys.exit(main())"
"""As its console script, without an installation."""
_PIPE_SIZE_BYTES = 1 << 20  # the worker asks for the same, whatever the candidate chose
_PEER = "peer:"
_TCP_ULP = 31  # linux/tcp.h


def is_peer(name: str) -> bool:
    """Whether a candidate of this name is one of --peer."""
    return name.startswith(_PEER)


@dataclass(frozen=True)
class Candidate:
    """A program to measure.

    route: what the pipes must hold: "round-robin", "symbol", "either" (a peer, unknown) or "uncut" (the wire's bytes).
    missing: why it cannot run here; empty when it can.
    """

    name: str
    command: tuple[str, ...]
    route: str = "round-robin"
    tls: bool = False
    missing: str = ""

    @property
    def is_peer(self) -> bool:
        return is_peer(self.name)

    def argv(self, url: str, pipes: int, folder: Path, worker: list[str]) -> list[str]:
        return [*self.command, _KEY, url, str(pipes), str(folder), *worker]


def all_candidates(build: Path, certificate: Certificate, peers: list[str]) -> list[Candidate]:
    """In the order in which they run, the limits first."""
    return [
        Candidate(LIMIT, (str(build / "limit"),), "uncut"),
        Candidate(ONE_WRITE, (str(build / "one-write-per-record"),)),
        Candidate(TLS_LIMIT, (str(build / "limit"),), "uncut", tls=True, missing=certificate.missing),
        *_balancers(certificate),
        *(_python_client(name) for name in PYTHON_CLIENTS),
        *(_peer(words) for words in peers),
    ]


def _balancers(certificate: Certificate) -> list[Candidate]:
    missing = "" if (ROOT / "lb" / "cli.py").exists() else "lb/cli.py is not there"
    lb = (sys.executable, "-c", LB_COMMAND, "--stats-interval", "0", "--pipe-size", str(_PIPE_SIZE_BYTES))
    tls = (*lb, "--ca-file", str(certificate.ca_pem), "--tls")
    return [
        Candidate(LB, lb, missing=missing),
        Candidate(LB_SYMBOL, (*lb, "--route", "symbol"), "symbol", missing=missing),
        Candidate(LB_CPU, (*lb, "--cpu", str(min(os.sched_getaffinity(0)))), missing=missing),
        Candidate(LB_TLS, (*tls, "user"), tls=True, missing=missing or certificate.missing),
        Candidate(
            LB_KERNEL_TLS,
            (*tls, "kernel"),
            tls=True,
            missing=missing or certificate.missing or _kernel_tls_missing(),
        ),
    ]


def _kernel_tls_missing() -> str:
    """Asks the kernel on a connected pair of sockets; on an unconnected one it refuses whether or not it could."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        try:
            client.setsockopt(socket.IPPROTO_TCP, _TCP_ULP, b"tls")
        except OSError as error:
            return f"this kernel has no TLS (TCP_ULP: {error.strerror})"
    return ""


def _python_client(name: str) -> Candidate:
    package = PYTHON_CLIENTS[name]
    missing = "" if importlib.util.find_spec(package) else f"Python package '{package}' is not installed"
    script = BENCH / "clients" / f"{name.replace('py-', 'with_').replace('-', '_')}.py"
    return Candidate(name, (sys.executable, str(script)), missing=missing)


def _peer(words: str) -> Candidate:
    command = tuple(shlex.split(words))
    return Candidate(f"{_PEER}{Path(command[0]).name}", command, "either")
