"""lb as a service of a real systemd, its session in the kernel: upgraded, and stopped, under traffic.

Law: the unit is the one that lb-setup writes. What every run does is a share; HYPOTHESIS_PROFILE=long does all.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import tape_checker
from harness import KEY, Authority, Feed
from harness.installed import install_project
from harness.joining import Joined
from harness.unit import TIMEOUT_S, Unit
from market import Market
from tape_player import TapePlayer

pytestmark = [pytest.mark.systemd(every_kernel=True), pytest.mark.kernel_tls]

IS_LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
UPGRADES = 20 if IS_LONG else 2
PIPES = 4
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


def configure(commands: Path, feed: Feed, worker: Path) -> None:
    copy = commands / worker.name
    shutil.copy(worker, copy)
    copy.chmod(0o755)
    SETTINGS.write_text(
        f"LB_URL={feed.url}\nLB_NPIPES={PIPES}\nLB_WORKER={commands}/python {copy}\nLB_OPTIONS={OPTIONS}\n"
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
        with Joined(SOCKET) as client, TapePlayer(peer, market.messages) as player:
            for number in range(UPGRADES):
                player.await_bytes(chance.randrange(player.tape_bytes))
                if number % 2:
                    assert client.result("upgrade")["session"] == "kept"
                else:
                    UNIT.run("systemctl", "reload", UNIT.name)
                assert log.await_line("upgraded")["session"] == "kept"
            player.finish()
        assert UNIT.show("MainPID", "NRestarts") == [pid, "0"]
        UNIT.run("systemctl", "stop", UNIT.name)
        assert peer.receive().close_code == 1000
        statistics, balance = (log.await_line(message) for message in ("statistics", "balance"))
    assert UNIT.show("Result", "ExecMainStatus") == ["success", "0"], UNIT.last_lines()
    assert not (FOLDER / "difference").exists(), (FOLDER / "difference").read_text()
    records = player.playings * len(market.records)
    assert [balance[name] for name in ("received", "written", "exact")] == [records, records, True]
    assert [statistics[name] for name in ("reconnects", "restarts")] == [0, 0]
    tapes = [(FOLDER / f"tape-{pipe}").stat().st_size for pipe in range(PIPES)]
    assert json.loads((FOLDER / "checked").read_text()) == [player.playings * size for size in tapes]
