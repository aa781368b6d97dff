"""lb as a service of a real systemd, its session in the kernel: upgraded, killed, restarted and stopped under traffic.

Law: the unit is the one that lb-setup writes. What every run does is a share; HYPOTHESIS_PROFILE=long does all.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pipe_keeper
import pytest
import tape_checker
from harness import KEY, Authority, Feed, Peer
from harness.feed import PING
from harness.installed import install_project
from harness.joining import Joined
from harness.unit import TIMEOUT_S, Log, Unit
from market import Market
from tape_player import TapePlayer
from tape_reader import TapeReader

pytestmark = [pytest.mark.systemd(every_kernel=True), pytest.mark.kernel_tls]

IS_LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
UPGRADES = 20 if IS_LONG else 2
KILLS = 50 if IS_LONG else 3
RESTARTS = 10 if IS_LONG else 1
PIPES = 4
WRITE_BYTES = 1 << 20
LEAST_FRAME_BYTES = 64
UNIT = Unit("lb@kept")
SETTINGS = Path("/etc/lb/kept.env")
KEY_FILE = Path("/etc/lb/kept.key")
FOLDER = Path("/var/lib/lb/kept")
SOCKET = Path("/run/lb/kept.sock")
CA_FILE = Path("/opt/ca.pem")
OPTIONS = f"--ca-file {CA_FILE} --tls kernel --route symbol --log-format json"


@pytest.fixture(scope="module")
def commands() -> Iterator[Path]:
    """The folder of lb's commands, where lb-setup has made a service of it."""
    folder = install_project()
    UNIT.run(folder / "lb-setup", "install", "kept")
    KEY_FILE.touch(0o600)
    KEY_FILE.write_text(f"{KEY}\n")
    yield folder
    UNIT.run(folder / "lb-setup", "remove", "--purge")


@pytest.fixture
def feed(authority: Authority) -> Iterator[Feed]:
    shutil.copy(authority.ca_file, CA_FILE)
    CA_FILE.chmod(0o644)
    with Feed(tls=authority.server_context("127.0.0.1"), patience_s=TIMEOUT_S) as feed:
        yield feed
        UNIT.run("systemctl", "stop", UNIT.name, code=None)  # where the test has failed


@pytest.fixture
def chance() -> random.Random:
    """Its seed is shown where the test fails."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    return random.Random(seed)


def configure(commands: Path, feed: Feed, worker: Path, options: str = "") -> None:
    copy = commands / worker.name
    shutil.copy(worker, copy)
    copy.chmod(0o755)
    SETTINGS.write_text(
        f"LB_URL={feed.url}\nLB_NPIPES={PIPES}\nLB_WORKER={commands}/python {copy}\nLB_OPTIONS={OPTIONS} {options}\n"
    )


def write_tapes(dealt: dict[int, list[bytes]]) -> None:
    """What each pipe brings of one playing."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for pipe, records in dealt.items():
        tape = b"".join(len(record).to_bytes(4, "little") + record for record in records)
        (FOLDER / f"tape-{pipe}").write_bytes(tape)


def test_upgrades_at_random_moments_are_not_seen_by_workers(
    commands: Path, feed: Feed, market: Market, chance: random.Random
) -> None:
    dealt = market.deal(range(len(market.records)), PIPES, "symbol")
    write_tapes(dealt)
    configure(commands, feed, Path(tape_checker.__file__))
    UNIT.run("systemctl", "start", "--no-block", UNIT.name)
    with UNIT.followed() as log, feed.session() as peer:
        UNIT.await_(lambda: UNIT.show("ActiveState") == ["active"], "the start")
        (pid,) = UNIT.show("MainPID")
        with Joined(SOCKET, TIMEOUT_S) as client, TapePlayer(peer, market.messages) as player:
            for number in range(UPGRADES):
                player.await_bytes(chance.randrange(player.tape_bytes))
                if number % 2:
                    assert client.result("upgrade")["session"] == "kept"
                else:
                    UNIT.run("systemctl", "reload", UNIT.name)
                assert log.await_line("upgraded")["session"] == "kept"
            assert UNIT.show("MainPID", "NRestarts") == [pid, "0"]
            player.finish()
        stop(peer, log, player, market)
    assert not (FOLDER / "difference").exists(), (FOLDER / "difference").read_text()
    tapes = [(FOLDER / f"tape-{pipe}").stat().st_size for pipe in range(PIPES)]
    assert json.loads((FOLDER / "checked").read_text()) == [player.playings * size for size in tapes]


class Kept:
    """What the workers of all pipes have kept, one after the other."""

    def __init__(self, market: Market) -> None:
        dealt = market.deal(range(len(market.records)), PIPES, "symbol")
        self._readers = {pipe: TapeReader(records) for pipe, records in dealt.items()}
        for file in FOLDER.glob("pipe-*.*"):
            file.unlink()

    def take(self) -> None:
        """Of workers that have ended; each once, for there is little memory."""
        for file in sorted(FOLDER.glob("pipe-*.*"), key=lambda file: file.stat().st_ctime_ns):
            pipe, _, pid = file.name.removeprefix("pipe-").partition(".")
            if not Path("/proc", pid).exists():
                self._readers[int(pipe)].take(file.read_bytes())
                file.unlink()

    def assert_all(self, records: int, *, kills: int = 0) -> None:
        """Of so many that were sent. What a kill can cost at most says docs/crash.md: a write, and what a worker
        that is killed, too, or does not end at a restart, has begun to take."""
        self.take()
        readers = self._readers.values()
        print("lost, doubled, cut off:", [(reader.lost, reader.doubled, reader.cut) for reader in readers])
        assert sum(reader.next for reader in readers) == records
        assert sum(reader.doubled for reader in readers) == 0
        begun = sum(reader.cut for reader in readers)
        assert sum(reader.lost for reader in readers) <= kills * (WRITE_BYTES // LEAST_FRAME_BYTES) + begun


def kill(number: signal.Signals) -> None:
    UNIT.run("systemctl", "kill", "--kill-whom=main", f"--signal={number.name}", UNIT.name)


def stop(peer: Peer, log: Log, player: TapePlayer, market: Market) -> int:
    """As ever: all is delivered, and the session closed. How many records were sent in all."""
    assert player.failure is None, player.failure
    records = player.playings * len(market.records)
    with Joined(SOCKET, TIMEOUT_S) as client:  # a stop reads no more of the feed
        UNIT.await_(lambda: client.result("status")["balance"]["received"] >= records, "the last record")
    UNIT.run("systemctl", "stop", UNIT.name)
    while (last := peer.receive()).opcode == PING:  # where the feed has said nothing for a while
        pass
    assert last.close_code == 1000
    statistics, balance = (log.await_line(message) for message in ("statistics", "balance"))
    assert UNIT.show("Result", "ExecMainStatus") == ["success", "0"], UNIT.last_lines()
    assert [balance[name] for name in ("received", "written", "exact")] == [records, records, True]
    assert statistics["reconnects"] == 0
    return records


def test_kills_at_random_moments_keep_the_session(
    commands: Path, feed: Feed, market: Market, chance: random.Random
) -> None:
    """One by a fault, one by the watchdog, the others by SIGKILL."""
    kept = Kept(market)
    configure(commands, feed, Path(pipe_keeper.__file__))
    UNIT.run("systemctl", "start", "--no-block", UNIT.name)
    with UNIT.followed() as log, feed.session() as peer:
        log.await_line("worker started")
        with TapePlayer(peer, market.messages) as player:
            for turn in range(KILLS):
                player.await_bytes(chance.randrange(player.tape_bytes))
                kill({1: signal.SIGSEGV, 2: signal.SIGSTOP}.get(turn, signal.SIGKILL))
                assert log.await_line("lb was killed: taken over")["session"] == "kept"
                log.await_line("worker started")
                kept.take()
            assert UNIT.show("NRestarts") == [str(KILLS)]
            player.finish()
        records = stop(peer, log, player, market)
    kept.assert_all(records, kills=KILLS)


def test_a_restart_keeps_the_session_and_a_stop_ends_it(
    commands: Path, feed: Feed, market: Market, chance: random.Random
) -> None:
    kept = Kept(market)
    configure(commands, feed, Path(pipe_keeper.__file__))
    UNIT.run("systemctl", "start", "--no-block", UNIT.name)
    with UNIT.followed() as log, feed.session() as peer:
        log.await_line("worker started")
        with TapePlayer(peer, market.messages) as player:
            for _ in range(RESTARTS):
                player.await_bytes(chance.randrange(player.tape_bytes))
                UNIT.run("systemctl", "restart", UNIT.name)
                assert log.await_line("restarted: taken over")["session"] == "kept"
                log.await_line("worker started")
                kept.take()
            player.finish()
        records = stop(peer, log, player, market)
    kept.assert_all(records)


def test_a_restart_with_other_settings_begins_anew(commands: Path, feed: Feed) -> None:
    configure(commands, feed, Path(pipe_keeper.__file__))
    UNIT.run("systemctl", "start", "--no-block", UNIT.name)
    with UNIT.followed() as log:
        with feed.session() as peer:
            log.await_line("the feed says")
            configure(commands, feed, Path(pipe_keeper.__file__), "--grace 9")
            UNIT.run("systemctl", "restart", "--no-block", UNIT.name)
            assert peer.receive().close_code == 1000
        with feed.session() as peer:
            log.await_line("the feed says")
            UNIT.run("systemctl", "stop", UNIT.name)
            assert peer.receive().close_code == 1000
