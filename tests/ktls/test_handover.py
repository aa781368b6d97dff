"""Every version x cipher x server stack: the session really is in the kernel, and what comes back is what was sent."""

import socket
import ssl
from collections.abc import Callable

import pytest
from certificates import HOST
from tls_servers import STACKS, TlsServer

import ktls
from ktls import kernel

pytestmark = pytest.mark.kernel_tls

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
SERVERS = [f"{stack}-{key_type}" for stack in STACKS for key_type in ("RSA", "ECDSA")]


def receive_exactly(sock: socket.socket, wanted_bytes: int) -> bytes:
    """Receive so many bytes."""
    data = b""
    while len(data) < wanted_bytes:
        piece = sock.recv(wanted_bytes - len(data))
        assert piece, f"stream ends after {len(data)} bytes, expected {wanted_bytes} bytes"
        data += piece
    return data


@pytest.mark.parametrize("cipher", ktls.CIPHERS, ids=lambda cipher: cipher.name)
@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
@pytest.mark.parametrize("server", SERVERS, indirect=True)
def test_session_is_in_the_kernel_and_echoes(
    server: TlsServer,
    client_context: Callable[..., ssl.SSLContext],
    version: ssl.TLSVersion,
    cipher: ktls.Cipher,
) -> None:
    before = kernel.tls_stat()
    with ktls.connect(("127.0.0.1", server.port), client_context(version, cipher), HOST) as sock:
        assert (sock.session.version, sock.session.cipher) == (version, cipher)
        assert kernel.ulp_name(sock) == "tls"
        for direction in (kernel.TX, kernel.RX):
            assert kernel.version_and_cipher(sock, direction) == (version, cipher.kernel_number)
        after = kernel.tls_stat()
        assert after["TlsTxSw"] == before["TlsTxSw"] + 1
        assert after["TlsRxSw"] == before["TlsRxSw"] + 1
        for line in (b"a line\n", bytes(range(48, 112)) * 15 + b"\n"):
            sock.sendall(line)
            assert receive_exactly(sock, len(line)) == server.answer(line)
    assert kernel.tls_stat()["TlsDecryptError"] == before["TlsDecryptError"]
