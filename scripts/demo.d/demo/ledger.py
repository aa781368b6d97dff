"""Transactions over a websocket -> lb -> four processes of lb-ledger, two of which are killed; then more of them by a
socket, to a ledger that is killed, too; and what the check says of all that."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import orjson
from rich.console import Console

from demo.programs import PIPES, Failed, Program, balancer, beside, listening_ledger, player, submitting
from trade_balancer.ledger.audit import audit
from trade_balancer.ledger.store_sqlite import SqliteDatabase

RATE = 10_000
BY_SOCKET = 20_000
ACCOUNTS = 2_000
KILLS = 2
_BEGIN_MS = 1_800_000_000_000
_A_LINE = 50


def show(duration_s: int) -> int:
    console = Console(highlight=False, soft_wrap=True)
    count = RATE * duration_s
    with TemporaryDirectory(prefix="lb-demo-") as name:
        folder = Path(name)
        (folder / "feed").mkdir()
        (folder / "feed" / "transactions.jsonl").write_bytes(b"\n".join(_messages(count)))
        console.print(f"{count:,} transactions of {ACCOUNTS:,} accounts come over a websocket, {RATE:,} a second:")
        console.print(f"$ lb --route key=account --redeliver --spawn per-pipe ... {PIPES} . lb-ledger --shards {PIPES}")
        options = ["--route", "key=account", "--redeliver", "--spawn", "per-pipe", "--once"]
        with (
            player(folder / "feed") as source,
            balancer(source, folder, "lb-ledger", "--shards", str(PIPES), options=options) as lb,
        ):
            for number in range(KILLS):
                _wait(lb, duration_s / (KILLS + 1))
                console.print(f"kill -9 of the worker {_kill(lb, number)}")
            lb.wait()
        _by_socket(folder, console, count)
        console.print("$ lb-ledger check")
        beside(folder, "lb-ledger", "check")
        return _verdict(folder, console, count + BY_SOCKET)


def _by_socket(folder: Path, console: Console, first: int) -> None:
    """Transactions of another program; the ledger is killed while it answers, and all are sent again."""
    place = f"unix:{folder / 'ledger.sock'}"
    file = folder / "more.jsonl"
    file.write_bytes(b"\n".join(map(orjson.dumps, _transactions(first, BY_SOCKET))))
    console.print(
        f"$ lb-ledger listen --at unix:ledger.sock & lb-ledger submit --at unix:ledger.sock  # {BY_SOCKET:,} more"
    )
    with listening_ledger(folder, place) as ledger, submitting(place, file) as client:
        while len(client.lines) < BY_SOCKET // 4 and client.runs:
            time.sleep(0.005)
        ledger.kill()
        console.print(f"kill -9 of the ledger, after {len(client.lines):,} answers")
    console.print("all of them once more, to the next:")
    with listening_ledger(folder, place), submitting(place, file) as client:
        while client.runs:
            time.sleep(0.01)
    if len(client.lines) != BY_SOCKET:
        raise Failed(f"{len(client.lines)} of {BY_SOCKET} transactions were answered")


def _wait(lb: Program, seconds: float) -> None:
    end_s = time.monotonic() + seconds
    while (time.monotonic() < end_s or not lb.has("worker started")) and lb.runs:
        time.sleep(0.01)


def _kill(lb: Program, slot: int) -> int:
    started = [line for line in lb.lines if line.get("message") == "worker started" and line["slot"] == slot]
    if not started:
        raise Failed(f"no worker was started in slot {slot}")
    pid = int(started[-1]["pid"])
    os.kill(pid, signal.SIGKILL)
    return pid


def _verdict(folder: Path, console: Console, count: int) -> int:
    with closing(SqliteDatabase(folder / "ledger")) as database:
        findings = audit(database.layout, database.snapshots())
    is_right = not findings.faults_total and findings.applied + findings.refused == count
    console.print(f"each of {count:,} transactions is there once" if is_right else "THE LEDGER IS WRONG")
    return 0 if is_right else 1


def _messages(count: int) -> list[bytes]:
    some = _transactions(0, count)
    return [orjson.dumps(some[at : at + _A_LINE]) for at in range(0, count, _A_LINE)]


def _transactions(first: int, count: int) -> list[dict[str, object]]:
    """`ev`, `sym` and `t` are lb-replay's, which plays trades: the ledger passes over them."""
    random = Random(first)
    found = []
    for number in range(first, first + count):
        account, other = random.sample(range(ACCOUNTS), 2)
        time_ms = _BEGIN_MS + (number - first) * 1000 // RATE
        kind = "deposit" if number < 2 * ACCOUNTS else random.choice(["deposit", "withdrawal", "transfer"])
        told: dict[str, object] = {"ev": "T", "sym": "X", "t": time_ms, "id": str(number), "account": f"acct-{account}"}
        told |= {"kind": kind, "amount": f"{random.randrange(1, 200)}.{number % 100:02}", "time": time_ms}
        found.append(told | ({"to": f"acct-{other}"} if kind == "transfer" else {}))
    return found
