"""`ktls.probe()` and `python -m ktls`, on kernels with TLS and without."""

import dataclasses
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest
from certificates import Certificate
from tls_servers import TlsServer

import ktls

pytestmark = pytest.mark.kernel_tls(native=True)


def run_ktls(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m ktls`."""
    return subprocess.run([sys.executable, "-m", "ktls", *arguments], capture_output=True, text=True, check=False)


def has_tls() -> bool:
    """What the kernel itself says, without our code."""
    return "tls" in Path("/proc/sys/net/ipv4/tcp_available_ulp").read_text().split()


def test_probe_tells_what_this_kernel_can() -> None:
    found = ktls.probe()
    assert found.kernel_release == platform.release()
    assert found.has_ulp == found.usable == has_tls()
    if has_tls():
        version = tuple(int(number) for number in re.findall(r"\d+", platform.release())[:2])
        assert len(found.ciphers) == 6
        assert found.can_rekey == (version >= (6, 14))
        assert found.missing is None
    else:
        assert found.ciphers == frozenset()
        assert found.missing
        assert found.remedy
        assert "modprobe tls" in found.remedy
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.has_ulp = True  # type: ignore[misc]


def test_probe_leaves_nothing_behind() -> None:
    def state() -> tuple[bool, int, str]:
        descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
        return has_tls(), descriptors, Path("/proc/modules").read_text() if Path("/proc/modules").exists() else ""

    before = state()
    assert ktls.probe() == ktls.probe()
    assert state() == before


@pytest.mark.parametrize("loopback", ["down", "up"])
def test_probe_in_a_network_namespace_of_its_own(loopback: str) -> None:
    """As in a container, where fewer files of /proc/sys can be seen."""
    bring_up = "import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh22x', b'lo', 1))"
    program = "import runpy; runpy.run_module('ktls', run_name='__main__')"
    if loopback == "up":  # a new one is down; SIOCSIFFLAGS with IFF_UP, netdevice(7)
        program = f"{bring_up}; {program}"
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    unshare = ["unshare", *as_root, "--net", sys.executable, "-c", program]
    done = subprocess.run(unshare, capture_output=True, text=True, check=False)
    if "unshare failed" in done.stderr:
        pytest.skip("no new network namespaces here")
    if not has_tls():
        assert "has no TLS" in done.stdout
    elif loopback == "up":
        assert "TLS 1.3 AES-128-GCM" in done.stdout
    else:
        assert "ip link set lo up" in done.stdout
    assert done.returncode == (0 if has_tls() and loopback == "up" else os.EX_UNAVAILABLE)


def test_command_prints_it_for_a_person() -> None:
    done = run_ktls()
    assert platform.release() in done.stdout
    assert done.stderr == ""
    if has_tls():
        assert done.returncode == 0
        assert "TLS 1.3 CHACHA20-POLY1305" in done.stdout
    else:
        assert done.returncode == os.EX_UNAVAILABLE
        assert re.search(r"^remedy +modprobe tls", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("server", ["openssl-ECDSA"], indirect=True)
def test_command_with_a_server_shows_the_evidence(server: TlsServer, certificates: dict[str, Certificate]) -> None:
    done = run_ktls(f"127.0.0.1:{server.port}", "--cafile", str(certificates["ECDSA"].authority))
    if has_tls():
        assert (done.stderr, done.returncode) == ("", 0)
        assert re.search(r"^agreed on +TLS 1\.3 AES-256-GCM \(TLS_AES_256_GCM_SHA384\)$", done.stdout, re.MULTILINE)
        assert re.search(r"^TCP_ULP +tls$", done.stdout, re.MULTILINE)
        assert re.search(r"^TLS_RX +TLS 1\.3 AES-256-GCM$", done.stdout, re.MULTILINE)
        (counts,) = re.findall(r"^TlsRxSw +(\d+) -> (\d+)$", done.stdout, re.MULTILINE)
        assert int(counts[1]) == int(counts[0]) + 1
    else:
        assert (done.stdout, done.returncode) == ("", os.EX_UNAVAILABLE)
        assert "has no TLS module loaded" in done.stderr


def test_command_with_a_bad_address() -> None:
    done = run_ktls("no-port")
    assert done.returncode == 2
    assert "expected HOST:PORT, got 'no-port'" in done.stderr
