"""The guest's first process: makes the host's tree a throw-away one, brings up what tests need, runs the command,
powers off. Or, with GUEST_SYSTEMD, hands over to systemd, which starts this file once more, to run the command.

Its parameters come from the kernel's command line: GUEST_MACHINE (uml or qemu), GUEST_EXCHANGE, GUEST_MODULES,
GUEST_SHARE and GUEST_SYSTEMD (a folder of packages that the host's tree lacks).

Law: system calls, no commands of the host's. mount(8) hands hostfs its directory in a way that the kernel does not take
from util-linux 2.41 on, a bare Debian has no ip(8), and many have no kmod.
"""

import ctypes
import errno
import fcntl
import os
import shutil
import signal
import socket
import struct
import sys
import termios
import time
import traceback
from pathlib import Path

SYS_FINIT_MODULE = 313  # x86-64, the only machine there is User-mode Linux for
RB_POWER_OFF = 0x4321FEDC
MS_MOVE = 8192
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
INTERFACE_FLAGS = "16sh22x"  # struct ifreq

COMMAND_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MODULES = ("overlay", "tls", "gcm", "ctr", "ghash_generic")
MODULES += ("chacha20poly1305", "chacha", "chacha_generic", "poly1305_generic")
ROOT = Path("/run/root")
SYSTEMD = Path("/usr/lib/systemd/systemd")
MASKED = (
    "systemd-udevd.service",
    "systemd-udev-trigger.service",
    "systemd-firstboot.service",
    "systemd-repart.service",
)
MASKED += ("systemd-update-utmp.service", "systemd-random-seed.service", "systemd-hwdb-update.service")
MASKED += ("systemd-modules-load.service", "systemd-sysctl.service", "kmod-static-nodes.service")
MASKED += ("systemd-tmpfiles-setup.service", "systemd-tmpfiles-setup-dev.service", "systemd-tmpfiles-clean.timer")
MASKED += ("tmp.mount",)
"""Of what systemd brings up, what a guest has no use for, has done already, or must not do: tmpfiles would empty
/tmp, and Debian 13 mounts an empty one, where the shared folder may be."""
UNREADABLE = (".pwd.lock", "shadow", "shadow-", "gshadow", "gshadow-")
"""In /etc, where the host's files are read by an ordinary user: nobody could be made or deleted."""
COMMAND_UNIT = """\
[Unit]
Description=The command that this guest was booted for
[Service]
Type=exec
ExecStart={python} -I -S {init} GUEST_COMMAND
Environment=GUEST_MACHINE={machine}
"""
CONSOLES = {"uml": {"out": (4, 1), "err": (4, 2)}, "qemu": {"out": (4, 65), "err": (4, 66)}}  # qemu: serial ports
DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    if result:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def mount(kind: str, target: Path, options: str = "", *, source: str = "none") -> None:
    words = [os.fsencode(word) for word in (source, target, kind, options)]
    check(libc.mount(*words[:3], ctypes.c_ulong(0), words[3]), f"mount {kind} on {target}")


def share(tag: str, directory: str, target: Path) -> None:
    """The host's own directory, not a throw-away copy."""
    if os.environ["GUEST_MACHINE"] == "uml":
        mount("hostfs", target, directory)
    else:
        mount("9p", target, "trans=virtio,version=9p2000.L,msize=512000", source=tag)


def load_modules(directory: Path) -> None:
    """What `directory` does not have is left out: it is built in, or was merged into others."""
    dependencies = {}
    for line in (directory / "modules.dep").read_text().splitlines():
        path, _, needed = line.partition(":")
        dependencies[Path(path).stem.replace("-", "_")] = [path, *needed.split()]
    for name in MODULES:
        # modules.dep lists what a module needs after it, the deepest last.
        for path in reversed(dependencies.get(name, [])):
            with (directory / path).open("rb") as file:
                if libc.syscall(SYS_FINIT_MODULE, file.fileno(), b"", 0) and ctypes.get_errno() != errno.EEXIST:
                    check(-1, path)


def enter_throw_away_root() -> None:
    """Everything under it can be written to, and is forgotten."""
    upper, work = Path("/run/upper/tree"), Path("/run/upper/work")
    for directory in (upper, work, ROOT):
        directory.mkdir(parents=True)
    lower = "/"
    if packages := os.environ.get("GUEST_SYSTEMD"):
        lower = "/run/packages:/"
        Path("/run/packages").mkdir()
        share("packages", packages, Path("/run/packages"))
    mount("overlay", ROOT, f"lowerdir={lower},upperdir={upper},workdir={work}")
    mount("proc", ROOT / "proc")
    mount("sysfs", ROOT / "sys")
    make_devices(ROOT / "dev")
    mount("tmpfs", ROOT / "run", "mode=755")
    (ROOT / "run/exchange").mkdir()
    share("exchange", os.environ["GUEST_EXCHANGE"], ROOT / "run/exchange")
    if directory := os.environ.get("GUEST_SHARE"):
        share("share", directory, ROOT / directory.lstrip("/"))
    os.chdir(ROOT)
    # As switch_root(8) does: systemd makes roots for its services, which it can't from within a chroot.
    check(libc.mount(b".", b"/", None, ctypes.c_ulong(MS_MOVE), None), "moving the root")
    os.chroot(".")
    os.chdir("/")


def make_devices(dev: Path) -> None:
    mount("tmpfs", dev)
    for name, (major, minor) in (DEVICES | CONSOLES[os.environ["GUEST_MACHINE"]]).items():
        os.mknod(dev / name, 0o020666, os.makedev(major, minor))
        (dev / name).chmod(0o666)
    (dev / "fd").symlink_to("/proc/self/fd")
    (dev / "pts").mkdir()
    mount("devpts", dev / "pts", "ptmxmode=666")
    (dev / "ptmx").symlink_to("pts/ptmx")
    (dev / "shm").mkdir()
    mount("tmpfs", dev / "shm")


def bring_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack(INTERFACE_FLAGS, b"lo", 0))
        _, flags = struct.unpack(INTERFACE_FLAGS, answer)
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack(INTERFACE_FLAGS, b"lo", flags | IFF_UP))


def open_console(name: str) -> int:
    """What is written to it comes out as it is: no carriage returns."""
    fd = os.open(f"/dev/{name}", os.O_WRONLY | os.O_NOCTTY)
    attributes = termios.tcgetattr(fd)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(fd, termios.TCSANOW, attributes)
    return fd


def run_command() -> int:
    """The exit code that a shell would give."""
    out, err = open_console("out"), open_console("err")
    standard = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)]
    standard += [(os.POSIX_SPAWN_DUP2, out, 1), (os.POSIX_SPAWN_DUP2, err, 2)]
    command = os.posix_spawn(
        "/bin/bash", ["bash", "/run/exchange/command"], {"PATH": COMMAND_PATH},
        file_actions=standard, setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
    )  # fmt: skip
    while True:  # orphans are the first process's children, too
        ended, status = os.wait()
        if ended == command:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def is_readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True


def become_systemd() -> None:
    """Its units are its own and the command's: what the host has enabled is the host's affair."""
    units = Path("/run/systemd/system")
    units.mkdir(parents=True)
    command = COMMAND_UNIT.format(python=sys.executable, init=__file__, machine=os.environ["GUEST_MACHINE"])
    (units / "guest.service").write_text(command)
    shutil.rmtree("/etc/systemd/system")
    Path("/etc/systemd/system").mkdir()
    for name in MASKED:
        (units / name).symlink_to("/dev/null")
    Path("/etc/fstab").write_text("")
    for name in UNREADABLE:
        if not is_readable(path := Path("/etc", name)):
            path.unlink(missing_ok=True)
    Path("/.dockerenv").unlink(missing_ok=True)  # the host may be a container, this machine is none
    modules = Path("/usr/lib/modules")
    modules.mkdir(exist_ok=True)
    (modules / os.uname().release).symlink_to(os.environ["GUEST_MODULES"])
    os.execve(SYSTEMD, ["systemd", "--unit=guest.service", "--show-status=no"], {"PATH": COMMAND_PATH})


def run_and_power_off() -> None:
    try:
        code = run_command()
        Path("/run/exchange/exit-code").write_text(f"{code}\n")
    except BaseException:
        traceback.print_exc()
    os.sync()
    libc.reboot(RB_POWER_OFF)
    time.sleep(60)


def main() -> None:
    if sys.argv[1:] == ["GUEST_COMMAND"] and Path("/run/exchange/command").exists():
        run_and_power_off()
    # Safety: the root is the host's tree. Nothing may be done to it, nor to the machine, unless this is the guest.
    if os.getpid() != 1 or "GUEST_MACHINE" not in os.environ:
        raise SystemExit("init.py: this is not a guest's first process")
    try:
        mount("proc", Path("/proc"))
        mount("tmpfs", Path("/run"))
        load_modules(Path(os.environ["GUEST_MODULES"]))
        enter_throw_away_root()
        bring_up_loopback()
        if "GUEST_SYSTEMD" in os.environ:
            become_systemd()
    except BaseException:
        traceback.print_exc()
        libc.reboot(RB_POWER_OFF)
    run_and_power_off()


if __name__ == "__main__":
    main()
