"""Where records come from, as a command line says it: pipes, a running lb, or a topic of Kafka's.

Law: a program that reads pipes reads from each of them, and does not know which it is.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

from trade_balancer.control import attach
from trade_balancer.errors import UsageError


def add_options(parser: argparse.ArgumentParser) -> None:
    """--attach and --topics, --kafka and what belongs to it, of a program that else reads the pipes that its command
    line names."""
    attach.add_options(parser)
    add_kafka_options(parser)


def add_kafka_options(parser: argparse.ArgumentParser) -> None:
    """--kafka and what belongs to it."""
    parser.add_argument(
        "--kafka",
        metavar="BROKERS",
        help="instead of FDs: read a topic of Kafka's, with brokers at HOST:PORT,..., until SIGINT or SIGTERM; needs "
        "the extra kafka",
    )
    parser.add_argument(
        "--topic", metavar="TOPIC", action="append", help="with --kafka: a topic to read; may be repeated"
    )
    parser.add_argument(
        "--group",
        metavar="NAME",
        help="with --kafka: the programs of one group part the topic among them, each symbol is read by one of them",
    )
    parser.add_argument(
        "--member",
        metavar="NAME",
        default="",
        help="with --kafka: a name of its own in the group, by which it gets back what it had when it is back soon",
    )
    add_setting(parser.add_argument, "with --kafka: a setting of librdkafka's, or @FILE with one a line")


def add_setting(add: Callable[..., object], help_text: str) -> None:
    """-X, of whatever speaks with brokers (see `trade_balancer.kafka.settings`); `add` is a parser's or a group's."""
    add("-X", metavar="NAME=VALUE", dest="settings", action="append", default=[], help=f"{help_text}; may be repeated")


@contextlib.contextmanager
def source_of(options: argparse.Namespace) -> Iterator[Sequence[int] | None]:
    """The pipes of the reader, or of the group's member, that these options ask for; None where they do not. On SIGINT
    and SIGTERM its pipe ends, and the program finishes.

    Raises:
        NoBalancerError, RefusedError: as `attach`.
        UnavailableError: as `consume`.
        UsageError: options that do not go together.
    """
    if options.kafka is None:
        with attach.attached(options.attach, options.topics) as reader:
            yield reader.fds if reader else None
        return
    if options.attach is not None:
        raise UsageError("--kafka and --attach: one of them")
    if not options.topic or not options.group:
        raise UsageError("--kafka wants --topic and --group")
    from trade_balancer.kafka.settings import settings_of
    from trade_balancer.kafka.source import consume  # only here: an extra

    settings = settings_of(options.kafka, options.settings)
    with (
        attach.until_signals(
            lambda: consume(options.kafka, options.topic, options.group, member=options.member, settings=settings)
        ) as consumed,
        consumed,
    ):
        yield consumed.fds


def source_of_command_line(argv: Sequence[str]) -> contextlib.AbstractContextManager[Sequence[int] | None]:
    """As `source_of`, with these options among the words of any program's command line.

    Raises:
        UsageError: a word is missing behind one of them.
    """
    parser = _Options(add_help=False, allow_abbrev=False)
    is_of_kafka = any(word.partition("=")[0] == "--kafka" for word in argv[1:])
    (add_options if is_of_kafka else attach.add_options)(parser)
    parser.set_defaults(kafka=None)
    options, _ = parser.parse_known_args(argv[1:])
    if options.attach is None:
        options.topics = None  # perhaps the program's own
    return source_of(options)


class _Options(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)
