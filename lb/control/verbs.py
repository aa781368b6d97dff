"""What may be asked on the control socket: the verbs, and what they want of the balancer.

Law: checks what comes from outside, and knows nothing of what it asks for but the callables of Ports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lb.config import LogLevel
from lb.control.client import Client
from lb.control.protocol import Refusal
from lb.control.server import Answer, Verb


@dataclass(frozen=True)
class Ports:
    """What the balancer does for a client. All raise Refusal where it can't be."""

    status: Callable[[], Mapping[str, object]]
    restart: Callable[[int], None]
    """Of a slot: end its worker, and start the next."""
    pause: Callable[[int], None]
    resume: Callable[[int], None]
    log_level: Callable[[LogLevel], None]
    stop: Callable[[], None]


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

    return {
        "status": status,
        "watch": watch,
        "restart": _of_a_slot(ports.restart),
        "pause": _of_a_slot(ports.pause),
        "resume": _of_a_slot(ports.resume),
        "log-level": log_level,
        "stop": stop,
    }


def _of_a_slot(port: Callable[[int], None]) -> Verb:
    def verb(arguments: Mapping[str, object], _: Client) -> Answer:
        slot = _take(arguments, "slot")["slot"]
        if type(slot) is not int:
            raise Refusal("bad-argument", "slot is a whole number")
        port(slot)
        return Answer({})

    return verb


def _take(arguments: Mapping[str, object], *names: str) -> Mapping[str, object]:
    """The arguments, which must be these."""
    if unknown := sorted(arguments.keys() - set(names)):
        raise Refusal("bad-argument", f"there is no argument {', '.join(unknown)[:80]}")
    if missing := sorted(set(names) - arguments.keys()):
        raise Refusal("bad-argument", f"wanted: {', '.join(missing)}")
    return arguments
