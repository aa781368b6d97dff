"""websocket-client over a handed-over socket, the upgrade's answer cut into records in every way."""

import base64
import hashlib
import re
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import websocket
from certificates import HOST, Certificate
from record_forge import ALERT, CLOSE_NOTIFY, DATA, HANDSHAKE, RecordForge, ticket

import ktls

pytestmark = pytest.mark.kernel_tls

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3
GREETING = b'[{"ev":"status","status":"connected"}]'


def answer_to(request: bytes) -> bytes:
    """The upgrade's answer, and the first text frame right behind it."""
    key = re.search(rb"Sec-WebSocket-Key: (\S+)", request)
    assert key
    accept = base64.b64encode(hashlib.sha1(key[1] + GUID).digest())
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    return head + accept + b"\r\n\r\n" + bytes([0x81, len(GREETING)]) + GREETING


@pytest.mark.parametrize("piece_bytes", [1, 7, 100, 100_000])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_upgrade_split_over_records(
    certificates: dict[str, Certificate],
    client_context: Callable[..., ssl.SSLContext],
    tmp_path: Path,
    version: ssl.TLSVersion,
    piece_bytes: int,
) -> None:
    received: list[tuple[int, bytes]] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(20)
            certificate = certificates["RSA"]
            forge = RecordForge(connection, certificate.chain, certificate.key, tmp_path / "keylog")
            _, request = forge.receive()
            answer = answer_to(request)
            for start in range(0, len(answer), piece_bytes):
                if forge.is_1_3:
                    forge.send((HANDSHAKE, ticket(start % 256)), (DATA, b""))
                forge.send((DATA, answer[start : start + piece_bytes]))
            received.append(forge.receive())
            forge.send((ALERT, CLOSE_NOTIFY))
            received.extend(forge.records())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        sock = ktls.connect(listener.getsockname(), client_context(version), HOST, timeout_s=20)
        feed = websocket.create_connection(f"wss://{HOST}/stocks", socket=sock)
        assert feed.recv() == GREETING.decode()
        feed.send_text("hello")
        with pytest.raises(websocket.WebSocketConnectionClosedException):
            feed.recv()
        feed.shutdown()
        thread.join()
    (kind, frame), *rest = received
    assert (kind, frame[:2], len(frame)) == (DATA, b"\x81\x85", 11)
    assert rest == [(ALERT, CLOSE_NOTIFY)]
