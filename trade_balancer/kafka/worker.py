"""`lb-kafka`: hands the records to Kafka's brokers.

Law: what was received is acknowledged by the brokers, or waits for them within a bound, or has failed and is told. With
`lb --redeliver` lb keeps a record until the brokers have it. Beyond the bound nothing is read, and the pipe's
back-pressure, and lb's policy for that, decide.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from trade_balancer.channel import first_number, wants_acknowledgement
from trade_balancer.command import natural
from trade_balancer.errors import OutputError, UnavailableError, UsageError, tell
from trade_balancer.kafka import rules, settings
from trade_balancer.kafka.delivery import Delivery
from trade_balancer.kafka.outbox import Account, AnyOutbox, Outbox
from trade_balancer.pipes import COLUMNS_READ_BYTES, Pipes
from trade_balancer.ready_made import Worker
from trade_balancer.tally import Tally, stamp_ms_of

_REPORTS_S = 0.02
"""How often reports of librdkafka's are heard while no record comes."""
_ENVELOPE_BYTES = 1024
"""What a message has besides its records and their numbers, and the batch that it is in, at most."""
_NUMBERS_SHARE = 8
"""For numbers there is an eighth of a packed message."""

_DEFAULTS = {
    "enable.idempotence": "true",  # and with it acks=all
    "partitioner": "murmur2_random",  # as Kafka's own
    "queue.buffering.max.kbytes": "262144",
    "message.timeout.ms": "0",  # nothing is given up in silence
    "log_level": "2",  # what goes wrong is told by us
}


class Settings(NamedTuple):
    """What a process begins with."""

    kafka: dict[str, str]
    rules: rules.Rules
    pack_s: float
    message_bytes: int
    last_s: int


class Kafka(Worker):
    """Records of some pipes, as messages."""

    description = """\
Hands the records to the brokers of Kafka, or whatever speaks its protocol: a message for each, or with --pack-ms for
several of one symbol. The key is the symbol, so that a symbol's records stay in order; the value is the record as it
came. The header lb tells where a record is from and its number, RUN/PIPE/NUMBER, and producerTime when it was read (ns
since 1970). The producer is idempotent and waits for all replicas; while brokers are away records wait in memory, and
then in the pipes. `lb-kafka setup` makes the topics."""
    summary_help = (
        "; acknowledged, the records that the brokers have; failed, those that they refused for good; waiting, those "
        "that they had not taken when the program ended; messages, those that they have"
    )
    read_bytes = COLUMNS_READ_BYTES
    may_read_kafka = False
    finishes_later = True
    output: Settings

    def __init__(self, output: Settings) -> None:
        super().__init__(output)
        outbox = _outbox_for(output)
        pack_s = output.pack_s if isinstance(outbox, Outbox) else 0
        self._delivery = Delivery(outbox, self.unfinished, pack_s)
        self._pipes: dict[int, int] = {}

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        settings.add_options(parser, "--brokers", "the brokers to begin with (default: localhost:9092)")
        rules.add_option(parser)
        for name, unit, default, text in (
            ("--pack-ms", "MS", 0, "records of one symbol that come within so many ms are one message, a line each"),
            ("--linger-ms", "MS", 5, "how long a message waits for others to the same broker"),
            ("--queue", "MESSAGES", 200_000, "how many may wait for the brokers, in each process, within 256 MiB"),
            ("--give-up", "S", 30, "how long the brokers are waited for at the end; lb's --grace should be longer"),
        ):
            parser.add_argument(name, metavar=unit, type=natural, default=default, help=f"{text} (default: {default})")
        parser.add_argument(
            "--compression",
            choices=("none", "lz4", "zstd", "gzip", "snappy"),
            default="lz4",
            help="of what goes to the brokers (default: lz4)",
        )

    @staticmethod
    def open_output(options: argparse.Namespace) -> AbstractContextManager[Settings]:
        from trade_balancer.kafka.topics import Topics  # only here: an extra

        wanted = rules.rules_of(options.rules)
        given = settings.settings_of(options.brokers or "localhost:9092", options.settings)
        chosen = {
            "compression.type": options.compression,
            "linger.ms": str(options.linger_ms),
            "queue.buffering.max.messages": str(max(1, options.queue)),
        }
        kafka = _DEFAULTS | chosen | given
        topics = Topics(given)
        topics.check(wanted.topics)
        # Who tells a limit knows it, also where the brokers do not tell it.
        limit_bytes = int(given.get("message.max.bytes") or topics.largest_message_bytes(wanted.topics))
        if limit_bytes < 4 * _ENVELOPE_BYTES:
            raise UsageError(f"a message may have only {limit_bytes} bytes in {', '.join(wanted.topics)}")
        # A batch that is larger than its topic allows fails as a whole: librdkafka parts none.
        kafka |= {"message.max.bytes": str(limit_bytes), "batch.size": str(limit_bytes - _ENVELOPE_BYTES)}
        packed_bytes = (limit_bytes - 2 * _ENVELOPE_BYTES) * (_NUMBERS_SHARE - 1) // _NUMBERS_SHARE
        return contextlib.nullcontext(Settings(kafka, wanted, options.pack_ms / 1000, packed_bytes, options.give_up))

    def read(self, pipes: Pipes) -> None:
        own_run = secrets.token_hex(8)  # numbers that begin anew with each worker are of a run of their own
        for fd in pipes.cutters:
            run = os.environ.get("LB_RUN", own_run) if wants_acknowledgement(fd) else own_run
            self._pipes[fd] = self._delivery.outbox.pipe(f"{run}/{fd}/", first_number(fd))
        for ready in pipes.readable(min(_REPORTS_S, self.output.pack_s or _REPORTS_S)):
            for fd in ready:
                self._take(pipes, fd)
            self._delivery.serve()

    def _take(self, pipes: Pipes, fd: int) -> None:
        chunk = pipes.read_chunk(fd)
        if chunk is None:
            return
        cutter = pipes.cutters[fd]
        begun, start = cutter.lead(chunk)
        if begun and not self._delivery.take(self._pipes[fd], memoryview(begun))[0]:
            return  # those behind it must not get its number
        taken_bytes, records, newest = self._delivery.take(self._pipes[fd], chunk[start:])
        cutter.keep(chunk, begun, start, start + taken_bytes, records)
        if records and (stamp_ms := stamp_ms_of(newest)) is not None:
            self.tally.note_stamp(stamp_ms, records)

    def finish(self) -> None:
        outbox = self._delivery.outbox
        try:
            account = outbox.account() if self.has_failed else self._delivery.finish(self.output.last_s)
        except OutputError as fault:
            self.tally.faults.append(fault)
            account = outbox.account()
        if not self.has_failed and (account.waiting or account.failed):
            self.tally.faults.append(OutputError(f"the brokers do not have all: {account}"))
        self.tally.events.update(dict(outbox.events()))
        self.tally.results.update(_results(account))
        outbox.close()

    @staticmethod
    def conclude(total: Tally, output: Any) -> dict[str, Any]:
        return {name: total.results[name] for name in ("acknowledged", "failed", "waiting", "messages")}


def _outbox_for(output: Settings) -> AnyOutbox:
    from trade_balancer.kafka.library import library  # only here: an extra

    try:
        return Outbox(library(), output.kafka, output.rules, output.pack_s > 0, output.message_bytes)
    except UnavailableError as fault:
        from trade_balancer.kafka.plain_outbox import PlainOutbox

        told = "; nothing is packed" if output.pack_s else ""
        tell(f"{fault}: each record costs a call of Python's, which is slow{told}")
        return PlainOutbox(output.kafka, output.rules)


def _results(account: Account) -> dict[str, int]:
    return {
        "acknowledged": account.acknowledged,
        "failed": account.failed,
        "waiting": account.waiting,
        "messages": account.acknowledged_messages,
    }
