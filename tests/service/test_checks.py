"""What `lb-setup check` finds, and which remedy it names."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.authority import Authority
from harness.feed import Feed
from harness.fixtures import authority

from lb.setup import host
from lb.setup.cli import main
from lb.setup.finding import State
from lb.setup.instance import key

__all__ = ["authority"]


@pytest.mark.parametrize(
    ("release", "state"),
    [("5.10.0-8-amd64", State.FAILED), ("5.11", State.OK), ("6.1.176", State.OK), ("4.19.1", State.FAILED)],
)
def test_kernels_from_5_11_on_will_do(release: str, state: State) -> None:
    assert host.kernel(release).state is state


def test_a_key_that_others_can_read_has_a_remedy(tmp_path: Path) -> None:
    file = tmp_path / "demo.key"
    assert key(file).remedy == f"(umask 077; cat > {file})"
    file.write_text("k\n")
    file.chmod(0o640)
    assert (key(file).state, key(file).remedy) == (State.FAILED, f"chmod 600 {file}")
    file.chmod(0o600)
    assert key(file).state is State.OK


def test_a_governor_that_saves_power_is_a_warning(tmp_path: Path) -> None:
    assert host.governor(tmp_path).state is State.OK
    for cpu, word in enumerate(("performance", "powersave")):
        file = tmp_path / f"devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"
        file.parent.mkdir(parents=True)
        file.write_text(f"{word}\n")
        assert host.governor(tmp_path).state is (State.WARNING if cpu else State.OK)


def test_the_kernel_is_asked_whether_the_clock_is_in_sync() -> None:
    assert host.clock().name == "clock"
    assert host.clock().text.startswith(("in sync, within ", "not in sync"))


def looked_at(root: Path, capsys: pytest.CaptureFixture[str], *lines: str) -> dict[str, dict[str, str]]:
    """What is found of an instance with these settings, by the name of the check."""
    folder = root / "etc/lb"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "demo.env").write_text("\n".join(lines) + "\n")
    (folder / "demo.key").touch(0o600)
    (folder / "demo.key").write_text("a-key\n")
    capsys.readouterr()
    main(["check", "demo", "--json", "--root", str(root)])
    told = json.loads(capsys.readouterr().out)["checks"]
    return {one["check"]: one for one in told if one["instance"] == "demo"}


def settings(url: str, root: Path, options: str = "", worker: str = "lb-count") -> list[str]:
    return [f"LB_URL={url}", "LB_NPIPES=1", f"LB_DIR={root}", f"LB_WORKER={worker}", f"LB_OPTIONS={options}"]


@pytest.fixture
def wss_feed(authority: Authority) -> Iterator[Feed]:
    """Takes one connection, as far as its TLS handshake, if the other end wants it."""

    def answer() -> None:
        with contextlib.suppress(OSError), feed.connection():
            pass

    with Feed(tls=authority.server_context("localhost"), name="localhost") as feed:
        thread = threading.Thread(target=answer)
        thread.start()
        yield feed
        thread.join()


def test_the_way_to_the_feed_is_looked_at_as_far_as_its_certificate(
    tmp_path: Path, authority: Authority, wss_feed: Feed, capsys: pytest.CaptureFixture[str]
) -> None:
    found = looked_at(tmp_path, capsys, *settings(wss_feed.url, tmp_path, f"--ca-file {authority.ca_file}"))
    assert [found[name]["state"] for name in ("settings", "worker", "name", "feed", "certificate")] == ["ok"] * 5
    assert re.search(r"of localhost, trusted, \d+ days left, TLSv1\.3", found["certificate"]["text"])


def test_a_certificate_that_nobody_vouches_for_has_a_remedy(
    tmp_path: Path, wss_feed: Feed, capsys: pytest.CaptureFixture[str]
) -> None:
    found = looked_at(tmp_path, capsys, *settings(wss_feed.url, tmp_path))
    assert found["certificate"]["state"] == "failed"
    assert "--ca-file" in found["certificate"]["remedy"]


def test_what_is_wrong_with_the_settings_is_said_as_lb_would(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = looked_at(tmp_path, capsys, *settings("ws://h/", tmp_path, "--routes symbol"))
    assert found["settings"]["text"] == "there is no option --routes (there is --route)"
    found = looked_at(tmp_path, capsys, *settings("ws://no-such-host.invalid/", tmp_path, worker="no-such-worker"))
    assert found["worker"]["state"] == "failed"
    assert found["name"]["state"] == "failed"


def test_a_port_that_nobody_listens_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Feed() as feed:
        url = feed.url
    found = looked_at(tmp_path, capsys, *settings(url, tmp_path))
    assert found["feed"]["state"] == "failed"
    assert "Connection refused" in found["feed"]["text"]


def test_no_check_shows_the_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "a-key" not in json.dumps(looked_at(tmp_path, capsys, "LB_URL=nonsense", "LB_NPIPES=1"))
