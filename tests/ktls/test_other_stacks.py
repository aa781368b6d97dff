"""Key updates, tickets, padding and small fragments as other implementations send them."""

import re
import select
import ssl
from collections.abc import Callable

import pytest
from certificates import HOST, Certificate
from tls_servers import STACKS, TlsServer, tls_server

import ktls
from ktls import kernel

pytestmark = pytest.mark.kernel_tls

V1_3 = ssl.TLSVersion.TLSv1_3
ContextMaker = Callable[..., ssl.SSLContext]


def connect_to(server: TlsServer, context: ssl.SSLContext) -> ktls.Socket:
    """A handed-over connection."""
    return ktls.connect(("127.0.0.1", server.port), context, HOST, timeout_s=20)


def receive_line(sock: ktls.Socket) -> bytes:
    """Receive up to the end of a line."""
    line = b""
    while not line.endswith(b"\n"):
        piece = sock.recv(65536)
        assert piece, f"stream ends after {line!r}"
        line += piece
    return line


@pytest.mark.parametrize("updates", [1, 7])
@pytest.mark.parametrize("server", ["tlslite-ECDSA"], indirect=True)
def test_tlslite_updates_its_keys_and_asks_for_ours(
    server: TlsServer, client_context: ContextMaker, updates: int
) -> None:
    command = b"!update %d\n" % updates
    with connect_to(server, client_context(V1_3)) as sock:
        sock.sendall(command)
        if not kernel.can_rekey():
            with pytest.raises(ktls.RekeyUnsupported):
                receive_line(sock)
            return
        assert receive_line(sock) == command
        # Both directions have new keys by now.
        sock.sendall(b"still there\n")
        assert receive_line(sock) == b"still there\n"


@pytest.mark.parametrize("command", ["k", "K"], ids=["plain", "with-request"])
def test_openssl_updates_its_keys(
    certificates: dict[str, Certificate], client_context: ContextMaker, command: str
) -> None:
    chain, key = certificates["ECDSA"].chain, certificates["ECDSA"].key
    with (
        tls_server("openssl-terminal", chain, key) as server,
        connect_to(server, client_context(V1_3)) as sock,
    ):
        terminal, output = server.process.stdin, server.process.stdout
        assert terminal is not None
        assert output is not None

        def say(line: str) -> None:
            terminal.write(line.encode() + b"\n")
            terminal.flush()

        def wait_for(pattern: bytes) -> None:
            while not re.search(pattern, line := output.readline()):
                assert line, f"s_server ended before {pattern!r}"

        # s_server reads one command per read of its terminal: each line waits for the effect of the one before.
        sock.sendall(b"from the client\n")
        wait_for(rb"from the client")
        say("before")
        assert receive_line(sock) == b"before\n"
        for number in range(3):
            say(command)
            select.select([sock], [], [])
            if not kernel.can_rekey():
                with pytest.raises(ktls.RekeyUnsupported):
                    receive_line(sock)
                return
            say(f"after {number}")
            assert receive_line(sock) == b"after %d\n" % number
            sock.sendall(b"answer %d\n" % number)
            wait_for(rb"answer %d" % number)


@pytest.mark.parametrize("server", [f"{stack}-ECDSA" for stack in STACKS], indirect=True)
def test_our_key_updates_are_followed(server: TlsServer, client_context: ContextMaker) -> None:
    if not kernel.can_rekey():
        pytest.skip("this kernel cannot change keys")
    with connect_to(server, client_context(V1_3)) as sock:
        for request_peer in (False, True, True):
            sock.update_keys(request_peer=request_peer)
            sock.sendall(b"with new keys\n")
            assert receive_line(sock) == server.answer(b"with new keys\n")


@pytest.mark.parametrize(
    "options",
    [["-record_padding", "512"], ["-max_send_frag", "512"], ["-num_tickets", "20"], ["-groups", "P-384"]],
    ids=lambda options: options[0][1:],
)
def test_ways_of_openssl(
    certificates: dict[str, Certificate], client_context: ContextMaker, options: list[str]
) -> None:
    chain, key = certificates["ECDSA"].chain, certificates["ECDSA"].key
    with tls_server("openssl", chain, key, *options) as server, connect_to(server, client_context(V1_3)) as sock:
        for line in (b"short\n", bytes(range(48, 112)) * 30 + b"\n"):
            sock.sendall(line)
            assert receive_line(sock) == server.answer(line)
