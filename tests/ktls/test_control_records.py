"""What a peer may send besides data, and where: tickets, key updates, alerts, close_notify, empty and odd records."""

import os
import select
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from certificates import HOST, Certificate
from record_forge import ALERT, CLOSE_NOTIFY, DATA, HANDSHAKE, RecordForge, ticket

import ktls
from ktls import kernel

pytestmark = pytest.mark.kernel_tls

V1_2, V1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
BOTH_VERSIONS = pytest.mark.parametrize("version", [V1_2, V1_3], ids=["1.2", "1.3"])
EVERY_CIPHER = pytest.mark.parametrize("cipher", ktls.CIPHERS, ids=lambda cipher: cipher.name)

Pair = tuple[ktls.Socket, RecordForge]
Connect = Callable[..., Pair]


@pytest.fixture
def connected(
    certificates: dict[str, Certificate], client_context: Callable[..., ssl.SSLContext], tmp_path: Path
) -> Iterator[Connect]:
    """Makes a pair: a handed-over socket, and the forge at its other end. Both have a timeout of 20 s."""
    opened: list[socket.socket] = []

    def make(version: ssl.TLSVersion = V1_3, cipher: ktls.Cipher = ktls.AES_128_GCM) -> Pair:
        forges: list[RecordForge] = []

        def serve() -> None:
            connection, _ = listener.accept()
            connection.settimeout(20)
            opened.append(connection)
            certificate = certificates["ECDSA"]
            keylog = tmp_path / f"keylog-{len(opened)}"
            forges.append(RecordForge(connection, certificate.chain, certificate.key, keylog))

        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=serve)
            thread.start()
            sock = ktls.connect(listener.getsockname(), client_context(version, cipher), HOST, timeout_s=20)
            opened.append(sock)
            thread.join()
        return sock, forges[0]

    yield make
    for sock in opened:
        sock.close()


def receive_all(sock: ktls.Socket, wanted_bytes: int) -> bytes:
    """Receive so many bytes, with buffers larger than that."""
    data = b""
    while len(data) < wanted_bytes:
        piece = sock.recv(1 << 18)
        assert piece, f"stream ends after {len(data)} bytes, expected {wanted_bytes} bytes"
        data += piece
    return data


# -- data -----------------------------------------------------------------------------------------------------


@BOTH_VERSIONS
@EVERY_CIPHER
def test_records_of_every_size_both_ways(connected: Connect, version: ssl.TLSVersion, cipher: ktls.Cipher) -> None:
    sock, forge = connected(version, cipher)
    payloads = [b"1", b"", b"x" * 16384, b"", b"", b"yz", b"w" * 16383, b"end"]
    forge.send(*((DATA, payload) for payload in payloads))
    expected = b"".join(payloads)
    assert receive_all(sock, len(expected)) == expected
    sock.sendall(b"u" * 40000)
    sent = b""
    while len(sent) < 40000:
        kind, payload = forge.receive()
        assert kind == DATA
        sent += payload
    assert sent == b"u" * 40000


def test_empty_record_alone_is_no_end_of_stream(connected: Connect) -> None:
    sock, forge = connected()
    forge.send((DATA, b""), (HANDSHAKE, ticket()), (DATA, b""), (DATA, b"data"))
    assert sock.recv(100) == b"data"


def test_padded_records_lose_their_padding(connected: Connect) -> None:
    sock, forge = connected()
    forge.send_raw(forge.ours.seal(DATA, b"padded", padding_bytes=500) + forge.ours.seal(DATA, b"", padding_bytes=9))
    forge.send((DATA, b" or not"))
    assert receive_all(sock, 13) == b"padded or not"


@EVERY_CIPHER
def test_padded_record_leaves_no_trace_in_data_read_with_it(connected: Connect, cipher: ktls.Cipher) -> None:
    """Linux 6.1 and 6.12 let the padding through with TLS_RX_EXPECT_NO_PAD."""
    sock, forge = connected(V1_3, cipher)
    payloads = [b"%04d" % number for number in range(20)]
    forge.send_raw(b"".join(forge.ours.seal(DATA, payload, padding_bytes=100) for payload in payloads))
    assert receive_all(sock, 80) == b"".join(payloads)


def test_record_that_arrives_byte_by_byte_is_waited_for(connected: Connect) -> None:
    sock, forge = connected()
    forge.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    record = forge.ours.seal(DATA, b"slow")

    def send_slowly() -> None:
        for byte in record:
            forge.send_raw(bytes([byte]))

    thread = threading.Thread(target=send_slowly)
    thread.start()
    assert receive_all(sock, 4) == b"slow"
    thread.join()


def test_non_blocking_socket_never_blocks(connected: Connect) -> None:
    sock, forge = connected()
    sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        sock.recv(10)
    forge.send((HANDSHAKE, ticket()))
    select.select([sock], [], [])
    with pytest.raises(BlockingIOError):
        sock.recv(10)
    forge.send((DATA, b"now"))
    sock.settimeout(20)
    assert sock.recv(10) == b"now"


def test_timeout_holds_although_tickets_arrive(connected: Connect) -> None:
    sock, forge = connected()
    forge.send((HANDSHAKE, ticket()))
    sock.settimeout(0.05)
    with pytest.raises(TimeoutError, match="timed out"):
        sock.recv(10)
    forge.send((DATA, b"later"))
    sock.settimeout(20)
    assert sock.recv(10) == b"later"


def test_half_a_record_times_out(connected: Connect) -> None:
    sock, forge = connected()
    record = forge.ours.seal(DATA, b"whole")
    forge.send_raw(record[:10])
    sock.settimeout(0.05)
    with pytest.raises(TimeoutError, match="timed out"):
        sock.recv(10)
    forge.send_raw(record[10:])
    sock.settimeout(20)
    assert sock.recv(10) == b"whole"


def test_calls_of_a_plain_socket_work(connected: Connect, tmp_path: Path) -> None:
    sock, forge = connected()
    buffer = bytearray(8)
    forge.send((HANDSHAKE, ticket()), (DATA, b"abcdefghij"))
    assert sock.recv_into(buffer, 4) == 4
    assert buffer == b"abcd\0\0\0\0"
    assert sock.recvfrom(2) == (b"ef", None)
    assert sock.recvfrom_into(buffer) == (4, None)
    assert buffer[:4] == b"ghij"
    assert sock.recv(0) == b""
    assert sock.pending() == 0
    assert sock.sendmsg([b"one", b"two"]) == 6
    assert forge.receive() == (DATA, b"onetwo")
    assert sock.send(b"three") == 5
    assert forge.receive() == (DATA, b"three")
    (tmp_path / "file").write_bytes(b"from a file")
    with (tmp_path / "file").open("rb") as file:
        assert sock.sendfile(file) == 11
    assert forge.receive() == (DATA, b"from a file")
    forge.send((DATA, b"a line\n"))
    with sock.makefile("rb") as reader:
        assert reader.readline() == b"a line\n"
    with pytest.raises(ValueError, match="MSG_PEEK"):
        sock.recv(1, socket.MSG_PEEK)
    with pytest.raises(NotImplementedError, match="cannot be duplicated"):
        sock.dup()


# -- tickets --------------------------------------------------------------------------------------------------


@EVERY_CIPHER
def test_tickets_before_within_and_after_data(connected: Connect, cipher: ktls.Cipher) -> None:
    sock, forge = connected(V1_3, cipher)
    forge.send((HANDSHAKE, ticket(0)), (HANDSHAKE, ticket(1)), (DATA, b"one"), (HANDSHAKE, ticket(2)), (DATA, b"two"))
    assert receive_all(sock, 6) == b"onetwo"
    forge.send((HANDSHAKE, ticket(3)), (ALERT, CLOSE_NOTIFY))
    assert sock.recv(100) == b""


def test_two_tickets_in_one_record_and_one_in_two(connected: Connect) -> None:
    sock, forge = connected()
    split = ticket(2)
    forge.send((HANDSHAKE, ticket(0) + ticket(1)), (HANDSHAKE, split[:3]), (HANDSHAKE, split[3:]), (DATA, b"data"))
    assert sock.recv(100) == b"data"


def test_tickets_and_alerts_are_joined_from_small_reads(connected: Connect) -> None:
    sock, forge = connected()
    forge.send((HANDSHAKE, ticket(0)), (DATA, b"ab"), (HANDSHAKE, ticket(1)), (ALERT, CLOSE_NOTIFY))
    assert [sock.recv(1) for _ in range(3)] == [b"a", b"b", b""]


# -- key updates ----------------------------------------------------------------------------------------------


@EVERY_CIPHER
@pytest.mark.parametrize("request_answer", [False, True], ids=["plain", "with-request"])
def test_key_update_of_the_peer(connected: Connect, cipher: ktls.Cipher, request_answer: bool) -> None:
    sock, forge = connected(V1_3, cipher)
    forge.send((DATA, b"before"))
    assert receive_all(sock, 6) == b"before"
    forge.update_keys(request=request_answer)
    forge.send((DATA, b"after"))
    if not kernel.can_rekey():
        with pytest.raises(ktls.RekeyUnsupported, match="before 6") as lost:
            sock.recv(100)
        assert lost.value.retry
        return
    assert receive_all(sock, 5) == b"after"
    if request_answer:
        assert forge.receive_key_update() == 0
    sock.sendall(b"answer")
    assert forge.receive() == (DATA, b"answer")


@pytest.mark.parametrize("timeout_s", [20, None], ids=["timeout", "blocking"])
def test_key_update_in_small_reads(connected: Connect, timeout_s: float | None) -> None:
    if not kernel.can_rekey():
        pytest.skip("this kernel cannot change keys")
    sock, forge = connected()
    sock.settimeout(timeout_s)
    forge.update_keys(request=True)
    forge.send((DATA, b"ab"))
    assert [sock.recv(1), sock.recv(1)] == [b"a", b"b"]
    assert forge.receive_key_update() == 0


@pytest.mark.parametrize("timeout_s", [20, None], ids=["timeout", "blocking"])
def test_key_update_that_was_read_with_the_data_before_it(connected: Connect, timeout_s: float | None) -> None:
    if not kernel.can_rekey():
        pytest.skip("this kernel cannot change keys")
    sock, forge = connected()
    sock.settimeout(timeout_s)
    forge.send_raw(forge.ours.seal(DATA, b"before") + forge.ours.seal(HANDSHAKE, b"\x18\0\0\1\1"))
    forge.ours = forge.next_generation(forge.ours)
    forge.send((DATA, b"after"))
    # With a larger buffer than the data needs, the kernel reads on into the key update, and keeps it.
    assert sock.recv(100) == b"before"
    assert select.select([sock], [], [], 0) == ([], [], [])
    assert sock.recv(100) == b"after"
    assert forge.receive_key_update() == 0


def test_many_key_updates_in_a_row(connected: Connect) -> None:
    if not kernel.can_rekey():
        pytest.skip("this kernel cannot change keys")
    sock, forge = connected()
    before = kernel.tls_stat()
    for number in range(20):
        forge.update_keys(request=number % 2 == 1)
        if number % 3 == 0:
            forge.send((DATA, b"%02d" % number), (HANDSHAKE, ticket()))
    expected = b"".join(b"%02d" % number for number in range(0, 20, 3))
    assert receive_all(sock, len(expected)) == expected
    # The last update came after the last data.
    forge.send((DATA, b"end"))
    assert sock.recv(100) == b"end"
    answered = [forge.receive_key_update() for _ in range(10)]
    assert answered == [0] * 10
    after = kernel.tls_stat()
    assert after["TlsRxRekeyOk"] == before["TlsRxRekeyOk"] + 20
    assert after["TlsTxRekeyOk"] == before["TlsTxRekeyOk"] + 10


def test_answer_that_has_no_room_goes_out_before_the_next_data(connected: Connect) -> None:
    if not kernel.can_rekey():
        pytest.skip("this kernel cannot change keys")
    sock, forge = connected()
    sock.setblocking(False)
    queued = 0
    with suppress(BlockingIOError):
        while True:
            queued += sock.send(bytes(1 << 16))
    for _ in range(3):
        forge.update_keys(request=True)
    forge.send((DATA, b"data"))
    sock.settimeout(20)
    assert sock.recv(100) == b"data"
    drained = 0
    while drained < queued:
        kind, payload = forge.receive()
        assert kind == DATA
        drained += len(payload)
    sock.sendall(b"more")
    assert forge.receive_key_update() == 0
    assert forge.receive() == (DATA, b"more")


def test_key_updates_are_answered_while_another_thread_sends(connected: Connect) -> None:
    if not kernel.can_rekey():
        pytest.skip("this kernel cannot change keys")
    sock, forge = connected()
    updates = 600
    received_all = threading.Event()

    def send_until_all_is_received() -> None:
        while not received_all.is_set():
            sock.sendall(b"data")
        sock.sendall(b"end")

    def update_often() -> None:
        for _ in range(updates):
            forge.update_keys(request=True)
            forge.send((DATA, b"."))

    def read() -> None:
        assert receive_all(sock, updates) == b"." * updates
        received_all.set()

    threads = [threading.Thread(target=work) for work in (send_until_all_is_received, update_often, read)]
    switch_interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        # A record under keys that do not fit would not open.
        while (record := forge.receive()) != (DATA, b"end"):
            if record[0] == HANDSHAKE:
                forge.theirs = forge.next_generation(forge.theirs)
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switch_interval_s)


@EVERY_CIPHER
def test_key_updates_of_our_own(connected: Connect, cipher: ktls.Cipher) -> None:
    sock, forge = connected(V1_3, cipher)
    if not kernel.can_rekey():
        with pytest.raises(ktls.RekeyUnsupported):
            sock.update_keys()
        sock.sendall(b"still up")
        assert forge.receive() == (DATA, b"still up")
        return
    for request_peer in (False, True, False):
        sock.update_keys(request_peer=request_peer)
        assert forge.receive_key_update() == request_peer
        sock.sendall(b"data")
        assert forge.receive() == (DATA, b"data")


def test_key_update_under_tls_1_2_is_refused(connected: Connect) -> None:
    sock, forge = connected(V1_2)
    with pytest.raises(ktls.RekeyUnsupported):
        sock.update_keys()
    forge.send((HANDSHAKE, b"\x18\0\0\1\0"))
    with pytest.raises(ktls.UnexpectedMessage, match="type 24"):
        sock.recv(100)


@pytest.mark.parametrize("message", [b"\x18\0\0\1\2", b"\x18\0\0\2\0\0", b"\x18\0\0\0"])
def test_malformed_key_update_is_refused(connected: Connect, message: bytes) -> None:
    sock, forge = connected()
    forge.send((HANDSHAKE, message))
    with pytest.raises(ktls.UnexpectedMessage, match="malformed key update"):
        sock.recv(100)
    assert forge.receive() == (ALERT, bytes([2, 10]))


# -- alerts and other messages --------------------------------------------------------------------------------


@BOTH_VERSIONS
@pytest.mark.parametrize(
    ("code", "name", "retry"), [(80, "internal_error", True), (49, "access_denied", False), (200, "number 200", True)]
)
def test_alert_in_mid_stream(connected: Connect, version: ssl.TLSVersion, code: int, name: str, retry: bool) -> None:
    sock, forge = connected(version)
    forge.send((DATA, b"data"), (ALERT, bytes([2, code])))
    assert sock.recv(100) == b"data"
    with pytest.raises(ktls.AlertReceived, match=f"TLS alert {name} in mid-stream") as raised:
        sock.recv(100)
    assert (raised.value.alert, raised.value.retry) == (name, retry)


def test_warnings_of_tls_1_2_and_hello_request_are_passed_over(connected: Connect) -> None:
    sock, forge = connected(V1_2)
    forge.send((ALERT, bytes([1, 100])), (HANDSHAKE, bytes(4)), (DATA, b"data"))
    assert sock.recv(100) == b"data"


def test_user_canceled_is_passed_over_and_other_warnings_of_tls_1_3_are_fatal(connected: Connect) -> None:
    sock, forge = connected()
    forge.send((ALERT, bytes([1, 90])), (DATA, b"data"), (ALERT, bytes([1, 100])))
    assert sock.recv(100) == b"data"
    with pytest.raises(ktls.AlertReceived, match="no_renegotiation"):
        sock.recv(100)


@pytest.mark.parametrize("message", [b"\x0d\0\0\x01\0", b"\x02\0\0\x01\0"], ids=["CertificateRequest", "ServerHello"])
def test_handshake_message_out_of_place_is_refused_with_an_alert(connected: Connect, message: bytes) -> None:
    sock, forge = connected()
    forge.send((HANDSHAKE, message))
    with pytest.raises(ktls.UnexpectedMessage, match=f"type {message[0]}"):
        sock.recv(100)
    assert forge.receive() == (ALERT, bytes([2, 10]))


def test_handshake_message_without_end_is_refused_at_once(connected: Connect) -> None:
    sock, forge = connected()
    forge.send((HANDSHAKE, b"\x04\xff\xff\xff"))
    with pytest.raises(ktls.UnexpectedMessage, match="16777215 bytes exceeds 131072 bytes"):
        sock.recv(100)


# -- endings --------------------------------------------------------------------------------------------------


@BOTH_VERSIONS
def test_close_notify_is_a_clean_end(connected: Connect, version: ssl.TLSVersion) -> None:
    sock, forge = connected(version)
    forge.send((DATA, b"data"), (ALERT, CLOSE_NOTIFY))
    assert [sock.recv(100), sock.recv(100), sock.recv(100)] == [b"data", b"", b""]
    sock.sendall(b"the other direction is still open")
    assert forge.receive() == (DATA, b"the other direction is still open")


@BOTH_VERSIONS
def test_fin_without_close_notify_is_a_truncation(connected: Connect, version: ssl.TLSVersion) -> None:
    sock, forge = connected(version)
    forge.send((DATA, b"data"))
    forge.connection.shutdown(socket.SHUT_WR)
    assert sock.recv(100) == b"data"
    with pytest.raises(ktls.Truncated, match="without close_notify") as raised:
        sock.recv(100)
    assert raised.value.retry


@BOTH_VERSIONS
def test_fin_inside_a_record_is_a_truncation(connected: Connect, version: ssl.TLSVersion) -> None:
    sock, forge = connected(version)
    forge.send((DATA, b"data"))
    forge.send_raw(forge.ours.seal(DATA, b"never complete")[:-1])
    forge.connection.shutdown(socket.SHUT_WR)
    assert sock.recv(100) == b"data"
    with pytest.raises(ktls.Truncated):
        sock.recv(100)


def test_reset_is_a_reset(connected: Connect) -> None:
    sock, forge = connected()
    forge.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
    forge.connection.close()
    with pytest.raises(ConnectionResetError):
        sock.recv(100)


@BOTH_VERSIONS
@pytest.mark.parametrize("how", ["close", "shutdown", "context manager"])
def test_our_end_is_told_with_one_close_notify(connected: Connect, version: ssl.TLSVersion, how: str) -> None:
    sock, forge = connected(version)
    sock.sendall(b"data")
    if how == "shutdown":
        sock.shutdown(socket.SHUT_RDWR)
        sock.close()
    elif how == "close":
        sock.close()
        sock.close()
    else:
        with sock:
            pass
    assert list(forge.records()) == [(DATA, b"data"), (ALERT, CLOSE_NOTIFY)]


def test_close_waits_for_the_last_makefile(connected: Connect) -> None:
    sock, forge = connected()
    reader = sock.makefile("rb")
    sock.close()
    forge.send((DATA, b"line\n"))
    assert reader.readline() == b"line\n"
    reader.close()
    assert list(forge.records()) == [(ALERT, CLOSE_NOTIFY)]


def test_close_does_not_wait_for_room(connected: Connect) -> None:
    sock, _ = connected()
    sock.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            sock.send(bytes(1 << 16))
    sock.setblocking(True)
    sock.close()
    assert sock.fileno() == -1


# -- records that are wrong -----------------------------------------------------------------------------------


@BOTH_VERSIONS
@EVERY_CIPHER
def test_flipped_tag_bit_is_a_forgery(connected: Connect, version: ssl.TLSVersion, cipher: ktls.Cipher) -> None:
    sock, forge = connected(version, cipher)
    before = kernel.tls_stat()
    record = bytearray(forge.ours.seal(DATA, b"data"))
    record[-1] ^= 1
    forge.send_raw(bytes(record))
    with pytest.raises(ktls.RecordForged, match="authentication tag") as raised:
        sock.recv(100)
    assert raised.value.retry
    assert kernel.tls_stat()["TlsDecryptError"] == before["TlsDecryptError"] + 1


@BOTH_VERSIONS
def test_record_sent_twice_is_a_forgery(connected: Connect, version: ssl.TLSVersion) -> None:
    sock, forge = connected(version)
    record = forge.ours.seal(DATA, b"data")
    forge.send_raw(record + record)
    assert sock.recv(4) == b"data"
    with pytest.raises(ktls.RecordForged):
        sock.recv(100)


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x17\x03\x03\xff\xff" + bytes(100)])
def test_garbage_is_no_record(connected: Connect, garbage: bytes) -> None:
    sock, forge = connected()
    forge.send_raw(garbage)
    with pytest.raises(ktls.RecordMalformed):
        sock.recv(100)


@BOTH_VERSIONS
def test_record_of_16_kib_and_1_byte_is_too_long(connected: Connect, version: ssl.TLSVersion) -> None:
    sock, forge = connected(version)
    forge.send((DATA, bytes(16385)))
    with pytest.raises((ktls.RecordMalformed, ktls.RecordForged)):
        receive_all(sock, 16385)


# -- as a loop in C reads it ----------------------------------------------------------------------------------


def test_bare_recvmsg_gives_records_with_their_types_and_control_record_takes_them(connected: Connect) -> None:
    sock, forge = connected()
    sock.setblocking(False)
    forge.send((HANDSHAKE, ticket()), (DATA, b"one"), (ALERT, CLOSE_NOTIFY))
    forge.connection.shutdown(socket.SHUT_WR)
    seen: list[tuple[int, bytes]] = []
    goes_on = True
    while goes_on:
        try:
            data, [(level, kind, (record_type,))], _, _ = sock.recvmsg(4096, socket.CMSG_SPACE(1))
        except BlockingIOError:
            continue
        assert (level, kind) == (282, 2)  # SOL_TLS, TLS_GET_RECORD_TYPE
        seen.append((record_type, data))
        if record_type != DATA:
            goes_on = sock.control_record(record_type, data)
    assert seen == [(HANDSHAKE, ticket()), (DATA, b"one"), (ALERT, CLOSE_NOTIFY)]
    assert sock.recvmsg(4096, socket.CMSG_SPACE(1))[:2] == (b"", [])
    sock.end_of_stream()


def test_end_of_stream_without_close_notify_is_named(connected: Connect) -> None:
    sock, _ = connected()
    with pytest.raises(ktls.Truncated):
        sock.end_of_stream()


def test_detached_descriptor_keeps_its_session(connected: Connect) -> None:
    sock, forge = connected()
    sock.setblocking(True)
    fileno = sock.detach()
    try:
        os.write(fileno, b"written")
        assert forge.receive() == (DATA, b"written")
        forge.send((DATA, b"read"))
        assert os.read(fileno, 100) == b"read"
    finally:
        os.close(fileno)
