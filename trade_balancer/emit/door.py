"""Who may come in: how many, from where, by which page, with which token. Law: no I/O but for the file of tokens."""

from __future__ import annotations

import asyncio
import hmac
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from websockets.http11 import Request

from trade_balancer.emit.counters import Counters
from trade_balancer.errors import InputError, tell
from trade_balancer.page.request import is_local, without_port
from trade_balancer.private_file import secrets

ANY_ORIGIN = "*"


class Tokens:
    """Those of a file, one a line. It may change: then it is read again."""

    def __init__(self, path: Path) -> None:
        """Raises InputError."""
        self._path = path
        self._told = ""
        self._tokens = [token.encode() for token in secrets(path)]
        self._stamp = _stamp(path)

    def accept(self, token: str) -> bool:
        fits = [hmac.compare_digest(token.encode(), each) for each in self._tokens]  # all: the time taken tells nothing
        return any(fits)

    def look_again(self) -> None:
        """Where it can't be read, the old ones are good."""
        if (stamp := _stamp(self._path)) == self._stamp:
            return
        try:
            self._tokens = [token.encode() for token in secrets(self._path)]
            self._stamp, self._told = stamp, ""
        except InputError as fault:
            if (text := str(fault)) != self._told:
                tell(f"tokens stay as they were: {text}")
                self._told = text


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_mode


@dataclass(frozen=True)
class Rules:
    """Of each process. A limit of 0 is none."""

    most_clients: int
    most_per_address: int
    origins: Sequence[str] = ()
    """Of pages that may connect, besides our own; `*`: all."""
    only_local: bool = False
    """Nobody but programs of this machine can connect, so that a name other than the machine's own is a trick."""
    tokens: Tokens | None = None


@dataclass(frozen=True)
class Refusal:
    status: HTTPStatus
    text: str


class Door:
    def __init__(self, rules: Rules, counters: Counters) -> None:
        self._rules = rules
        self._counters = counters
        self._addresses: Counter[str] = Counter()
        self._inside = 0
        self.empty = asyncio.Event()
        """Nobody is here."""
        self.empty.set()

    def is_crowded(self, spare: int) -> bool:
        """There are so many more than may be."""
        most = self._rules.most_clients
        return most > 0 and self._inside > most + spare

    def enter(self, address: str) -> Refusal | None:
        """Counted either way, until it leaves."""
        self._inside += 1
        self.empty.clear()
        self._addresses[address] += 1
        rules = self._rules
        if 0 < rules.most_clients < self._inside:
            self._counters.add("refused_full")
            return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "no room for another client")
        if 0 < rules.most_per_address < self._addresses[address]:
            self._counters.add("refused_address")
            return Refusal(HTTPStatus.TOO_MANY_REQUESTS, "too many clients of this address")
        return None

    def leave(self, address: str) -> None:
        self._inside -= 1
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]
        if not self._inside:
            self.empty.set()

    def look(self, request: Request) -> Refusal | None:
        """At what an HTTP request says of where it comes from."""
        host = _only(request, "Host")
        if self._rules.only_local and not is_local(without_port(host).lower()):
            self._counters.add("refused_origin")
            text = "served to programs of this machine only, by its address or as localhost"
            return Refusal(HTTPStatus.MISDIRECTED_REQUEST, text)
        origin = _only(request, "Origin")
        origins = self._rules.origins
        if origin and ANY_ORIGIN not in origins and origin not in origins and origin.partition("://")[2] != host:
            self._counters.add("refused_origin")
            return Refusal(HTTPStatus.FORBIDDEN, "not for pages of this origin")
        return None

    def is_known(self, request: Request) -> bool:
        """Whether the request itself has a token: programs may send it so, browsers can't."""
        scheme, _, token = _only(request, "Authorization").partition(" ")
        return self._rules.tokens is not None and scheme.lower() == "bearer" and self._rules.tokens.accept(token)


def _only(request: Request, name: str) -> str:
    found = request.headers.get_all(name)
    return found[0] if len(found) == 1 else ""
