"""The server over real sockets: dialogue, data, pings, fragments, disconnects, TLS."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Literal

import pytest
import trustme
from feed_client import message, record, session, wait_for
from test_replay_frames import parsed
from websockets.exceptions import InvalidStatus
from websockets.frames import Opcode

from lb.replay import dialogue
from lb.replay.authority import context_from_files
from lb.replay.errors import InputError, UnavailableError
from lb.replay.files import read_tape
from lb.replay.player import End, Playback
from lb.replay.server import ReplayServer
from lb.replay.stage import Patience
from lb.replay.synthetic import synthetic_market
from lb.replay.tape import Tape, records_of

TAPE = Tape.of([message(record(1), record(2, "MSFT")), message(record(3, event="Q")), message(record(4))])
STAY = Playback(end=End.STAY)


def records_in(messages: list[bytes]) -> list[bytes]:
    return [text for one in messages for text, _ in records_of(one)]


def endless() -> tuple[Tape, Playback]:
    """More than any client takes: spans of 1 MiB, for ever."""
    return synthetic_market(records=20_000), Playback(loop=True)


def subscribe_raw(connection: socket.socket) -> None:
    """All that a client has to say, without reading any answer but the upgrade."""
    request = "GET /stocks HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    connection.sendall(f"{request}Sec-WebSocket-Key: {'A' * 22}==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
    reply = b""
    while not reply.endswith(b"\r\n\r\n"):
        reply += connection.recv(1)
    for text in (b'{"action":"auth","params":"demo"}', b'{"action":"subscribe","params":"T.*"}'):
        connection.sendall(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)


def read_to_end(connection: socket.socket) -> bytes:
    received = b""
    while part := connection.recv(65_536):
        received += part
    return received


# Dialogue


def test_the_dialogue_word_for_word() -> None:
    with ReplayServer(TAPE, STAY, key="k") as server, session(server.url) as client:
        assert client.hear() == dialogue.CONNECTED
        client.say("auth", "k")
        assert client.hear() == dialogue.AUTHENTICATED
        client.connection.send("{bad")
        assert client.hear() == dialogue.INVALID_JSON
        client.say("subscribe", "ZZ.*")  # No answer.
        client.say("subscribe", "T.AAPL,Q.*")
        assert client.hear() == (
            b'[{"ev":"status","status":"success","message":"subscribed to: T.AAPL"},'
            b'{"ev":"status","status":"success","message":"subscribed to: Q.*"}]'
        )
        assert [client.hear() for _ in range(3)] == [
            message(record(1)),
            message(record(3, event="Q")),
            message(record(4)),
        ]
        client.say("unsubscribe", "Q.*")
        assert client.hear() == b'[{"ev":"status","status":"success","message":"unsubscribed to: Q.*"}]'
    assert (server.totals.records_total, server.totals.messages_total, server.totals.connections_total) == (3, 3, 1)


def test_a_wrong_key_ends_the_stream_without_a_close_frame() -> None:
    with ReplayServer(TAPE) as server, session(server.url) as client:
        client.hear()
        client.say("auth", "guess")
        assert client.hear_all() == [dialogue.AUTH_FAILED]
        assert client.close_received is None


def test_no_key_in_time() -> None:
    with ReplayServer(TAPE, auth_timeout_s=0.05) as server, session(server.url) as client:
        assert client.hear_all() == [dialogue.CONNECTED, dialogue.AUTH_TIMEOUT]
        assert client.close_received is not None
        assert client.close_received.code == 1008


def test_time_for_the_key_ends_with_the_key() -> None:
    with ReplayServer(TAPE, STAY, auth_timeout_s=2.0, ping_interval_s=0.01) as server, session(server.url) as client:
        client.subscribe("Q.*")
        wait_for(lambda: server.totals.pings_total > 300)
        client.say("subscribe", "A.*")
        assert client.hear() == message(record(3, event="Q"))
        assert b"subscribed to: A.*" in client.hear()


def test_subscribing_first_is_refused_but_no_fault() -> None:
    with ReplayServer(TAPE) as server, session(server.url) as client:
        client.hear()
        client.say("subscribe", "T.*")
        assert client.hear() == dialogue.AUTH_REQUIRED
        client.say("auth", "demo")
        assert client.hear() == dialogue.AUTHENTICATED


def test_a_fragmented_request_is_understood() -> None:
    with ReplayServer(TAPE) as server, session(server.url) as client:
        client.hear()
        client.connection.send(iter(['{"action":"auth",', '"params":', '"demo"}']))
        assert client.hear() == dialogue.AUTHENTICATED


def test_another_path_is_not_found() -> None:
    with (
        ReplayServer(TAPE, path="/options") as server,
        pytest.raises(InvalidStatus, match="404"),
        session(server.url.replace("/options", "/stocks")),
    ):
        pass
    assert server.totals.connections_total == 0


def test_a_plain_http_request_is_told_to_upgrade() -> None:
    with ReplayServer(TAPE) as server, socket.create_connection(("127.0.0.1", server.port)) as plain:
        plain.sendall(b"GET /stocks HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert plain.makefile("rb").readline() == b"HTTP/1.1 426 Upgrade Required\r\n"


# Eviction


def test_a_second_connection_evicts_the_first() -> None:
    with ReplayServer(TAPE, STAY) as server, session(server.url) as elder:
        elder.subscribe("Q.*")
        assert elder.hear() == message(record(3, event="Q"))
        with session(server.url) as younger:
            assert younger.hear() == dialogue.CONNECTED
            younger.say("auth", "demo")
            assert younger.hear() == dialogue.AUTHENTICATED
            elder.say("subscribe", "A.*")  # Authentication alone evicts nobody.
            assert b"subscribed to: A.*" in elder.hear()
            younger.say("subscribe", "T.MSFT")
            assert b"subscribed to: T.MSFT" in younger.hear()
            assert elder.hear_all() == [dialogue.MAX_CONNECTIONS]
            assert elder.close_received is not None
            assert elder.close_received.code == 1008
            assert younger.hear() == message(record(2, "MSFT"))
    assert server.totals.evictions_total == 1


def test_several_connections_where_the_key_allows_them() -> None:
    with (
        ReplayServer(TAPE, STAY, connections_per_key=2) as server,
        session(server.url) as one,
        session(server.url) as other,
        session(server.url) as third,
    ):
        for client in (one, other):
            client.subscribe()
            assert records_in([client.hear(), client.hear()]) == [record(1), record(2, "MSFT"), record(4)]
        third.subscribe()
        assert one.hear_all() == [dialogue.MAX_CONNECTIONS]
        other.say("subscribe", "A.*")
        assert b"subscribed to: A.*" in other.hear()


def test_who_has_left_does_not_count() -> None:
    with ReplayServer(TAPE, STAY, connections_per_key=2) as server, session(server.url) as one:
        one.subscribe("Q.*")
        assert one.hear() == message(record(3, event="Q"))
        for _ in range(3):
            with session(server.url) as other:
                other.subscribe("Q.*")
                assert other.hear() == message(record(3, event="Q"))
        one.say("subscribe", "A.*")
        assert b"subscribed to: A.*" in one.hear()
    assert server.totals.evictions_total == 0


# Data and control frames


def test_pings_come_at_intervals_and_pongs_are_counted() -> None:
    with ReplayServer(TAPE, STAY, ping_interval_s=0.01) as server, session(server.url) as client:
        wait_for(lambda: server.totals.pongs_total >= 3)
        assert server.totals.pings_total >= server.totals.pongs_total
        assert client.hear() == dialogue.CONNECTED


def test_a_ping_is_answered_and_a_close_obeyed_in_the_flood() -> None:
    tape, playback = endless()
    with (
        ReplayServer(tape, playback) as server,
        socket.create_connection(("127.0.0.1", server.port)) as client,
    ):
        subscribe_raw(client)
        wait_for(lambda: server.totals.records_total > 0)
        client.sendall(b"\x89\x83\x00\x00\x00\x00any\x88\x82\x00\x00\x00\x00\x03\xe8")  # Ping, then close 1000.
        *data, pong, close = parsed(read_to_end(client))
    assert {frame.opcode for frame in data} == {Opcode.TEXT}
    assert (pong.opcode, pong.data) == (Opcode.PONG, b"any")
    assert (close.opcode, close.data) == (Opcode.CLOSE, b"\x03\xe8")


@pytest.mark.parametrize("fragment_bytes", [1, 7, 100])
def test_fragments_make_the_same_messages(fragment_bytes: int) -> None:
    with ReplayServer(TAPE, Playback(fragment_bytes=fragment_bytes)) as server, session(server.url) as client:
        client.subscribe("T.*,Q.*")
        assert client.hear_all() == TAPE.messages


def test_a_broken_frame_is_refused() -> None:
    with ReplayServer(TAPE, STAY) as server, session(server.url) as client:
        client.hear()
        client.connection.socket.sendall(b"\x83\x80\x00\x00\x00\x00")  # A reserved opcode.
        assert client.hear_all() == []
        assert client.close_received is not None
        assert client.close_received.code == 1002


# The end of the input


@pytest.mark.parametrize(("end", "code"), [(End.CLOSE, 1000), (End.ABORT, None)])
def test_how_it_ends(end: End, code: int | None) -> None:
    over = threading.Event()
    with ReplayServer(TAPE, Playback(end=end), on_input_end=over.set) as server:
        with session(server.url) as client:
            client.subscribe("T.*,Q.*")
            assert client.hear_all() == TAPE.messages
            assert (client.close_received and client.close_received.code) == code
        assert over.wait(30)


def test_stopping_the_server_says_so() -> None:
    server = ReplayServer(TAPE, STAY)
    server.start()
    with session(server.url) as client:
        client.hear()
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        assert client.hear_all() == []
        assert client.close_received is not None
        assert client.close_received.code == 1001
    stopping.join()


def test_stopping_the_server_does_not_wait_for_a_client_that_does_not_read() -> None:
    server = ReplayServer(*endless())
    server.start()
    with socket.create_connection(("127.0.0.1", server.port)) as mute:
        subscribe_raw(mute)
        wait_for(lambda: server.totals.records_total > 0)
        server.stop()


def test_every_session_is_sent_the_tape_from_its_beginning() -> None:
    with ReplayServer(TAPE) as server:
        for _ in range(2):
            with session(server.url) as client:
                client.subscribe("T.*,Q.*")
                assert client.hear_all() == TAPE.messages


# Forced disconnects


def test_a_drop_loses_and_repeats_nothing() -> None:
    tape = synthetic_market(records=20_000)
    playback = Playback(drop_every_records=4_500, drops=3)
    received: list[bytes] = []
    with ReplayServer(tape, playback) as server:
        for _ in range(3):
            with session(server.url) as client:
                client.subscribe()
                received += client.hear_all()
                assert client.close_received is None
        with session(server.url) as client:
            client.subscribe()
            received += client.hear_all()
            assert client.close_received is not None
    assert received == tape.messages
    totals = server.totals
    assert (totals.records_total, totals.drops_total, totals.connections_total) == (20_000, 3, 4)


def test_what_was_not_read_when_the_stream_ended_is_not_lost() -> None:
    """The client reads nothing until the server has ended its half, and sends before it reads: a reset would show."""
    tape = Tape.of([message(*(record(number) for number in range(500)))])
    with (
        ReplayServer(tape, Playback(end=End.ABORT)) as server,
        socket.create_connection(("127.0.0.1", server.port)) as slow,
    ):
        subscribe_raw(slow)
        wait_for(lambda: server.totals.records_total == tape.record_count)
        for _ in range(3):
            slow.sendall(b"\x8a\x80\x00\x00\x00\x00")  # A pong.
        assert slow.makefile("rb").read().endswith(tape.messages[0])


# Slow consumers


FAST = synthetic_market(records=20_000, rate=20_000)
AT_A_MILLION_PER_S = Playback(speed=50.0, loop=True)


@contextmanager
def mute_client(server: ReplayServer) -> Iterator[socket.socket]:
    """Subscribes, and reads nothing by itself; its kernel takes little."""
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        plain.connect(("127.0.0.1", server.port))
        if server.ca_file is None:
            subscribe_raw(plain)
            yield plain
        else:
            context = ssl.create_default_context(cafile=server.ca_file)
            with context.wrap_socket(plain, server_hostname="localhost") as encrypted:
                subscribe_raw(encrypted)
                yield encrypted


@pytest.mark.parametrize("tls", [None, "self-signed"])
@pytest.mark.parametrize("patience", [Patience(size_bytes=1 << 20), Patience(time_s=0.01)])
def test_who_reads_too_slowly_is_told_so_and_cut_off(patience: Patience, tls: Literal["self-signed"] | None) -> None:
    """What was sent until then is whole messages from the beginning on."""
    with (
        ReplayServer(FAST, AT_A_MILLION_PER_S, tls=tls, patience=patience) as server,
        mute_client(server) as mute,
    ):
        wait_for(lambda: server.totals.slow_consumers_total > 0)
        received = b""
        while not received.endswith(b"\x88\x02\x03\xf0"):  # Close, 1008.
            received += mute.recv(65_536)
        mute.sendall(b"\x88\x82\x00\x00\x00\x00\x03\xf0")
        assert read_to_end(mute) == b""
        *data, last_words, _ = parsed(received)
        totals = server.totals
    sent = [bytes(frame.data) for frame in data if b'"status"' not in frame.data]
    assert sent == list(islice(cycle(FAST.messages), len(sent)))
    assert (totals.messages_total, totals.records_total) == (len(sent), len(records_in(sent)))
    assert bytes(last_words.data) == dialogue.SLOW_CONSUMER
    assert totals.slow_consumers_total == 1


def test_a_slow_consumer_that_never_reads_again_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lb.replay.tape_connection._LAST_WORDS_NS", 1)
    patience = Patience(size_bytes=1 << 20)
    with (
        ReplayServer(FAST, AT_A_MILLION_PER_S, patience=patience) as server,
        mute_client(server),
    ):
        wait_for(lambda: server.totals.slow_consumers_total > 0)
        wait_for(lambda: "replay-connection" not in {thread.name for thread in threading.enumerate()})


def test_who_reads_at_once_is_no_slow_consumer() -> None:
    tape = synthetic_market(records=3_000, rate=10_000)
    with (
        ReplayServer(tape, Playback(speed=1.0), patience=Patience(time_s=20.0)) as server,
        session(server.url) as client,
    ):
        client.subscribe()
        assert client.hear_all() == tape.messages
    assert server.totals.slow_consumers_total == 0


# TLS


def test_wss_with_a_certificate_of_its_own() -> None:
    with ReplayServer(TAPE, tls="self-signed") as server:
        assert server.url.startswith("wss://127.0.0.1:")
        assert server.ca_file is not None
        for host in ("127.0.0.1", "localhost"):
            with session(server.url.replace("127.0.0.1", host), server.ca_file) as client:
                client.subscribe("T.*,Q.*")
                assert client.hear_all() == TAPE.messages
        with pytest.raises(ssl.SSLCertVerificationError), session(server.url):
            pass
        with session(server.url, server.ca_file) as client:  # The failed handshake has not hurt it.
            assert client.hear() == dialogue.CONNECTED
        directory = server.ca_file.parent
        assert directory.stat().st_mode & 0o077 == 0
    assert not directory.exists()


def test_wss_with_a_certificate_from_files(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    cert, key_file, ca_file = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "ca.pem"
    certificate.cert_chain_pems[0].write_to_path(str(cert))
    certificate.private_key_pem.write_to_path(str(key_file))
    authority.cert_pem.write_to_path(str(ca_file))
    with ReplayServer(TAPE, tls=context_from_files(cert, key_file)) as server, session(server.url, ca_file) as client:
        client.subscribe("T.*,Q.*")
        assert client.hear_all() == TAPE.messages
    with pytest.raises(InputError, match="are not a certificate and its key in PEM"):
        context_from_files(ca_file, key_file)
    with pytest.raises(InputError, match="cannot be read: No such file or directory"):
        context_from_files(tmp_path / "none.pem", key_file)


@pytest.mark.parametrize("end", [End.ABORT, End.CLOSE])
def test_a_tls_drop_has_no_close_notify(end: End) -> None:
    with ReplayServer(TAPE, Playback(end=end), tls="self-signed") as server:
        context = ssl.create_default_context(cafile=server.ca_file)
        context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)  # set by Python 3.11.2
        with (
            socket.create_connection(("127.0.0.1", server.port)) as plain,
            context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as client,
        ):
            subscribe_raw(client)
            if end is End.ABORT:
                with pytest.raises(ssl.SSLError, match="EOF"):  # SSLEOFError, but for Python 3.11.2
                    read_to_end(client)
            else:
                client.sendall(b"\x88\x82\x00\x00\x00\x00\x03\xe8")  # Close, 1000.
                assert b"subscribed to: T.*" in read_to_end(client)


# Addresses


def test_ipv6() -> None:
    with ReplayServer(TAPE, host="::1") as server, session(server.url) as client:
        assert server.url == f"ws://[::1]:{server.port}/stocks"
        assert client.hear() == dialogue.CONNECTED


def test_addresses_that_cannot_be_had() -> None:
    with (
        ReplayServer(TAPE) as server,
        pytest.raises(UnavailableError, match=f"port {server.port}: Address already in use"),
    ):
        ReplayServer(TAPE, port=server.port)
    with pytest.raises(UnavailableError, match=r"^cannot listen on no.such.host.invalid: "):
        ReplayServer(TAPE, host="no.such.host.invalid")


# Real data


@pytest.mark.parametrize("tls", [None, "self-signed"])
def test_the_real_opening_second(data: Path, tls: Literal["self-signed"] | None) -> None:
    tape = read_tape([data / "polygon_trades_open_20131218.jsonl.zst"])
    with (
        ReplayServer(tape, tls=tls) as server,
        session(server.url, server.ca_file) as client,
    ):
        client.subscribe()
        assert client.hear_all() == tape.messages


def test_real_quotes_of_one_pair(data: Path) -> None:
    tape = read_tape([data / "polygon_xq_20230726.jsonl.zst"])
    expected = [text for text in records_in(list(tape.messages)) if b'"pair":"CHZ-USD"' in text]
    assert expected
    with ReplayServer(tape) as server, session(server.url) as client:
        client.subscribe("XQ.CHZ-USD")
        assert records_in(client.hear_all()) == expected
