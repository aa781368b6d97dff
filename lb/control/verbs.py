"""What may be asked on the control socket: the verbs, and what they want of the balancer.

Law: checks what comes from outside, and knows nothing of what it asks for but the callables of Ports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lb.config import LogLevel
from lb.control.client import Client, Later
from lb.control.protocol import Refusal
from lb.control.server import Answer, Verb

LARGEST_PIPE_BYTES = 1 << 28
LARGEST_BACKLOG_BYTES = 1 << 26
LONGEST_TOPIC = 100
"""Characters."""
POLICIES = ("drop-oldest", "drop-newest")


@dataclass(frozen=True, slots=True)
class Attachment:
    """What a reader asks for."""

    topics: Sequence[str]
    policy: str = POLICIES[0]
    markers: bool = False
    pipe_size: int = 1 << 20
    backlog: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Change:
    """Of a reader's topics. `again`: it has them, and the feed is to begin anew with them."""

    add: Sequence[str]
    remove: Sequence[str]
    again: Sequence[str]


@dataclass(frozen=True, slots=True)
class Attached:
    """What it gets: its number, an answer, its pipe's read end, and what is to be called when its topics change, and
    when it goes."""

    number: int
    result: Mapping[str, object]
    read_fd: int
    change: Callable[[Change], None]
    detach: Callable[[], object]


@dataclass(frozen=True)
class Ports:
    """What the balancer does for a client. All raise Refusal where it can't be."""

    status: Callable[[], Mapping[str, object]]
    restart: Callable[[int], None]
    """Of a slot: end its worker, and start the next."""
    pause: Callable[[int], None]
    resume: Callable[[int], None]
    subscribe: Callable[[Sequence[str]], Later]
    """More topics for the workers."""
    unsubscribe: Callable[[Sequence[str]], Later]
    attach: Callable[[Attachment], Attached]
    log_level: Callable[[LogLevel], None]
    stop: Callable[[], None]
    upgrade: Callable[[], Later]
    """By the installed program."""


def verbs_of(ports: Ports) -> dict[str, Verb]:
    """The verbs by their names."""

    def status(arguments: Mapping[str, object], _: Client) -> Answer:
        _take(arguments)
        return Answer(ports.status())

    def watch(arguments: Mapping[str, object], client: Client) -> Answer:
        """The status, at intervals, and the lines of the log from now on."""
        _take(arguments)
        client.watch = True
        return Answer({})

    def attach(arguments: Mapping[str, object], client: Client) -> Answer:
        attached = ports.attach(_attachment(arguments))
        client.on_close.append(attached.detach)
        client.readers[attached.number] = attached.change
        return Answer(attached.result, [attached.read_fd])

    def topics(arguments: Mapping[str, object], client: Client) -> Answer:
        """Other ones, for a reader that this client has attached."""
        asked = dict(arguments)
        number = asked.pop("reader", None)
        change = client.readers.get(number) if type(number) is int else None
        if change is None:
            raise Refusal("bad-argument", "reader is the number of one that was attached on this connection")
        lists = {name: _topics(asked.pop(name, []), least=0) for name in ("add", "remove", "again")}
        _take(asked)
        change(Change(**lists))
        return Answer({})

    def log_level(arguments: Mapping[str, object], _: Client) -> Answer:
        word = _take(arguments, "level")["level"]
        levels = {level.value: level for level in LogLevel}
        if not isinstance(word, str) or word not in levels:
            raise Refusal("bad-argument", f"level is one of {', '.join(levels)}")
        ports.log_level(levels[word])
        return Answer({})

    def stop(arguments: Mapping[str, object], _: Client) -> Answer:
        _take(arguments)
        ports.stop()
        return Answer({})

    def upgrade(arguments: Mapping[str, object], _: Client) -> Later:
        _take(arguments)
        return ports.upgrade()

    return {
        "status": status,
        "watch": watch,
        "subscribe": _of_topics(ports.subscribe),
        "unsubscribe": _of_topics(ports.unsubscribe),
        "attach": attach,
        "topics": topics,
        "restart": _of_a_slot(ports.restart),
        "pause": _of_a_slot(ports.pause),
        "resume": _of_a_slot(ports.resume),
        "log-level": log_level,
        "stop": stop,
        "upgrade": upgrade,
    }


def _of_a_slot(port: Callable[[int], None]) -> Verb:
    def verb(arguments: Mapping[str, object], _: Client) -> Answer:
        slot = _take(arguments, "slot")["slot"]
        if type(slot) is not int:
            raise Refusal("bad-argument", "slot is a whole number")
        port(slot)
        return Answer({})

    return verb


def _of_topics(port: Callable[[Sequence[str]], Later]) -> Verb:
    def verb(arguments: Mapping[str, object], _: Client) -> Later:
        topics = _topics(_take(arguments, "topics")["topics"])
        if "*" in topics:
            raise Refusal("bad-argument", "* is no topic of the feed's: name what it is to send")
        return port(topics)

    return verb


def _topics(value: object, least: int = 1) -> Sequence[str]:
    topics = value if isinstance(value, list) else [None]
    if len(topics) < least or not all(isinstance(topic, str) and _is_good(topic) for topic in topics):
        raise Refusal("bad-argument", 'topics is a list of topics, such as ["T.AAPL","Q.*"]')
    return list(dict.fromkeys(topics))


def _is_good(topic: str) -> bool:
    return topic.strip() == topic != "" and len(topic) <= LONGEST_TOPIC and topic.isprintable() and "," not in topic


def _attachment(arguments: Mapping[str, object]) -> Attachment:
    asked = dict(arguments)
    topics = _topics(asked.pop("topics", None), least=0)
    policy, markers = asked.pop("policy", POLICIES[0]), asked.pop("markers", False)
    pipe_size, backlog = asked.pop("pipe_size", 1 << 20), asked.pop("backlog", 1 << 20)
    _take(asked)
    if policy not in POLICIES:
        raise Refusal("bad-argument", f"policy is one of {', '.join(POLICIES)}")
    if not isinstance(markers, bool):
        raise Refusal("bad-argument", "markers is true or false")
    return Attachment(
        topics, str(policy), markers,
        _bytes("pipe_size", pipe_size, LARGEST_PIPE_BYTES), _bytes("backlog", backlog, LARGEST_BACKLOG_BYTES),
    )  # fmt: skip


def _bytes(name: str, value: object, most: int) -> int:
    if type(value) is not int or not 1 <= value <= most:
        raise Refusal("bad-argument", f"{name} is a whole number of bytes, 1 to {most}")
    return value


def _take(arguments: Mapping[str, object], *names: str) -> Mapping[str, object]:
    """The arguments, which must be these."""
    if unknown := sorted(arguments.keys() - set(names)):
        raise Refusal("bad-argument", f"there is no argument {', '.join(unknown)[:80]}")
    if missing := sorted(set(names) - arguments.keys()):
        raise Refusal("bad-argument", f"wanted: {', '.join(missing)}")
    return arguments
