"""What `lb` was asked to do, checked. Law: no I/O; a value that gets in here is one the balancer can work with."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from urllib.parse import urlsplit

from lb.errors import UsageError
from lb.key import Key

MAX_PIPES = 1 << 16
"""Both ends of a pipe are a descriptor each, and a worker is told each as an argument."""


class Route(enum.Enum):
    ROUND_ROBIN = "round-robin"
    SYMBOL = "symbol"


class Spawn(enum.Enum):
    SHARED = "shared"
    PER_PIPE = "per-pipe"


class Tls(enum.Enum):
    AUTO = "auto"
    KERNEL = "kernel"
    USER = "user"


class LogLevel(enum.Enum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(enum.Enum):
    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A ws:// or wss:// URL, taken apart. `host` is without the brackets of an IPv6 address."""

    url: str
    host: str
    port: int
    is_tls: bool

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Raises UsageError for anything but ws://HOST[:PORT][/PATH] and wss://HOST[:PORT][/PATH]."""
        try:
            parts = urlsplit(url)
            if "@" in parts.netloc:
                raise UsageError("URL holds a user name or password; the feed takes a KEY only")
            port = parts.port
        except ValueError as error:
            raise UsageError(f"URL {url!r}: {error}") from None
        if " " in url or not url.isprintable():
            raise UsageError(f"URL {url!r} holds white space or a control character")
        if parts.scheme not in ("ws", "wss"):
            raise UsageError(f"URL {url!r} begins with neither ws:// nor wss://")
        if not parts.hostname:
            raise UsageError(f"URL {url!r} names no host")
        if port == 0:
            raise UsageError(f"URL {url!r} names port 0")
        is_tls = parts.scheme == "wss"
        return cls(url, parts.hostname, port or (443 if is_tls else 80), is_tls)


@dataclass(frozen=True, slots=True)
class Config:
    """The command line of `lb`. Sizes in bytes, times in seconds."""

    key: Key
    endpoint: Endpoint
    pipes: int
    directory: str
    worker: str
    worker_args: tuple[str, ...]
    subscribe: tuple[str, ...] = ("T.*",)
    route: Route = Route.ROUND_ROBIN
    spawn: Spawn = Spawn.SHARED
    pipe_size_bytes: int | None = None
    tls: Tls = Tls.AUTO
    ca_file: str | None = None
    max_frame_bytes: int = 16 << 20
    cpu: int | None = None
    grace_s: float = 10.0
    stats_interval_s: float = 10.0
    dumpable: bool = False
    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat = LogFormat.TEXT
