"""The handshake in userspace: the right keys come out, nothing is read too far, and everything wrong has a name.

Most of it runs natively, too: none of it needs the kernel's help.
"""

import datetime
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest
import trustme
from certificates import HOST, Certificate
from record_forge import DATA, HANDSHAKE, Protection, RecordForge
from tls_servers import TlsServer, tls_server

import ktls
from ktls.keylog import KeyLog

pytestmark = pytest.mark.kernel_tls(native=True)

V1_2, V1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)

ContextMaker = Callable[..., ssl.SSLContext]


@contextmanager
def listening(serve: Callable[[socket.socket], object]) -> Iterator[tuple[str, int]]:
    """A server for one connection, in a thread; the connection is closed when `serve` returns."""

    def accept() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(20)
            serve(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            thread.join()


def receive_exactly(sock: socket.socket, wanted_bytes: int) -> bytes:
    """Receive so many bytes."""
    data = b""
    while len(data) < wanted_bytes:
        piece = sock.recv(wanted_bytes - len(data))
        assert piece
        data += piece
    return data


# -- what comes out --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cipher", ktls.CIPHERS, ids=lambda cipher: cipher.name)
@pytest.mark.parametrize("version", [V1_2, V1_3], ids=["1.2", "1.3"])
def test_keys_are_right_and_nothing_is_read_too_far(
    certificates: dict[str, Certificate],
    client_context: ContextMaker,
    tmp_path: Path,
    version: ssl.TLSVersion,
    cipher: ktls.Cipher,
) -> None:
    forges = []

    def serve(connection: socket.socket) -> None:
        certificate = certificates["RSA"]
        forge = RecordForge(connection, certificate.chain, certificate.key, tmp_path / "keylog")
        forges.append(forge)
        # At once, so that it lies right behind the handshake in the client's socket.
        forge.send((DATA, b"first"), (DATA, b"second"))
        assert forge.receive() == (DATA, b"answer")

    with listening(serve) as address, socket.create_connection(address, timeout=20) as sock:
        with ktls.Handshake(client_context(version, cipher), HOST) as handshake:
            handshake.start()
            while not handshake.is_complete:
                sock.sendall(handshake.data_to_send())
                handshake.receive(sock.recv(handshake.wanted_bytes))
            sock.sendall(handshake.data_to_send())
            assert (handshake.session().version, handshake.session().cipher) == (version, cipher)
            tx, rx = handshake.direction_keys()
        suite = handshake.session().suite
        theirs, ours = (
            Protection(version == V1_3, suite, b"", bytes(side.keys.key), bytes(side.keys.iv), side.rec_seq)
            for side in (rx, tx)
        )
        for expected in (b"first", b"second"):
            header = receive_exactly(sock, 5)
            assert theirs.open(header + receive_exactly(sock, int.from_bytes(header[3:]))) == (DATA, expected)
        sock.sendall(ours.seal(DATA, b"answer"))


def record_types(data: bytes) -> list[int]:
    """The type of each record (RFC 8446 section 5.1); a hello's random bytes may look like a header, too."""
    types = []
    while data:
        types.append(data[0])
        data = data[5 + int.from_bytes(data[3:5]) :]
    return types


def test_hello_retry_request(certificates: dict[str, Certificate], client_context: ContextMaker) -> None:
    # The first ClientHello has a key share for X25519, which this server does not take.
    with tls_server("openssl", certificates["ECDSA"].chain, certificates["ECDSA"].key, "-groups", "P-384") as server:
        sock = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        with sock, ktls.Handshake(client_context(V1_3), HOST) as handshake:
            hellos = 0
            handshake.start()
            while not handshake.is_complete:
                data = handshake.data_to_send()
                hellos += record_types(data).count(HANDSHAKE)
                sock.sendall(data)
                handshake.receive(sock.recv(handshake.wanted_bytes))
            handshake.direction_keys()
    assert hellos == 2


def test_data_beyond_what_is_wanted_is_refused(client_context: ContextMaker) -> None:
    with ktls.Handshake(client_context(), HOST) as handshake:
        handshake.start()
        with pytest.raises(ValueError, match="received 6 bytes, wanted at most 5 bytes"):
            handshake.receive(bytes(6))


# -- certificates ----------------------------------------------------------------------------------------------


@pytest.fixture
def python_server(certificates: dict[str, Certificate]) -> Iterator[TlsServer]:
    """A server with a certificate that is right for HOST."""
    with tls_server("python", certificates["ECDSA"].chain, certificates["ECDSA"].key) as server:
        yield server


def test_wrong_host_is_refused(python_server: TlsServer, client_context: ContextMaker) -> None:
    with pytest.raises(ktls.CertificateRefused, match=r"Hostname mismatch.*'other\.example'") as refused:
        ktls.connect(("127.0.0.1", python_server.port), client_context(), "other.example")
    assert not refused.value.retry


def test_unknown_authority_is_refused(python_server: TlsServer, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    with pytest.raises(ktls.CertificateRefused, match="unable to get local issuer certificate"):
        ktls.connect(("127.0.0.1", python_server.port), ktls.create_context(str(tmp_path / "other.pem")), HOST)


@pytest.mark.parametrize(
    ("not_before", "not_after", "reason"),
    [(NOW - 2 * DAY, NOW - DAY, "certificate has expired"), (NOW + DAY, NOW + 2 * DAY, "certificate is not yet valid")],
    ids=["expired", "not-yet-valid"],
)
def test_certificate_out_of_its_time_is_refused(
    authority: trustme.CA,
    client_context: ContextMaker,
    tmp_path: Path,
    not_before: datetime.datetime,
    not_after: datetime.datetime,
    reason: str,
) -> None:
    issued = authority.issue_cert(HOST, not_before=not_before, not_after=not_after)
    (tmp_path / "chain.pem").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    with (
        tls_server("python", tmp_path / "chain.pem", tmp_path / "key.pem") as server,
        pytest.raises(ktls.CertificateRefused, match=reason),
    ):
        ktls.connect(("127.0.0.1", server.port), client_context(), HOST)


def test_server_is_told_why_its_certificate_was_refused(
    certificates: dict[str, Certificate], client_context: ContextMaker
) -> None:
    told = []

    def serve(connection: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates["RSA"].chain, certificates["RSA"].key)
        with pytest.raises(ssl.SSLError) as error:
            context.wrap_socket(connection, server_side=True)
        told.append(error.value.reason)

    with listening(serve) as address, pytest.raises(ktls.CertificateRefused):
        ktls.connect(address, client_context(V1_2), "other.example")
    assert told == ["SSLV3_ALERT_BAD_CERTIFICATE"]


@pytest.mark.parametrize("unchecked", ["certificates", "names"])
def test_context_that_does_not_check_is_refused_unless_it_is_meant(
    client_context: ContextMaker, unchecked: str
) -> None:
    context = client_context()
    context.check_hostname = False
    if unchecked == "certificates":
        context.verify_mode = ssl.CERT_NONE
    with pytest.raises(ktls.ContextRefused, match=r"SSLContext\.(verify_mode|check_hostname)"):
        ktls.connect(("127.0.0.1", 9), context, HOST)
    with ktls.Handshake(context, HOST, allow_unverified=True) as handshake:
        handshake.start()
        assert handshake.data_to_send()


# -- servers that do not do their part -------------------------------------------------------------------------


def test_server_that_says_nothing_times_out(client_context: ContextMaker) -> None:
    done = threading.Event()
    with listening(lambda _: done.wait(20)) as address:
        with pytest.raises(ktls.HandshakeTimeout, match=r"timeout_s=0\.05") as timed_out:
            ktls.connect(address, client_context(), HOST, timeout_s=0.05)
        done.set()
    assert isinstance(timed_out.value, TimeoutError)
    assert timed_out.value.retry


def test_server_that_closes_is_named(client_context: ContextMaker) -> None:
    with (
        listening(lambda connection: connection.recv(65536)) as address,
        pytest.raises(ktls.HandshakeCut, match="closed the connection during the TLS handshake"),
    ):
        ktls.connect(address, client_context(), HOST)


def test_server_that_resets_is_named(client_context: ContextMaker) -> None:
    with (
        # Closing with unread data resets.
        listening(lambda connection: connection.recv(1)) as address,
        pytest.raises(ktls.HandshakeCut, match="reset the connection"),
    ):
        ktls.connect(address, client_context(), HOST)


def test_server_that_speaks_no_tls_is_named(client_context: ContextMaker) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad\r\n")

    with (
        listening(serve) as address,
        pytest.raises(ktls.HandshakeFailed, match=r"does not speak TLS: its record starts with b'HTTP/'"),
    ):
        ktls.connect(address, client_context(), HOST)


def test_alert_during_the_handshake_is_named(
    certificates: dict[str, Certificate], client_context: ContextMaker
) -> None:
    chain, key = certificates["RSA"].chain, certificates["RSA"].key
    with (
        tls_server("openssl", chain, key, "-tls1_2") as server,
        pytest.raises(ktls.AlertReceived, match="alert protocol_version during the handshake") as raised,
    ):
        ktls.connect(("127.0.0.1", server.port), client_context(V1_3), HOST)
    assert not raised.value.retry


def test_suite_the_kernel_lacks_is_named(certificates: dict[str, Certificate], client_context: ContextMaker) -> None:
    context = client_context(V1_2)
    context.set_ciphers("ECDHE-RSA-AES128-SHA256")
    chain, key = certificates["RSA"].chain, certificates["RSA"].key
    with (
        tls_server("openssl", chain, key) as server,
        pytest.raises(ktls.KernelUnsupported, match=r"no keys for TLSv1\.2 with ECDHE-RSA-AES128-SHA256"),
    ):
        ktls.connect(("127.0.0.1", server.port), context, HOST)


def test_kernel_without_tls_is_named_and_the_connection_closed(
    certificates: dict[str, Certificate], client_context: ContextMaker, tmp_path: Path
) -> None:
    if ktls.probe().has_ulp:
        pytest.skip("this kernel has TLS")
    seen: list[tuple[int, bytes]] = []

    def serve(connection: socket.socket) -> None:
        certificate = certificates["RSA"]
        seen.extend(RecordForge(connection, certificate.chain, certificate.key, tmp_path / "keylog").records())

    with listening(serve) as address:
        sock = socket.create_connection(address)
        with pytest.raises(ktls.KernelUnsupported, match="has no TLS module loaded"):
            ktls.connect(sock, client_context(), HOST)
        assert sock.fileno() == -1
    assert seen == []


# -- secrets ---------------------------------------------------------------------------------------------------


def open_descriptors() -> int:
    """How many file descriptors this process has."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize("has_own", [False, True], ids=["no key log before", "a key log of the user's before"])
def test_context_is_given_back_as_it_was(client_context: ContextMaker, tmp_path: Path, has_own: bool) -> None:
    context = client_context()
    own = str(tmp_path / "own") if has_own else None
    context.keylog_filename = own  # type: ignore[assignment]
    before = open_descriptors()
    with ktls.Handshake(context, HOST):
        assert context.keylog_filename.startswith("/proc/self/fd/")
    assert context.keylog_filename == own
    context.keylog_filename = None  # type: ignore[assignment]
    assert open_descriptors() == before - has_own


def test_key_log_is_in_memory_and_wiped(client_context: ContextMaker) -> None:
    context = client_context()
    with KeyLog(context, None) as keylog:
        path = context.keylog_filename
        assert str(Path(path).readlink()).startswith("/memfd:")
        with Path(path).open("ab") as file:
            file.write(b"CLIENT_RANDOM " + b"00" * 32 + b" " + b"ab" * 48 + b"\n")
        assert keylog.secret("CLIENT_RANDOM", bytes(32)) == bytearray(b"\xab" * 48)
        assert keylog.secret("CLIENT_RANDOM", bytes(31) + b"\1") is None
        assert keylog.secret("CLIENT_TRAFFIC_SECRET_0", bytes(32)) is None
        outlives = os.open(path, os.O_RDONLY)
    try:
        left = os.read(outlives, 65536)
    finally:
        os.close(outlives)
    assert left
    assert not left.strip(b"\0")


def test_second_handshake_with_a_context_waits_for_the_first(client_context: ContextMaker) -> None:
    context = client_context()
    with (
        ktls.Handshake(context, HOST),
        pytest.raises(ktls.HandshakeTimeout, match="another handshake with the same SSLContext"),
        ktls.Handshake(context, HOST, deadline=monotonic() + 0.01),
    ):
        raise AssertionError("two handshakes shared a key log")
    with ktls.Handshake(context, HOST, deadline=monotonic()):
        pass


def test_process_without_root_and_dumps_can_connect(
    python_server: TlsServer, certificates: dict[str, Certificate]
) -> None:
    authority = certificates["ECDSA"].authority.read_text()
    program = """if True:
        import os, ssl, sys
        import encodings.ascii, encodings.idna  # what nobody may not read must be there before
        import ktls
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        ktls.set_dumpable(False)
        context = ssl.create_default_context(cadata=sys.stdin.read())
        try:
            ktls.connect(("127.0.0.1", int(sys.argv[1])), context, "feed.example").close()
        except ktls.KernelUnsupported:
            assert not ktls.probe().usable
        print("done")
    """
    command = [sys.executable, "-c", program, str(python_server.port)]
    done = subprocess.run(command, input=authority, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)


def test_dumpable_is_what_it_was_set_to() -> None:
    program = """if True:
        import ctypes, ktls
        PR_GET_DUMPABLE = 3
        for dumpable in (False, True):
            ktls.set_dumpable(dumpable)
            print(ctypes.CDLL(None).prctl(PR_GET_DUMPABLE))
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n1\n"
