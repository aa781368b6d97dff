"""lb as a service of a real systemd, put in place by lb-setup, in a guest where all of it is thrown away.

Law: a test waits for what systemd or the journal tell. The tests run in their order, on one machine.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.installed import install_project
from harness.lb_process import KEY
from harness.replay import replay
from harness.unit import Unit
from test_settings import READ_BY_SYSTEMD

pytestmark = pytest.mark.systemd

UNIT = Unit("lb@demo")
run, show, journal, await_, await_line, last_lines = (
    UNIT.run, UNIT.show, UNIT.journal, UNIT.await_, UNIT.await_line, UNIT.last_lines,
)  # fmt: skip
SETTINGS = Path("/etc/lb/demo.env")
KEY_FILE = Path("/etc/lb/demo.key")
CA_FILE = Path("/opt/ca.pem")
COUNT = Path("/var/lib/lb/demo/count.json")
ETC = ("/etc/systemd/system", "/etc/sysctl.d", "/etc/modules-load.d", "/etc/sysusers.d", "/etc/lb")
WORST_SCORE = 1.5
ERROR, WARNING, INFO = "3", "4", "6"
"""Priorities of syslog(3)."""


def state_of_machine() -> dict[str, str]:
    """What installing may change."""
    files = {str(file): file.read_text() for folder in ETC for file in Path(folder).rglob("*") if file.is_file()}
    limits = {str(file): file.read_text() for file in Path("/proc/sys/fs").glob("pipe-*")}
    return files | limits | {name: Path(name).read_text() for name in ("/etc/passwd", "/etc/group")}


def configure(url: str, key: str = KEY, options: str = "") -> None:
    worker = f"lb-count --output {os.devnull} --summary {COUNT.name}"
    SETTINGS.write_text(f"LB_URL={url}\nLB_NPIPES=2\nLB_WORKER={worker}\nLB_OPTIONS=--ca-file {CA_FILE} {options}\n")
    KEY_FILE.touch(0o600)
    KEY_FILE.write_text(key + "\n")


@pytest.fixture(scope="module")
def feed() -> Iterator[str]:
    """Over wss; its authority's certificate is where the service can read it."""
    with replay("--synthetic", "--rate", "200", "--stamp", "--self-signed") as there:
        shutil.copy(there.trust[1], CA_FILE)
        CA_FILE.chmod(0o644)
        yield there.url


@pytest.fixture(scope="module")
def commands() -> Path:
    return install_project()


@pytest.fixture(scope="module")
def before(commands: Path) -> dict[str, str]:
    """The machine before lb was installed."""
    return state_of_machine()


@pytest.fixture(scope="module")
def installed(before: dict[str, str], commands: Path) -> str:
    """What lb-setup said."""
    return run(commands / "lb-setup", "install", "demo")


@pytest.fixture(scope="module")
def started(installed: str, feed: str) -> str:
    """The service runs; its feed."""
    configure(feed, options="--tls kernel --cpu 0")
    run("systemctl", "start", UNIT.name)
    return feed


def test_install_says_what_it_does_and_does_it(installed: str, commands: Path) -> None:
    for said in (
        "wrote    /etc/systemd/system/lb@.service", "wrote    /etc/lb/demo.env", "set      fs.pipe-user-pages-soft = 0",
        "ran      systemctl daemon-reload", "ran      modprobe tls", "systemctl enable --now lb@demo",
    ):  # fmt: skip
        assert said in installed
    assert run("id", "-un", "lb").strip() == "lb"
    assert Path("/sys/module/tls").exists()
    again = run(commands / "lb-setup", "install", "demo")
    assert "wrote" not in again
    assert "set " not in again


def test_it_is_active_when_the_feed_has_let_it_in(started: str, commands: Path) -> None:
    assert show("ActiveState", "NRestarts") == ["active", "0"]
    assert await_line("session open")[0] == INFO
    status = r"[\d,]+ records/s, lag .* ms, backlog .* MB, 1 of 1 workers, kernel TLS 1.3 .*"
    await_(lambda: re.fullmatch(status, show("StatusText")[0]), "STATUS")
    told = json.loads(run(commands / "lbctl", "--json", "/run/lb/demo.sock", "status"))
    assert told["session"]["state"] == "open"
    run(
        "setpriv", "--reuid=nobody", "--regid=nogroup", "--groups=lb", commands / "lbctl", "/run/lb/demo.sock", "status"
    )


def test_it_has_large_pipes_and_its_cpu_and_no_capability(started: str) -> None:
    sizes = re.search(r"pipe_size_bytes=(\d+)", await_line("pipes ready")[1])
    assert sizes is not None
    assert int(sizes[1]) > 1 << 24
    status = Path(f"/proc/{show('MainPID')[0]}/status").read_text()
    assert re.findall(r"^Cap(?:Inh|Prm|Eff|Bnd|Amb):\s+(\w+)", status, re.MULTILINE) == ["0" * 16] * 5
    assert re.search(r"^Cpus_allowed_list:\s+0$", status, re.MULTILINE)
    assert re.search(r"^Seccomp:\s+2$", status, re.MULTILINE)


def test_the_key_is_a_credential_and_nowhere_to_be_seen(started: str) -> None:
    (pid,) = show("MainPID")
    for name in ("cmdline", "environ"):
        assert KEY.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()
    assert not [text for _, text in journal() if KEY in text]
    for place in (KEY_FILE, Path("/run/credentials/lb@demo.service/api-key")):
        run("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "cat", place, code=1)


def test_it_is_hardened(started: str) -> None:
    score = re.search(rf"level for {UNIT.name}.service: ([\d.]+)", run("systemd-analyze", "security", UNIT.name))
    assert score is not None
    assert float(score[1]) <= WORST_SCORE


def test_a_frozen_main_loop_is_killed_and_the_next_goes_on_with_its_session(started: str) -> None:
    frozen = int(show("MainPID")[0])
    os.kill(frozen, signal.SIGSTOP)
    await_(lambda: show("NRestarts", "ActiveState") == ["1", "active"], "a restart")
    assert int(show("MainPID")[0]) != frozen
    assert "Watchdog timeout" in run("journalctl", "-u", UNIT.name)
    (taken_over,) = [text for _, text in journal() if "lb was killed: taken over" in text]
    assert "session=kept" in taken_over
    assert "Traceback" not in run("journalctl", "-u", UNIT.name)


def test_a_stop_delivers_everything(started: str) -> None:
    run("systemctl", "stop", UNIT.name)  # what is counted is of all lives that go on after one another
    run("systemctl", "start", UNIT.name)
    await_(lambda: re.match(r"[1-9]", show("StatusText")[0]), "records")
    run("systemctl", "stop", UNIT.name)
    assert show("Result", "ExecMainStatus", "ActiveState") == ["success", "0", "inactive"], last_lines()
    priority, balance = await_line("^balance ")
    assert priority == INFO
    received = re.search(r"received=(\d+) .* unread=0 exact=True", balance)
    assert received is not None, balance
    assert int(received[1]) == json.loads(COUNT.read_text())["records"] > 0


def test_without_a_key_it_is_not_tried_again(started: str) -> None:
    KEY_FILE.unlink()
    run("systemctl", "start", UNIT.name, code=1)
    assert show("ActiveState", "ExecMainStatus", "NRestarts") == ["failed", "66", "0"], last_lines()
    assert "holds no key" in show("StatusText")[0]


def test_a_refused_key_is_told_and_not_tried_again(started: str) -> None:
    configure(started, key="another-key")
    run("systemctl", "start", UNIT.name, code=1)
    assert show("ActiveState", "ExecMainStatus", "NRestarts") == ["failed", "77", "0"], last_lines()
    assert "refuse" in show("StatusText")[0]
    assert await_line("refuse")[0] == ERROR


def test_settings_are_what_lb_setup_takes_them_for(installed: str) -> None:
    told = Path("/run/told")
    told.mkdir()
    for number, (text, _) in enumerate(READ_BY_SYSTEMD):
        (told / f"{number}.env").write_text(text)
    Path("/run/systemd/system/tell@.service").write_text(
        f"[Service]\nType=oneshot\nEnvironmentFile={told}/%i.env\nExecStart=env -0\nStandardOutput=file:{told}/%i\n"
    )
    run("systemctl", "start", *(f"tell@{number}" for number in range(len(READ_BY_SYSTEMD))))
    for number, (text, variables) in enumerate(READ_BY_SYSTEMD):
        environment = dict(word.split("=", 1) for word in (told / str(number)).read_text().split("\0") if word)
        assert {name: environment[name] for name in "ABD" if name in environment} == variables, text


def test_check_tells_what_is_wrong_with_its_remedy(started: str, commands: Path) -> None:
    def check(code: int) -> dict[str, dict[str, str]]:
        told = json.loads(run(commands / "lb-setup", "check", "demo", "--json", code=code))
        return {f"{one['instance'] or ''}:{one['check']}": one for one in told["checks"]}

    run("systemctl", "reset-failed", UNIT.name)
    configure(started)
    found = check(0)
    of_demo = [f"demo:{check}" for check in ("key", "settings", "worker", "folder", "name", "feed", "certificate")]
    for name in (":kernel", ":systemd", ":service", ":pipes", *of_demo):
        assert found[name]["state"] == "ok", found[name]
    configure(started.replace("127.0.0.1", "no-such-host.invalid"), options="--no-such")
    KEY_FILE.chmod(0o644)
    found = check(69)
    assert found["demo:key"]["remedy"] == f"chmod 600 {KEY_FILE}"
    assert "--no-such" in found["demo:settings"]["text"]


def test_with_a_capability_instead_it_is_given_up_once_the_pipes_are_made(started: str, commands: Path) -> None:
    run(commands / "lb-setup", "install", "--large-pipes", "capability")
    assert Path("/proc/sys/fs/pipe-user-pages-soft").read_text().strip() != "0"
    configure(started)
    KEY_FILE.chmod(0o600)
    run("systemctl", "start", UNIT.name)
    sizes = re.search(r"pipe_size_bytes=(\d+)", await_line("pipes ready")[1])
    assert sizes is not None
    assert int(sizes[1]) > 1 << 24
    for pid in (
        show("MainPID")[0],
        Path("/sys/fs/cgroup/system.slice/system-lb.slice/lb@demo.service/cgroup.procs").read_text().split()[-1],
    ):
        status = Path(f"/proc/{pid}/status").read_text()
        assert re.findall(r"^Cap(?:Inh|Prm|Eff|Amb):\s+(\w+)", status, re.MULTILINE) == ["0" * 16] * 4
    run("systemctl", "stop", UNIT.name)


def test_remove_undoes_it_and_keeps_what_is_the_user_s(started: str, before: dict[str, str], commands: Path) -> None:
    run("systemctl", "enable", UNIT.name)
    said = run(commands / "lb-setup", "remove")
    assert f"kept     {SETTINGS}" in said
    assert SETTINGS.exists()
    assert KEY_FILE.exists()
    assert not Path("/etc/systemd/system/lb@.service").exists()
    run(commands / "lb-setup", "remove", "--purge")
    assert {name: text for name, text in state_of_machine().items() if before.get(name) != text} == {}
    assert before.keys() <= state_of_machine().keys()
    assert not Path("/var/lib/lb").exists()
    assert not Path("/run/lb").exists()


def test_install_fails_where_its_user_can_not_be_made(commands: Path) -> None:
    """It comes behind the removal: there is no user."""
    run("mount", "--bind", "-o", "ro", "/etc/passwd", "/etc/passwd")
    try:
        said = subprocess.run([commands / "lb-setup", "install"], capture_output=True, text=True, check=False)
    finally:
        run("umount", "/etc/passwd")
    assert (said.returncode, said.stderr.startswith("lb-setup: there is no user lb, ")) == (os.EX_UNAVAILABLE, True)
    run(commands / "lb-setup", "remove", "--purge")
