"""`lb-ledger`: accounts, and what transactions do to them, exactly once (docs/ledger.md).

Law: it reads what options say, and wires.
"""

from __future__ import annotations

import argparse
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

import orjson

from trade_balancer.command import Parser, exit_code_of, natural
from trade_balancer.errors import InputError, NoBalancerError, OutputError, UsageError, tell
from trade_balancer.ledger.account import Balance
from trade_balancer.ledger.audit import audit
from trade_balancer.ledger.change import Row
from trade_balancer.ledger.export import accounts, journal, write_csv
from trade_balancer.ledger.intake import Intake, connection, listener
from trade_balancer.ledger.ledger import Ledger
from trade_balancer.ledger.opening import MEMORY, open_database, open_existing
from trade_balancer.ledger.run import Pace, PipeSource, keep_garbage_collector_away, run
from trade_balancer.ledger.shard import GivenUpError, Patience
from trade_balancer.ledger.sharding import Hash, shard_of
from trade_balancer.ledger.store import Database, Layout, Snapshot, StoreGoneError
from trade_balancer.ledger.submission import status_of, submit
from trade_balancer.ledger.transaction import Kind, Reason, text_of
from trade_balancer.signals import outlive_stop_signals
from trade_balancer.sources import add_kafka_options

VERBS = ("run", "listen", "submit", "check", "show", "export")
_EPILOG = """\
lb starts it as a worker: lb --route key=account --redeliver --spawn per-pipe ... 4 DIR lb-ledger --shards 4. Or it
reads Kafka's topics: lb-ledger run --kafka BROKERS --topic T --group G --shards PARTITIONS --hash murmur2. Records
are JSON objects with id, account, kind (deposit, withdrawal, transfer with `to`; dispute, resolve, chargeback with
`of`), amount and time (docs/ledger.md).

exit codes: 0 all pipes ended, or all is right; 1 check has found faults, show no such account, submit a refusal; 64
usage, or the group writes another ledger; 65 a pipe ended inside a frame; 66 there is no such ledger or file, or the
topic has nothing where the ledger goes on; 69 no ledger listens there, or no broker; 74 the database can't be used, or
a ledger has ended before it has answered; 76 lb speaks another version of the protocol."""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or (words[0] not in VERBS and words[0] not in ("-h", "--help")):
        words.insert(0, VERBS[0])  # as lb starts a worker
    options = _parser().parse_args(words)
    return exit_code_of(lambda: _obey(options))


def _obey(options: argparse.Namespace) -> int:
    try:
        return int(options.verb(options))
    except (StoreGoneError, GivenUpError) as fault:
        raise OutputError(str(fault)) from fault


def _run(options: argparse.Namespace) -> int:
    if options.kafka is not None:
        return _run_partitions(options)
    if not options.fds:
        raise UsageError("nothing to read: pipes are wanted, which lb names, or --kafka")
    outlive_stop_signals()
    ends = _Ends.of_signals(options.give_up, signal.SIGTERM)
    source = PipeSource(options.fds, _pace(options))
    with _telling_ledger(options, ends) as ledger:
        run(ledger, source.batches())
        ledger.settle()
        source.check_ends()
    return 0


def _run_partitions(options: argparse.Namespace) -> int:
    from trade_balancer.kafka.settings import settings_of
    from trade_balancer.kafka.topics import Topics
    from trade_balancer.ledger.partitions import PartitionSource  # only here: an extra

    if options.fds or not options.topic or not options.group:
        raise UsageError("--kafka wants --topic and --group, and no pipes")
    if options.database == MEMORY:
        raise UsageError("--kafka: memory ends with the process, and the group goes on: a database is wanted")
    brokers = settings_of(options.kafka, options.settings)
    Topics(brokers).check(options.topic)
    ends = _Ends.of_signals(options.give_up, signal.SIGTERM, signal.SIGINT)
    group = {"group.id": options.group} | ({"group.instance.id": options.member} if options.member else {})
    with (
        _telling_ledger(options, ends) as ledger,
        PartitionSource(options.topic, brokers | group, ledger, _pace(options), ends.is_asked) as source,
    ):
        run(ledger, source.batches())
    return 0


def _pace(options: argparse.Namespace) -> Pace:
    return Pace(options.batch_max, options.batch_ms / 1000)


@contextmanager
def _telling_ledger(options: argparse.Namespace, ends: _Ends) -> Iterator[Ledger]:
    """It tells at its end what it has done."""
    keep_garbage_collector_away()
    with closing(_ledger(options, ends)) as ledger:
        try:
            yield ledger
        finally:
            totals = ledger.totals
            tell(f"{totals.applied} entries applied, {totals.refused} refused, {totals.repeated} had come before")


def _ledger(options: argparse.Namespace, ends: _Ends) -> Ledger:
    """A database that is away is waited for, now as later."""
    patience = Patience(ends.is_over)
    return Ledger(patience.insist(lambda: open_database(options.database, _layout(options))), patience)


class _Ends:
    """How long a database that is away is tried again after a signal that stops."""

    def __init__(self, give_up_s: float) -> None:
        self._give_up_s = give_up_s
        self._is_asked = False
        self._since_s: float | None = None

    @classmethod
    def of_signals(cls, give_up_s: float, *numbers: int) -> _Ends:
        ends = cls(give_up_s)
        for number in numbers:
            signal.signal(number, ends._note)
            signal.siginterrupt(number, False)
        return ends

    def is_asked(self) -> bool:
        return self._is_asked

    def is_over(self) -> bool:
        if self._since_s is None and self._is_asked:
            self._since_s = time.monotonic()
        return self._since_s is not None and time.monotonic() - self._since_s >= self._give_up_s

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._is_asked = True


def _listen(options: argparse.Namespace) -> int:
    keep_garbage_collector_away()
    stopping, wake = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    ends = _Ends.of_signals(options.give_up, signal.SIGTERM, signal.SIGINT)
    with (
        closing(_ledger(options, ends)) as ledger,
        listener(options.at) as listening,
    ):
        intake = Intake(ledger, listening, stopping, ends.is_asked, options.batch_max)
        print(f"ready at {options.at if options.at.startswith('unix:') else _place(listening)}", flush=True)
        intake.serve()
    signal.set_wakeup_fd(-1)
    for end in (stopping, wake):
        end.close()
    return 0


def _place(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"{host}:{port}"


def _submit(options: argparse.Namespace) -> int:
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        try:
            sock = stack.enter_context(connection(options.at))
        except (OSError, ValueError) as fault:
            raise NoBalancerError(f"no ledger listens at {options.at}: {fault}") from fault
        lines = sys.stdin.buffer if options.file is None else stack.enter_context(_opened(options.file))
        for answer in submit(sock, lines):
            status = status_of(answer)
            counts[status] += 1
            if not options.quiet or status == "refused":
                sys.stdout.buffer.write(answer)
        sys.stdout.flush()
    tell(", ".join(f"{counts[status]} {status}" for status in ("applied", "pending", "refused")))
    return 1 if counts["refused"] else 0


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as fault:
        raise InputError(f"cannot read {path}: {fault.strerror}") from fault


def _layout(options: argparse.Namespace) -> Layout | None:
    if options.shards is None and options.hash is None:
        return None
    return Layout(options.shards or 1, options.hash or Hash.FNV1A)


@contextmanager
def _snapshots(database: Database) -> Iterator[list[Snapshot]]:
    with ExitStack() as stack:
        yield [stack.enter_context(closing(snapshot)) for snapshot in database.snapshots()]


def _check(options: argparse.Namespace) -> int:
    with closing(open_existing(options.database)) as database, _snapshots(database) as snapshots:
        findings = audit(database.layout, snapshots)
    rows = findings.table()
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")
    for fault in findings.faults:
        tell(fault)
    return 1 if findings.faults_total else 0


def _show(options: argparse.Namespace) -> int:
    with closing(open_existing(options.database)) as database:
        shard = shard_of(options.account, *database.layout)
        with closing(database.store(shard).snapshot()) as snapshot:
            balance = snapshot.balance(options.account)
            rows = list(snapshot.history(options.account, options.last))
    if balance is None:
        tell(f"there is no account {options.account}")
        return 1
    if options.json:
        told = _told_of(balance) | {"entries": [_told_of_row(row) for row in rows]}
        print(orjson.dumps(told).decode())
        return 0
    for name, value in _told_of(balance).items():
        print(f"{name:<9}  {value}")
    for row in rows:
        print("  ".join(f"{value}" for value in _told_of_row(row).values() if value is not None))
    return 0


def _export(options: argparse.Namespace) -> int:
    with closing(open_existing(options.database)) as database, _snapshots(database) as snapshots:
        export = (accounts if options.accounts else journal)(snapshots)
        if options.parquet is None:
            write_csv(export, sys.stdout)
            sys.stdout.flush()
        else:
            from trade_balancer.ledger import export_parquet  # only here: an extra

            tell(f"{options.parquet}: {export_parquet.write(export, options.parquet)} rows")
    return 0


def _told_of(balance: Balance) -> dict[str, Any]:
    amounts = {name: text_of(getattr(balance, name)) for name in ("available", "held", "pending", "total")}
    return {"account": balance.account, **amounts, "locked": bool(balance.locked), "chain": balance.chain.hex()}


def _told_of_row(row: Row) -> dict[str, Any]:
    return {
        "seq": row.seq,
        "time": row.time,
        "id": row.id,
        "kind": Kind(row.kind).name.lower() if row.kind else None,
        "amount": text_of(row.amount),
        "other": row.other,
        "reason": None if row.reason is None else Reason(row.reason).word,
    }


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="lb-ledger",
        description="Keeps accounts: applies transactions in each account's order, each exactly once, and proves it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    def verb(name: str, work: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text, description=text)
        added.set_defaults(verb=work)
        added.add_argument("--database", metavar="WHERE", default="ledger", help=_DATABASE_HELP)
        return added

    running = verb(
        "run", _run, "apply the records of pipes, which lb names, or of Kafka's topics; the verb where none is said"
    )
    _add_writing(running)
    running.add_argument("fds", metavar="FD", type=int, nargs="*", help="number of a pipe's read end")
    add_kafka_options(running)
    listening = verb(
        "listen", _listen, "take transactions of other programs, a line each, and answer each once it is stored"
    )
    _add_writing(listening)
    listening.add_argument("--at", metavar="PLACE", required=True, help=_PLACE_HELP)
    submitting = verb(
        "submit", _submit, "send transactions, a line each, to a ledger that listens, and print its answers"
    )
    submitting.add_argument("--at", metavar="PLACE", required=True, help=_PLACE_HELP)
    submitting.add_argument("--quiet", action="store_true", help="print refusals only")
    submitting.add_argument("file", metavar="FILE", type=Path, nargs="?", help="the lines (default: standard input)")
    exporting = verb("export", _export, "print the journal as CSV, or write it into a file")
    exporting.add_argument("--accounts", action="store_true", help="the accounts instead")
    exporting.add_argument("--parquet", metavar="FILE", type=Path,
        help="write this file of Parquet's, with exact decimals; needs the extra parquet")  # fmt: skip
    verb("check", _check, "compute all balances and chains anew from the journal, compare, and print a table")
    showing = verb("show", _show, "print an account and its newest entries")
    showing.add_argument("account", metavar="ACCOUNT")
    showing.add_argument("--last", metavar="N", type=natural, default=20, help="so many entries (default: 20)")
    showing.add_argument("--json", action="store_true", help="as one JSON object")
    return parser


_PLACE_HELP = "unix:PATH, a socket for this user alone, or HOST:PORT, for whoever can reach it, without a password"
_DATABASE_HELP = (
    "a folder, in which each shard has a file of SQLite's; postgresql://USER@HOST/NAME, which needs the extra "
    "postgresql; @FILE, a file with such a URL, in which a password may be, too; or memory, to try things (default: "
    "ledger here)"
)


def _add_writing(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--shards", metavar="N", type=_count,
        help="how many parts the ledger has, each written by one process at a time; it never changes, and is best "
        "lb's NPIPES (default: what it has; of a new one 1)")  # fmt: skip
    add("--hash", metavar="fnv1a|murmur2", type=Hash,
        help="what an account's shard is computed by: as lb --route key=account does, or as Kafka's producers do; it "
        "never changes (default: what it has; of a new one fnv1a)")  # fmt: skip
    add("--batch-max", metavar="RECORDS", type=_count, default=Pace().most_records,
        help=f"about so many in one transaction of the database at most (default: {Pace().most_records})")  # fmt: skip
    add("--batch-ms", metavar="MS", type=natural, default=int(Pace().most_s * 1000),
        help="for so long records are collected at most; none is waited for (default: 10)")  # fmt: skip
    add("--give-up", metavar="S", type=natural, default=30,
        help="for how long a database that is away is tried again after SIGTERM (default: 30)")  # fmt: skip


def _count(text: str) -> int:
    count = natural(text)
    if count == 0:
        raise argparse.ArgumentTypeError("0 is none")
    return count


if __name__ == "__main__":
    sys.exit(main())
