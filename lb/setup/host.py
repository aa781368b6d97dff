"""A look at the machine: can lb work here, and as well as it could?

Law: changes nothing, and waits for nothing but the kernel.
"""

from __future__ import annotations

import ctypes
import platform
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import ktls
from lb.setup.finding import Finding, failed, ok, warning
from lb.setup.install import USER, require_reachable
from lb.setup.ledger import Ledger
from lb.setup.machine import Machine, SetupError
from lb.setup.pieces import sysctls

LEAST_KERNEL = (5, 11)
LEAST_SYSTEMD = 250
"""It has %d, the place of credentials."""
_STA_UNSYNC = 0x0040
_GOVERNORS = "devices/system/cpu/cpu*/cpufreq/scaling_governor"


def look_at_host(machine: Machine, sysfs: Path = Path("/sys")) -> Iterator[Finding]:
    yield kernel(platform.release())
    yield tls()
    yield systemd(machine.systemd_version())
    yield files(machine)
    yield pipes(machine)
    yield clock()
    yield governor(sysfs)


def kernel(release: str) -> Finding:
    """`release`: as `uname -r` tells it."""
    found = re.match(r"(\d+)\.(\d+)", release)
    if found is None or (int(found[1]), int(found[2])) >= LEAST_KERNEL:
        return ok("kernel", f"Linux {release}")
    return failed("kernel", f"Linux {release} is older than 5.11", "a newer kernel")


def tls() -> Finding:
    found = ktls.probe()
    if not found.usable:
        text = f"sessions are held in userspace, which costs CPU: {found.missing}"
        return warning("kernel TLS", text, found.remedy or "")
    text = f"{len(found.ciphers)} ciphers"
    if found.remedy:
        lack = "" if found.can_rekey else ", no key updates: a feed that changes its keys ends the session"
        return warning("kernel TLS", text + lack, found.remedy)
    return ok("kernel TLS", f"{text}, key updates")


def systemd(version: int) -> Finding:
    if version >= LEAST_SYSTEMD:
        return ok("systemd", f"version {version}")
    text = f"version {version} is older than {LEAST_SYSTEMD}" if version else "there is none here"
    return failed("systemd", text, "another service manager may run lb, too: see docs/service.md")


def files(machine: Machine) -> Finding:
    """Whether the service is in place, and as it was put there."""
    name = "service"
    ledger = Ledger.read(machine.root)
    shared = [path for path in ledger.files if not path.startswith("/etc/lb/")]
    if not shared:
        return failed(name, "lb@.service is not installed", "lb-setup install")
    if missing := [path for path in shared if not machine.at(path).exists()]:
        return failed(name, f"missing: {', '.join(missing)}", "lb-setup install")
    if changed := [path for path in shared if not ledger.is_ours(machine.root, path)]:
        text = f"changed since it was installed, and not renewed by upgrades: {', '.join(changed)}"
        return warning(name, text, "systemctl edit lb@.service, which keeps changes apart")
    try:
        require_reachable(Path(sys.prefix))
    except SetupError as error:
        return failed(name, str(error), "lb-setup install, from there")
    if machine.is_live and not machine.ask("id", "-u", USER).strip():
        return failed(name, f"there is no user {USER}", "lb-setup install")
    return ok(name, f"{len(shared)} files as they were installed")


def pipes(machine: Machine) -> Finding:
    """How large the pipes of an ordinary user may be."""
    low = [
        f"{name} is {value}"
        for name, wanted in sysctls().items()
        if (value := machine.read_sysctl(name)) != wanted and not (value.isdecimal() and 0 < int(wanted) <= int(value))
    ]
    if not low:
        return ok("pipes", "up to 256 MiB each")
    text = f"small ones, but for a service with CAP_SYS_RESOURCE: {', '.join(low)}"
    return warning("pipes", text, "lb-setup install")


class _Timex(ctypes.Structure):
    """The beginning of struct timex (adjtimex(2)), and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long), ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long), ("status", ctypes.c_int), ("rest", ctypes.c_long * 32),
    )  # fmt: skip


def clock() -> Finding:
    """Lag and bars are as right as it is."""
    timex = _Timex()
    if ctypes.CDLL(None).adjtimex(ctypes.byref(timex)) < 0:
        return warning("clock", "the kernel does not tell whether it is in sync", "")
    if timex.status & _STA_UNSYNC:
        return warning(
            "clock", "not in sync: lag is told wrongly", "timedatectl set-ntp true (apt install systemd-timesyncd)"
        )
    return ok("clock", f"in sync, within {timex.maxerror / 1000:.0f} ms")


def governor(sysfs: Path) -> Finding:
    governors = {file.read_text().strip() for file in sysfs.glob(_GOVERNORS)}
    if not governors:
        return ok("CPU governor", "none: the machine, or what it is a guest of, decides")
    if governors == {"performance"}:
        return ok("CPU governor", "performance")
    text = f"{', '.join(sorted(governors))}: the first records of a burst come later"
    return warning("CPU governor", text, "cpupower frequency-set -g performance (apt install linux-cpupower)")
