"""`lb-ledger listen` and `submit`: what was answered is there, once, whoever is killed and however often it is sent."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from trade_balancer.ledger.audit import Findings, audit
from trade_balancer.ledger.intake import connection
from trade_balancer.ledger.ledger import Ledger
from trade_balancer.ledger.shard import Patience
from trade_balancer.ledger.sharding import Hash, shard_of
from trade_balancer.ledger.store import Layout
from trade_balancer.ledger.store_memory import MemoryDatabase
from trade_balancer.ledger.store_sqlite import SqliteDatabase

TEXT: dict[str, Any] = {"capture_output": True, "text": True}
PROGRAM = [sys.executable, "-m", "trade_balancer.ledger.program"]


@contextlib.contextmanager
def listening(folder: Path, place: str, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A ledger that has said that it is ready, and where."""
    command = [*PROGRAM, "listen", "--database", str(folder), "--at", place, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as ledger:
        try:
            assert ledger.stdout is not None
            line = ledger.stdout.readline()
            assert line.startswith("ready at "), line
            yield ledger, line.split()[-1]
        finally:
            ledger.kill()


def deposits(first: int, count: int) -> list[bytes]:
    told = [
        {"id": str(n), "account": f"a{n % 9}", "kind": "deposit", "amount": "1", "time": n} for n in range(first, count)
    ]
    return [json.dumps(one).encode() for one in told]


def looked_at(folder: Path) -> Findings:
    with closing(SqliteDatabase(folder)) as database:
        snapshots = database.snapshots()
        findings = audit(database.layout, snapshots)
        for snapshot in snapshots:
            snapshot.close()
    return findings


def answers_of(place: str, lines: list[bytes]) -> list[dict[str, Any]]:
    """All of them, of a client that sends everything at once, or as many as came."""
    with connection(place) as sock, contextlib.suppress(ConnectionError):
        threading.Thread(target=_send, args=(sock, lines)).start()
        return [json.loads(line) for line in sock.makefile("rb") if line.endswith(b"\n")]
    return []


def _send(sock: socket.socket, lines: list[bytes]) -> None:
    with contextlib.suppress(OSError):
        sock.sendall(b"\n".join(lines) + b"\n")
        sock.shutdown(socket.SHUT_WR)


def test_each_line_has_an_answer_in_its_order(tmp_path: Path) -> None:
    place = f"unix:{tmp_path / 'socket'}"
    lines = [
        *deposits(0, 3),
        b"nonsense",
        b'{"id":"w","account":"a0","kind":"withdrawal","amount":"7","time":1}',
        *deposits(0, 1),
    ]
    lines += [b'{"id":"t","account":"a0","kind":"transfer","to":"a1","amount":"0.5","time":1}']
    with listening(tmp_path / "ledger", place, "--shards", "2") as (ledger, _):
        told = answers_of(place, lines)
        ledger.send_signal(signal.SIGTERM)
        assert ledger.wait() == 0
    assert [one["status"] for one in told[:-1]] == ["applied"] * 3 + ["refused"] * 2 + ["applied"]
    assert told[-1]["status"] in ("applied", "pending")
    assert [one["id"] for one in told] == ["0", "1", "2", None, "w", "0", "t"]
    assert (told[3]["reason"], told[4]["reason"], told[5]["repeated"]) == ("no-object", "insufficient-funds", True)
    findings = looked_at(tmp_path / "ledger")
    assert findings.faults == []
    assert (findings.applied, findings.refused, findings.repeated, findings.in_flight) == (4, 2, 1, 0)


def test_what_was_answered_is_there_after_a_kill_and_sent_again_done_once(tmp_path: Path) -> None:
    place, folder = f"unix:{tmp_path / 'socket'}", tmp_path / "ledger"
    lines = deposits(0, 4000)
    answered: set[str] = set()
    for least in (1, 400, 900):
        with listening(folder, place, "--batch-max", "100") as (ledger, _), connection(place) as sock:
            threading.Thread(target=_send, args=(sock, lines)).start()
            answers = sock.makefile("rb")
            for _ in range(least):
                answered.add(json.loads(answers.readline())["id"])
            ledger.kill()
            with contextlib.suppress(ConnectionError):
                answered |= {json.loads(line)["id"] for line in answers if line.endswith(b"\n")}
            answers.close()
        assert looked_at(folder).applied >= len(answered)
    with listening(folder, place) as (_, _):
        clients = [threading.Thread(target=answers_of, args=(place, lines)) for _ in range(3)]
        for client in clients:
            client.start()
        assert {one["status"] for one in answers_of(place, lines)} == {"applied"}
        for client in clients:
            client.join()
    findings = looked_at(folder)
    assert findings.faults == []
    assert (findings.applied, findings.refused) == (4000, 0)
    assert findings.from_outside == 4000 * 10**8


def test_submit_tells_that_not_all_were_answered(tmp_path: Path) -> None:
    file = tmp_path / "transactions"
    file.write_bytes(b"\n".join(deposits(0, 20_000)))
    with listening(tmp_path / "ledger", "127.0.0.1:0", "--batch-max", "10") as (ledger, place):
        command = [*PROGRAM, "submit", "--at", place, file]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as client:
            assert client.stdout is not None
            client.stdout.readline()
            ledger.kill()
            _, told = client.communicate()
    assert client.returncode == 74, told
    assert "transactions, and is gone" in told


def test_submit_tells_refusals_and_the_rest_of_the_program_reads_what_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    file = tmp_path / "transactions"
    file.write_bytes(
        b"\n".join([*deposits(0, 20), b'{"id":"x","account":"a1","kind":"withdrawal","amount":"5","time":1}'])
    )
    with listening(folder, "127.0.0.1:0") as (_, place):
        done = subprocess.run([*PROGRAM, "submit", "--quiet", "--at", place, file], check=False, **TEXT)
        assert (done.returncode, done.stderr.split(": ")[1]) == (1, "20 applied, 0 pending, 1 refused\n")
        assert json.loads(done.stdout)["reason"] == "insufficient-funds"
        ran = [
            subprocess.run([*PROGRAM, *words, "--database", folder], check=True, **TEXT).stdout
            for words in (["check"], ["show", "a1", "--json"], ["export"], ["export", "--accounts"])
        ]
    assert "transactions applied   20" in ran[0]
    shown = json.loads(ran[1])
    assert (shown["available"], shown["total"], shown["locked"]) == ("3", "3", False)
    assert [entry["id"] for entry in shown["entries"]] == ["x", "19", "10", "1"]
    assert len(ran[2].splitlines()) == 22
    assert "0,a1,3,0,0,3,False," in ran[3]


def test_more_clients_than_there_are_descriptors_for_wait_for_their_turn(tmp_path: Path) -> None:
    place = f"unix:{tmp_path / 'socket'}"
    command = ["prlimit", "--nofile=80", *PROGRAM, "listen", "--database", str(tmp_path / "ledger"), "--at", place]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as ledger, contextlib.ExitStack() as stack:
        stack.callback(ledger.kill)
        assert ledger.stdout is not None
        assert ledger.stderr is not None
        assert ledger.stdout.readline().startswith("ready at ")
        clients = [stack.enter_context(connection(place)) for _ in range(100)]
        assert "16 clients, as many as the limit of open files has room for" in ledger.stderr.readline()
        for number, client in enumerate(clients):
            client.sendall(deposits(number, number + 1)[0] + b"\n")
        for client in clients:
            assert b'"applied"' in client.recv(1000)
            client.close()
        ledger.terminate()
        assert ledger.wait() == 0


class Among(Ledger):
    """Another process sends a transfer to another shard before each of its sweeps, a thousand times."""

    def __init__(self, database: MemoryDatabase) -> None:
        seconds = itertools.count()
        super().__init__(database, Patience(), lambda: float(next(seconds)))
        self.other = Ledger(database, Patience())
        self.sent = 0

    def sweep(self, *, is_last: bool = False) -> int:
        if self.sent < 1000:
            told = {"id": f"t{self.sent}", "account": "a0", "kind": "transfer", "amount": "1", "time": 1, "to": FAR}
            self.other.submit([json.dumps(told).encode()])
            self.sent += 1
        return super().sweep(is_last=is_last)


FAR = next(
    name for name in map("{0}-{0}".format, range(999)) if shard_of(name, 2, Hash.FNV1A) != shard_of("a0", 2, Hash.FNV1A)
)


def test_a_ledger_ends_while_others_send_without_end() -> None:
    with closing(Among(MemoryDatabase(Layout(2)))) as ledger:
        ledger.other.submit([b'{"id":"d","account":"a0","kind":"deposit","amount":"1000","time":0}'])
        ledger.settle()
        assert 1 < ledger.sent < 20
