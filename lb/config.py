"""What `lb` was asked to do, checked. Law: no I/O; a value that gets in here is one the balancer can work with."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from lb.endpoint import Endpoint
from lb.errors import UsageError
from lb.hours import Hours
from lb.key import Key
from lb.proxy import Proxy
from lb.pump import Route
from lb.secret import Hides, Secret

MAX_PIPES = 1 << 16
"""Both ends of a pipe are a descriptor each, and a worker is told each as an argument."""


class Spawn(enum.Enum):
    SHARED = "shared"
    PER_PIPE = "per-pipe"


class Frame(enum.Enum):
    """How a worker gets a record: behind its length, on the pipes, or as a line, on its standard input."""

    LENGTH = "length"
    LINES = "lines"


class OnFull(enum.Enum):
    """What happens where a pipe and its backlog are full."""

    BLOCK = "block"
    DROP_NEWEST = "drop-newest"
    DROP_OLDEST = "drop-oldest"
    SPILL = "spill"


class Tls(enum.Enum):
    AUTO = "auto"
    KERNEL = "kernel"
    USER = "user"


class OnQuiet(enum.Enum):
    TELL = "tell"
    RECONNECT = "reconnect"


class OnStuck(enum.Enum):
    TELL = "tell"
    RESTART = "restart"


class OnCrashes(enum.Enum):
    TELL = "tell"
    EXIT = "exit"


class LogLevel(enum.Enum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(enum.Enum):
    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. `host`: a name, or an address without brackets."""

    host: str
    port: int


def topics_of(params: Iterable[str]) -> tuple[str, ...]:
    """The topics in comma-separated lists of them. Raises UsageError where there are none or they can't be sent."""
    topics = tuple(topic.strip() for param in params for topic in param.split(",") if topic.strip())
    if not topics:
        raise UsageError("--subscribe names no topic")
    if not all(topic.isprintable() for topic in topics):
        raise UsageError("--subscribe holds a topic that is not UTF-8 or can't be printed")
    return topics


@dataclass(frozen=True, slots=True)
class Config:
    """The command line of `lb`. Sizes in bytes, times in seconds."""

    key: Key
    endpoint: Endpoint
    pipes: int
    directory: str
    worker: str
    worker_args: tuple[str, ...]
    feed: str | None = None
    """Name of its venue; None: the default's."""
    subscribe: tuple[str, ...] = ("T.*",)
    route: Route = Route.ROUND_ROBIN
    key_member: str = ""
    """Of Route.KEY: which member of a record is its key."""
    spawn: Spawn = Spawn.SHARED
    frame: Frame = Frame.LENGTH
    pipe_size_bytes: int | None = None
    on_full: OnFull = OnFull.BLOCK
    backlog_bytes: int | None = None
    redeliver: bool = False
    retain_bytes: int | None = None
    """Of each pipe, with redeliver."""
    """Of each pipe, what may wait in lb; None: a share of what all may have."""
    spill_folder: str = ""
    """Where OnFull.SPILL puts records."""
    spill_max_bytes: int = 8 << 30
    tls: Tls = Tls.AUTO
    ca_file: str | None = None
    proxy: Proxy | None = None
    max_frame_bytes: int = 16 << 20
    cpu: int | None = None
    once: bool = False
    quiet_after_s: float = 0.0
    """How long no record may come while the market is open; 0 is for ever."""
    hours: Hours | None = None
    """When the market is open; None: always."""
    on_quiet: OnQuiet = OnQuiet.TELL
    stuck_after_s: float = 10.0
    """How long a worker may leave bytes in a pipe without reading any; 0 is for ever."""
    on_stuck: OnStuck = OnStuck.TELL
    max_crashes: int = 5
    """So many ends of workers in one slot within a minute are too many; 0: none are."""
    on_crashes: OnCrashes = OnCrashes.TELL
    grace_s: float = 10.0
    stats_interval_s: float = 10.0
    dumpable: bool = False
    control: str | None = None
    """Path of the control socket; None: there is none."""
    control_group: int | None = None
    """Whose members may use it, too."""
    control_clients: int = 64
    metrics: Address | None = None
    """Where metrics and the page are served; None: nowhere."""
    linger_s: float = 5.0
    """How long a topic stays subscribed that no reader wants any more."""
    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat = LogFormat.TEXT

    def secrets(self) -> tuple[Hides, ...]:
        """What no line may show: the key, the URL's query, and what a proxy wants."""
        return (self.key, Secret(self.endpoint.query), *(self.proxy.secrets() if self.proxy else ()))
