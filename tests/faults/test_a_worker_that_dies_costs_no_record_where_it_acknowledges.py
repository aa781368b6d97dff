"""--redeliver: what a dead worker had not finished is given to its successor; no record is lost, copies are counted."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.feed import Feed, message
from harness.flood import Flood, numbers_of, record
from harness.lb_process import Lb, inline
from harness.redelivering import AT_ONCE, LITTLE, REDELIVER, assert_nothing_lost, kill_in_full_flight

EXAMPLE = (sys.executable, str(Path(__file__).parents[2] / "examples" / "exactly_once.py"))

HANDLER = """
import os, sys
from trade_balancer import fds_of_command_line, numbered
with open(f"{sys.argv[1]}/{os.getpid()}", "wb", buffering=0) as told:
    for fd, first, records in numbered(fds_of_command_line(sys.argv)):
        told.write(b"".join(b"%d %d %s\\n" % (fd, first + k, record) for k, record in enumerate(records)))
"""


def handled(folder: Path) -> dict[int, list[tuple[int, bytes]]]:
    """By pipe, what the workers have handled: number and record, in no order."""
    pipes: dict[int, list[tuple[int, bytes]]] = defaultdict(list)
    for told in folder.iterdir():
        for line in told.read_bytes().split(b"\n")[:-1]:  # one that was cut off by the kill is no record handled
            fd, number, text = line.split(b" ", 2)
            pipes[int(fd)].append((int(number), text))
    return pipes


def test_workers_killed_in_full_flight_finish_every_record_together(tmp_path: Path) -> None:
    worker = (sys.executable, "-c", HANDLER, str(tmp_path))
    with Feed() as feed, Lb(feed.url, 2, *REDELIVER, *LITTLE, worker=worker, constants=AT_ONCE) as lb:
        with feed.session() as peer, Flood(peer):
            kill_in_full_flight(lb, 2, times=10)
        end = lb.stop()
    assert end.exit_code == 0
    assert count_copies_where_each_is_finished(tmp_path, end.balance, 2) > 0


def count_copies_where_each_is_finished(folder: Path, balance: Mapping[str, Any], pipes: int) -> int:
    """How many records were finished twice; checks that all were, and that `lb` knows of the copies."""
    received = balance["received"]
    assert_nothing_lost(balance, received)
    redelivered = 0
    for pipe, records in enumerate(handled(folder)[fd] for fd in sorted(handled(folder))):
        by_number = dict(records)
        assert set(records) == set(by_number.items())  # a number is one record, whoever gets it
        assert sorted(by_number) == list(range(len(by_number)))
        in_order = [by_number[number] for number in sorted(by_number)]
        assert numbers_of(in_order) == list(range(pipe, received, pipes))
        redelivered += len(records) - len(by_number)
    assert redelivered <= sum(balance["redelivered"])
    return redelivered


def test_a_rolling_restart_costs_no_record(tmp_path: Path) -> None:
    folder, path = tmp_path / "handled", tmp_path / "lb.sock"
    folder.mkdir()
    worker = (sys.executable, "-c", HANDLER, str(folder))
    words = (*REDELIVER, *LITTLE, "--control", str(path))
    with Feed() as feed, Lb(feed.url, 3, *words, worker=worker, constants=AT_ONCE) as lb:
        with feed.session() as peer, Flood(peer):
            rolling = subprocess.run(
                [sys.executable, "-m", "trade_balancer.control.ctl", str(path), "restart", "all", "--rolling"],
                capture_output=True, text=True, check=False, timeout=60,
            )  # fmt: skip
        end = lb.stop()
    assert (rolling.returncode, rolling.stderr) == (0, "")
    assert [line.split(":")[0] for line in rolling.stdout.splitlines()] == ["slot 0", "slot 1", "slot 2"]
    happened = [
        (line["message"], line["slot"]) for line in lb.lines if line["message"] in ("worker ended", "worker started")
    ]
    assert happened[3:9] == [(what, slot) for slot in range(3) for what in ("worker ended", "worker started")]
    assert end.exit_code == 0
    count_copies_where_each_is_finished(folder, end.balance, 3)


def test_the_example_stores_every_record_once(tmp_path: Path) -> None:
    store = tmp_path / "records.db"
    with Feed() as feed, Lb(feed.url, 2, *REDELIVER, *LITTLE, worker=(*EXAMPLE, str(store)), constants=AT_ONCE) as lb:
        with feed.session() as peer, Flood(peer):
            kill_in_full_flight(lb, 2, times=8)
        end = lb.stop()
    assert_nothing_lost(end.balance, end.balance["received"])
    with sqlite3.connect(store) as connection:
        rows = connection.execute("SELECT pipe, number, record FROM records ORDER BY pipe, number").fetchall()
    connection.close()
    by_pipe: dict[int, list[bytes]] = defaultdict(list)
    for pipe, number, text in rows:
        assert number == len(by_pipe[pipe])
        by_pipe[pipe].append(text.encode())
    assert sorted(number for records in by_pipe.values() for number in numbers_of(records)) == list(
        range(end.balance["received"])
    )


READS_ONLY = """
    import os, sys
    while os.read(int(sys.argv[1]), 65536):
        pass
"""


def test_one_that_never_acknowledges_is_told_and_loses_nothing_silently() -> None:
    options = (*REDELIVER, "--retain", "65536", "--grace", "1")
    with (
        Feed() as feed,
        Lb(feed.url, 1, *options, worker=inline(READS_ONLY)) as lb,
        feed.session() as peer,
        Flood(peer),
    ):
        lb.await_line("a full pipe stops the reading", pipe=0)
        lb.await_line(
            "worker acknowledges no record: --retain is used up, and the feed is read no further; "
            "--redeliver is for workers that acknowledge, as the SDK does by itself"
        )
        balance = lb.balance()
        assert balance["acknowledged"] == [0]
        assert 60_000 < balance["unacknowledged_bytes"][0] <= 65536
        end = lb.stop()
    undelivered = next(line for line in lb.lines if line["message"] == "records not delivered")
    assert undelivered["records"] == undelivered["unacknowledged"] == end.balance["received"]
    assert (end.exit_code, end.balance["exact"]) == (74, True)


ACKNOWLEDGES_MORE = """
    import os, socket, sys
    fd = int(sys.argv[1])
    channel = socket.socket(fileno=int(os.environ["LB_CHANNEL"]))
    os.read(fd, 65536)
    channel.send(b"ACK %d 1000000" % fd)
    os.read(fd, 65536)
    channel.send(b"ACK %d 1" % fd)
    while os.read(fd, 65536):
        pass
"""


def test_one_that_acknowledges_what_it_was_not_given_is_told_and_not_believed() -> None:
    with Feed() as feed, Lb(feed.url, 1, *REDELIVER, worker=inline(ACKNOWLEDGES_MORE)) as lb:
        with feed.session() as peer:
            peer.say(message([record(0)]))
            told = lb.await_line("worker acknowledges more records than it was given: ignored", pipe=0)
            assert told["acknowledged"] == 1_000_000
            peer.say(message([record(1)]))
            while lb.balance()["acknowledged"] != [1]:
                pass
        end = lb.stop()
    assert (end.exit_code, end.balance["unacknowledged"]) == (74, [1])


SAYS_MUCH_AND_DIES = """
    import os, signal, socket, sys
    if os.environ["LB_FIRST"].endswith(":0"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
        fd = int(sys.argv[1])
        channel = socket.socket(fileno=int(os.environ["LB_CHANNEL"]))
        os.read(fd, 65536)
        print("has read", flush=True)
        signal.sigwait({signal.SIGUSR2})
        for records in range(1, 101):
            channel.send(b"ACK %d %d" % (fd, records))
        os._exit(1)
    print("begins at", os.environ["LB_FIRST"].partition(":")[2], flush=True)
    signal.pause()
"""


def test_what_it_has_said_last_is_heard_however_much_it_was() -> None:
    """More than lb takes at once, all of it while lb could not listen."""
    with Feed() as feed, Lb(feed.url, 1, *REDELIVER, worker=inline(SAYS_MUCH_AND_DIES)) as lb, feed.session() as peer:
        pid = lb.await_line("worker started")["pid"]
        peer.say(message([record(number) for number in range(100)]))
        lb.await_output()
        lb.send_signal(signal.SIGSTOP)
        os.kill(pid, signal.SIGUSR2)
        while Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z":
            pass
        lb.send_signal(signal.SIGCONT)
        assert lb.await_output_lines(2)[1] == b"begins at 100\n"


DIES_UNTIL_ALLOWED = """
import os, sys
from trade_balancer import run
if not os.path.exists(sys.argv.pop(1)):
    os._exit(1)
run(lambda record, fd: None)
"""


def test_one_that_was_to_be_started_later_is_started_at_a_stop_too(tmp_path: Path) -> None:
    """What waits for it is to be finished."""
    allowed = tmp_path / "allowed"
    worker = (sys.executable, "-c", DIES_UNTIL_ALLOWED, str(allowed))
    with Feed() as feed, Lb(feed.url, 1, *REDELIVER, worker=worker) as lb, feed.session() as peer:
        peer.say(message([record(number) for number in range(100)]))
        while lb.balance()["received"] < 100:
            pass
        while lb.await_line("worker is restarted later")["delay_s"] < 0.5:
            pass
        allowed.touch()
        end = lb.stop()
    assert_nothing_lost(end.balance, 100)
    assert end.exit_code == 0


STOPS_HALFWAY = """
    import os, signal, sys
    from trade_balancer import fds_of_command_line, numbered
    for fd, first, records in numbered(fds_of_command_line(sys.argv)):
        if first == 0:
            os.write(1, b"begun\\n")
            signal.pause()
"""


def test_a_stop_amid_a_redelivery_delivers_all_or_tells_what_not() -> None:
    worker = (sys.executable, "-c", "\n".join(line[4:] for line in STOPS_HALFWAY.splitlines()))
    for first_signal in (signal.SIGKILL, signal.SIGTERM):
        with Feed() as feed, Lb(feed.url, 1, *REDELIVER, "--grace", "0.5", worker=worker) as lb:
            pid = int(lb.await_line("worker started")["pid"])
            with feed.session() as peer:
                peer.say(message(map(record, range(1000))))
                lb.await_output()
                if first_signal is signal.SIGKILL:
                    os.kill(pid, signal.SIGKILL)
                    lb.send_signal(signal.SIGTERM)
                else:
                    lb.send_signal(signal.SIGTERM)
                    os.kill(pid, signal.SIGKILL)
            end = lb.wait()
        undelivered = [line["records"] for line in lb.lines if line["message"] == "records not delivered"]
        assert undelivered == [1000]  # nobody has finished any, and both say so
        assert (end.exit_code, end.balance["exact"]) == (74, True)
        assert sum(end.balance["unacknowledged"]) + end.balance["waiting"] == 1000
