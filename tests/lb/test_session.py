"""The session: name, TCP, TLS, upgrade, dialogue; and what is said when one of them fails."""

from __future__ import annotations

import base64
import contextlib
import ctypes
import errno
import os
import socket
from pathlib import Path

import pytest
from harness import KEY, SOON, Authority, Feed, Lb, message
from harness.feed import AUTH_SUCCESS, CONNECTED, SUBSCRIBED, Peer, frame

from lb.errors import EX_NOPERM

pytestmark = pytest.mark.slow

RECORDS = [b'{"ev":"T","sym":"A%d"}' % number for number in range(10)]


def trade_flows(lb: Lb, peer: Peer) -> None:
    peer.say(message(RECORDS))
    assert lb.await_records(len(RECORDS)).pipes == {0: RECORDS}


# the endpoint


@pytest.mark.parametrize("ipv6", [False, True])
def test_ws(ipv6: bool) -> None:
    with Feed(ipv6=ipv6) as feed, Lb(feed.url) as lb, feed.session() as peer:
        assert lb.await_line("session open", url=feed.url, tls="none")
        trade_flows(lb, peer)
        assert lb.stop().exit_code == 0


@pytest.mark.parametrize(("ipv6", "name"), [(False, "127.0.0.1"), (True, "::1"), (False, "localhost")])
def test_wss_with_an_authority_of_ones_own(authority: Authority, ipv6: bool, name: str) -> None:
    place = f"[{name}]" if ipv6 else name
    with (
        Feed(tls=authority.server_context(name), ipv6=ipv6, name=place) as feed,
        Lb(feed.url, 1, "--ca-file", authority.ca_file, "--tls", "user") as lb,
        feed.session() as peer,
    ):
        assert "TLSv1.3" in lb.await_line("session open", url=feed.url)["tls"]
        trade_flows(lb, peer)
        assert lb.stop().exit_code == 0


def test_tls_1_2_is_spoken_too(authority: Authority) -> None:
    import ssl

    context = authority.server_context("127.0.0.1")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        Feed(tls=context) as feed,
        Lb(feed.url, 1, "--ca-file", authority.ca_file, "--tls", "user") as lb,
        feed.session() as peer,
    ):
        assert "TLSv1.2" in lb.await_line("session open")["tls"]
        trade_flows(lb, peer)


def test_the_systems_authorities_are_asked_without_ca_file(authority: Authority) -> None:
    """SSL_CERT_FILE stands for the system's here."""
    with (
        Feed(tls=authority.server_context("127.0.0.1")) as feed,
        Lb(feed.url, 1, "--tls", "user", environment={"SSL_CERT_FILE": authority.ca_file}) as lb,
        feed.session(),
    ):
        lb.await_line("session open")


def test_the_upgrade_request(tmp_path: Path) -> None:
    with Feed() as feed, Lb(feed.url), feed.connection() as peer:
        request = peer.read_request()
        assert request.startswith("GET /stocks HTTP/1.1\r\n")
        headers = peer.headers
        assert headers["host"] == f"127.0.0.1:{feed.port}"
        assert headers["upgrade"].lower() == "websocket"
        assert "upgrade" in headers["connection"].lower()
        assert headers["sec-websocket-version"] == "13"
        assert len(base64.b64decode(headers["sec-websocket-key"])) == 16
        assert "sec-websocket-extensions" not in headers, "no compression is offered"
        assert "origin" not in headers
        assert headers["user-agent"].startswith("trade-balancer/")
        assert KEY not in request


def test_an_ipv6_address_stands_in_brackets_in_host() -> None:
    with Feed(ipv6=True) as feed, Lb(feed.url), feed.connection() as peer:
        peer.read_request()
        assert peer.headers["host"] == f"[::1]:{feed.port}"


_PIDFD_GETFD = 438  # of every architecture


def test_the_socket_sends_without_delay() -> None:
    """As the kernel shows it to a debugger: pidfd_getfd(2). (--dumpable, so that its user may be one.)"""
    with Feed() as feed, Lb(feed.url, 1, "--dumpable") as lb, feed.session():
        lb.await_line("session open")
        (number,) = descriptors_of(lb.pid, tcp_socket_links(feed.port))
        pidfd = os.pidfd_open(lb.pid)
        try:
            fd = ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_GETFD, pidfd, int(number), 0)
        finally:
            os.close(pidfd)
        if fd < 0 and ctypes.get_errno() == errno.EPERM:
            pytest.skip("pidfd_getfd is not permitted here")
        with socket.socket(fileno=fd) as sock:
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def descriptors_of(pid: int, targets: set[str]) -> list[str]:
    """Numbers of a process's descriptors whose links in /proc point to one of these."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            if link.readlink().name in targets:
                found.append(link.name)
    return found


def tcp_socket_links(port: int) -> set[str]:
    """Names of the connected sockets whose peer is this port of loopback."""
    links = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[2].rpartition(":")[2], 16) == port:
            links.add(f"socket:[{fields[9]}]")
    return links


# what fails, and how it is told


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nNot found", "answers the upgrade with HTTP status 404"),
        (b"HTTP/1.1 401 Unauthorized\r\n\r\n", "answers the upgrade with HTTP status 401"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "answers the upgrade with HTTP status 403"),
        (b"HTTP/1.1 429 Too Many Requests\r\n\r\n", "answers the upgrade with HTTP status 429"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "answers the upgrade with HTTP status 503"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "answers the upgrade with HTTP status 200"),
        (b"HTTP/1.1 301 Moved\r\nLocation: ws://127.0.0.1:1/\r\n\r\n", "edirect"),
        (b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\n\r\n", "edirect"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "upgrade of ws://"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "upgrade of ws://"),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
            "upgrade of ws://",
        ),
        (b"", "upgrade of ws://"),
    ],
)
def test_a_wrong_answer_to_the_upgrade_is_told_and_the_next_try_succeeds(answer: bytes, said: str) -> None:
    with Feed() as feed, Lb(feed.url, constants=SOON) as lb:
        with feed.connection() as peer:
            peer.read_request()
            peer.send(answer)
        line = lb.await_line("no session", level="error")
        assert said in line["reason"]
        lb.await_line("next session")
        with feed.session() as peer:
            trade_flows(lb, peer)


def test_a_host_that_nobody_knows_is_named() -> None:
    quickly = {"RES_OPTIONS": "timeout:1 attempts:1"}  # where no name server answers
    with Lb("ws://no-such-host.invalid/stocks", environment=quickly) as lb:
        assert "host 'no-such-host.invalid' can't be resolved: " in lb.await_line("no session")["reason"]
        lb.await_line("next session")
        assert lb.stop().exit_code == 0


def test_a_port_that_refuses_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with Lb(f"ws://127.0.0.1:{port}/stocks") as lb:
        reason = lb.await_line("no session")["reason"]
        assert reason == f"no connection to 127.0.0.1:{port}: 127.0.0.1: Connection refused"


@pytest.mark.parametrize(
    ("name", "trusted", "said"),
    [
        ("elsewhere.example", True, "IP address mismatch, certificate is not valid for '127.0.0.1'"),
        ("127.0.0.1", False, "unable to get local issuer certificate"),
    ],
)
def test_a_certificate_that_does_not_fit_is_refused_before_anything_is_sent(
    authority: Authority, tmp_path: Path, name: str, trusted: bool, said: str
) -> None:
    ca_file = authority.ca_file if trusted else Authority(tmp_path).ca_file
    with (
        Feed(tls=authority.server_context(name)) as feed,
        Lb(feed.url, 1, "--ca-file", ca_file) as lb,
    ):
        with contextlib.suppress(OSError):
            peer = feed.connection()
            assert peer.receive_to_end() == []
            peer.fin()
        reason = lb.await_line("no session")["reason"]
        assert "certificate of 127.0.0.1 is refused: " in reason
        assert said in reason


def test_a_host_name_that_is_not_the_certificates_is_refused(authority: Authority) -> None:
    with (
        Feed(tls=authority.server_context("elsewhere.example"), name="localhost") as feed,
        Lb(feed.url, 1, "--ca-file", authority.ca_file) as lb,
    ):
        with contextlib.suppress(OSError):
            feed.connection().fin()
        assert "certificate is not valid for 'localhost'" in lb.await_line("no session")["reason"]


def test_an_expired_certificate_is_refused(tmp_path: Path) -> None:
    import datetime
    import ssl

    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    authority.issue_cert("127.0.0.1", not_after=yesterday).configure_cert(context)
    with Feed(tls=context) as feed, Lb(feed.url, 1, "--ca-file", str(tmp_path / "ca.pem")) as lb:
        with contextlib.suppress(OSError):
            feed.connection().fin()
        assert "certificate has expired" in lb.await_line("no session")["reason"]


def test_a_server_that_does_not_speak_tls_is_told() -> None:
    with Feed() as feed, Lb(feed.url.replace("ws:", "wss:")) as lb, feed.connection() as peer:
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        assert "TLS handshake with 127.0.0.1 failed" in lb.await_line("no session")["reason"]


@pytest.mark.parametrize("step", ["upgrade", "connected", "auth_success"])
def test_a_feed_that_falls_silent_during_the_dialogue_is_given_up(step: str) -> None:
    with Feed() as feed, Lb(feed.url, constants={"lb.feed.session.limits.STEP_TIMEOUT_S": 1.0}) as lb:
        with feed.connection() as peer:
            if step != "upgrade":
                peer.upgrade()
            if step == "auth_success":
                peer.say(CONNECTED)
                peer.receive_action("auth")
            assert "no answer within 1 s" in lb.await_line("no session")["reason"]
        with feed.session() as peer:
            trade_flows(lb, peer)


def test_the_steps_limits_are_those_of_the_manual() -> None:
    from lb.feed import keeper
    from lb.feed.session import limits

    assert limits.STEP_TIMEOUT_S == 10
    assert keeper.ATTEMPT_TIMEOUT_S == 60


def test_a_feed_that_talks_on_without_ever_beginning_is_given_up() -> None:
    with Feed() as feed, Lb(feed.url, constants={"lb.feed.keeper.ATTEMPT_TIMEOUT_S": 1.5}) as lb:
        with feed.connection().upgrade() as peer:
            peer.say(CONNECTED)
            peer.receive_action("auth")
            peer.say(message([b'{"ev":"status","status":"please_wait","message":""}']))
            assert "no session within 1.5 s" in lb.await_line("no session")["reason"]
        with feed.session() as peer:
            trade_flows(lb, peer)


# the dialogue


def test_each_step_waits_for_the_one_before() -> None:
    with Feed() as feed, Lb(feed.url) as lb, feed.connection() as peer:
        peer.upgrade()
        peer.say(CONNECTED)
        assert peer.receive_action("auth") == KEY
        peer.say(AUTH_SUCCESS)
        assert peer.receive_action("subscribe") == "T.*"
        peer.say(SUBSCRIBED)
        assert lb.await_line("the feed says", status="success", text="subscribed to: T.*")


def test_everything_in_one_segment_with_the_upgrade() -> None:
    """The feed may send `connected` right behind its 101."""
    with Feed() as feed, Lb(feed.url) as lb, feed.connection() as peer:
        peer.upgrade(behind=frame(CONNECTED))
        peer.receive_action("auth")
        peer.say(AUTH_SUCCESS)
        peer.receive_action("subscribe")
        trade_flows(lb, peer)


ACKS = [b'{"ev":"status","status":"success","message":"subscribed to: %s"}' % topic for topic in (b"T.A", b"Q.*")]
AUTH_RECORD = AUTH_SUCCESS[1:-1]
FIRST, SECOND, THIRD = RECORDS[:3]


@pytest.mark.parametrize(
    ("with_auth", "after"),
    [
        pytest.param([AUTH_RECORD], [[*ACKS], [FIRST, SECOND, THIRD]], id="acks in one frame"),
        pytest.param([AUTH_RECORD], [[ACKS[0]], [ACKS[1]], [FIRST, SECOND, THIRD]], id="an ack per frame"),
        pytest.param([AUTH_RECORD, *ACKS], [[FIRST, SECOND, THIRD]], id="acks with auth_success"),
        pytest.param([AUTH_RECORD, *ACKS, FIRST, SECOND, THIRD], [], id="all with auth_success"),
        pytest.param([FIRST, AUTH_RECORD, SECOND], [[THIRD]], id="trades around auth_success"),
        pytest.param([AUTH_RECORD], [[FIRST, ACKS[0], SECOND, ACKS[1], THIRD]], id="acks among trades"),
        pytest.param([AUTH_RECORD], [[FIRST], [SECOND], [THIRD], ACKS], id="trades before the acks"),
        pytest.param([AUTH_RECORD], [[FIRST, SECOND, THIRD]], id="no ack ever"),
    ],
)
@pytest.mark.parametrize("one_segment", [True, False])
def test_no_trade_of_the_dialogue_is_lost(with_auth: list[bytes], after: list[list[bytes]], one_segment: bool) -> None:
    with Feed() as feed, Lb(feed.url) as lb, feed.connection().upgrade() as peer:
        peer.say(CONNECTED)
        peer.receive_action("auth")
        frames = [frame(message(records)) for records in [with_auth, *after]]
        for sent in [b"".join(frames)] if one_segment else frames:
            peer.send(sent)
        peer.receive_action("subscribe")
        assert lb.await_records(3).pipes == {0: [FIRST, SECOND, THIRD]}
        end = lb.stop()
        assert (end.balance["received"], end.balance["exact"]) == (3, True)


def test_trades_before_auth_success_in_frames_of_their_own_are_delivered() -> None:
    with Feed() as feed, Lb(feed.url) as lb, feed.connection().upgrade() as peer:
        for record in (FIRST, SECOND):
            peer.say(message([record]))
        peer.say(CONNECTED)
        peer.receive_action("auth")
        peer.say(message([THIRD]))
        peer.say(AUTH_SUCCESS)
        peer.receive_action("subscribe")
        assert lb.await_records(3).pipes == {0: [FIRST, SECOND, THIRD]}


def test_trades_before_a_refusal_are_delivered() -> None:
    with Feed() as feed, Lb(feed.url) as lb, feed.connection().upgrade() as peer:
        peer.say(CONNECTED)
        peer.receive_action("auth")
        peer.say(message([FIRST, b'{"ev":"status","status":"auth_failed","message":"no"}', SECOND]))
        end = lb.wait()
        assert lb.recording.pipes == {0: [FIRST, SECOND]}
        assert end.exit_code == EX_NOPERM
        assert end.balance["exact"]


def test_what_came_with_the_tls_session_before_it_was_open_is_delivered(authority: Authority) -> None:
    """Decrypted already, and in no socket any more that poll could tell of."""
    with (
        Feed(tls=authority.server_context("127.0.0.1")) as feed,
        Lb(feed.url, 1, "--ca-file", authority.ca_file) as lb,
        feed.connection().upgrade() as peer,
    ):
        peer.say(CONNECTED)
        peer.receive_action("auth")
        peer.send(frame(AUTH_SUCCESS) + frame(SUBSCRIBED) + b"".join(frame(message([record])) for record in RECORDS))
        peer.receive_action("subscribe")
        assert lb.await_records(len(RECORDS)).pipes == {0: RECORDS}


@pytest.mark.parametrize("words", ["authentication failed", "Your plan doesn't include websocket access."])
@pytest.mark.parametrize("ends_abruptly", [True, False])
def test_a_refusal_is_exit_code_77_with_the_feeds_own_words(words: str, ends_abruptly: bool) -> None:
    with Feed() as feed, Lb(feed.url, 2) as lb, feed.connection().upgrade() as peer:
        peer.say(CONNECTED)
        peer.receive_action("auth")
        peer.say(b'[{"ev":"status","status":"auth_failed","message":"%s"}]' % words.encode())
        if ends_abruptly:
            peer.reset()
        end = lb.wait()
        assert end.exit_code == EX_NOPERM
        assert any(words in line["message"] and line["level"] == "error" for line in lb.lines), lb.log
        assert not feed.has_caller(), "no second try with a refused key"


def test_a_key_file_that_has_changed_is_tried_before_giving_up(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("old")
    with Feed() as feed, Lb(feed.url, key=f"@{tmp_path / 'key'}", constants=SOON) as lb:
        with feed.connection().upgrade() as peer:
            peer.say(CONNECTED)
            assert peer.receive_action("auth") == "old"
            (tmp_path / "key").write_text("new")
            peer.say(b'[{"ev":"status","status":"auth_failed","message":"expired"}]')
        with feed.connection().upgrade() as peer:
            peer.say(CONNECTED)
            assert peer.receive_action("auth") == "new"
            peer.say(b'[{"ev":"status","status":"auth_failed","message":"no"}]')
            assert lb.wait().exit_code == EX_NOPERM, "the same key is not tried twice"


def test_a_refusal_in_the_middle_of_a_session_is_exit_code_77_too() -> None:
    with Feed() as feed, Lb(feed.url) as lb, feed.session() as peer:
        lb.await_line("session open")
        peer.say(message([FIRST, b'{"ev":"status","status":"auth_failed","message":"revoked"}', SECOND]))
        peer.close(1008)
        end = lb.wait()
        assert end.exit_code == EX_NOPERM
        assert lb.recording.pipes == {0: [FIRST, SECOND]}
        assert "auth_failed: revoked" in lb.log


def test_a_topic_that_is_not_in_the_plan_is_told_and_the_others_flow() -> None:
    with Feed() as feed, Lb(feed.url) as lb, feed.session() as peer:
        peer.say(message([b'{"ev":"status","status":"error","message":"not authorized"}', FIRST]))
        assert lb.await_line("the feed reports an error", level="warning", text="not authorized")
        assert lb.await_records(1).pipes == {0: [FIRST]}


def test_a_flood_of_words_is_a_few_lines_of_bounded_length() -> None:
    words = b'{"ev":"status","status":"success","message":"%s"}' % (b"x" * 2000)
    with Feed() as feed, Lb(feed.url) as lb, feed.session() as peer:
        peer.say(message([words] * 5000))
        peer.say(message([FIRST]))
        lb.await_records(1)
        lb.stop()
        assert 0 < sum(line["message"] == "the feed says" for line in lb.lines) < 1000
        assert max(len(str(line)) for line in lb.lines) < 1000


def test_topics_that_are_not_authorized_are_named_by_those_that_are() -> None:
    """The feed's own words name none."""
    constants = {"lb.feed.topics.ACKNOWLEDGE_S": 0.2}
    topics = "T.*,Q.*,LULD.*"
    with Feed() as feed, Lb(feed.url, 1, "--subscribe", topics, constants=constants) as lb, feed.session() as peer:
        peer.say(message([b'{"ev":"status","status":"error","message":"not authorized"}'] * 2))
        line = lb.await_line("topics that the feed has not acknowledged", level="error")
        assert (line["topics"], line["feed_says"]) == (["Q.*", "LULD.*"], ["not authorized"])


def test_a_topic_that_is_never_acknowledged_is_told() -> None:
    constants = {"lb.feed.topics.ACKNOWLEDGE_S": 0.2}
    with Feed() as feed, Lb(feed.url, 1, "--subscribe", "T.*,Q.AAPL", constants=constants) as lb, feed.session():
        line = lb.await_line("topics that the feed has not acknowledged", level="error")
        assert (line["topics"], line["more"]) == (["Q.AAPL"], 0)


def test_an_answer_that_a_library_would_choke_on_is_told_and_the_next_try_succeeds() -> None:
    """A load balancer's redirection with a cookie that is none, while the second session is opened."""
    with Feed() as feed, Lb(feed.url, constants=SOON) as lb:
        with feed.session():
            lb.await_line("session open")
        with feed.connection() as peer:
            peer.read_request()
            peer.send(b"HTTP/1.1 302 Found\r\nLocation: /maintenance\r\nSet-Cookie: a/b=1\r\n\r\n")
            reason = lb.await_line("no session")["reason"]
            assert "a redirection to '/maintenance', HTTP status 302 Found; it is not followed" in reason
        with feed.session() as peer:
            trade_flows(lb, peer)


def test_a_ping_and_fragments_during_the_dialogue() -> None:
    with Feed() as feed, Lb(feed.url) as lb, feed.connection().upgrade() as peer:
        peer.send(frame(b"early", 0x9))
        assert peer.receive().payload == b"early"
        peer.send(frame(CONNECTED[:20], fin=False) + frame(b"mid", 0x9) + frame(CONNECTED[20:], 0x0))
        assert peer.receive().payload == b"mid"
        peer.receive_action("auth")
        peer.say(AUTH_SUCCESS)
        peer.receive_action("subscribe")
        trade_flows(lb, peer)


def test_an_attempt_that_is_given_up_ends_its_connection() -> None:
    """Were it to subscribe later, the feed would take it for the newer session and end the one in use."""
    with Feed() as feed, Lb(feed.url, constants=SOON | {"lb.feed.keeper.ATTEMPT_TIMEOUT_S": 0.5}) as lb:
        with feed.connection() as late:
            late.upgrade()
            assert "no session within 0.5 s" in lb.await_line("no session")["reason"]
            assert late.receive_to_end() == []
        with feed.session() as peer:
            trade_flows(lb, peer)
