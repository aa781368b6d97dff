"""--tls: `lb` decides once where its TLS sessions live, says so in one line, and the kernel's own counters agree."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
from forged_feed import ForgedFeed
from harness import KEY, SOON, Authority, Feed, Lb, frame, message, run_lb
from harness.flood import record
from record_forge import DATA

import ktls
from ktls import kernel
from lb.errors import EX_UNAVAILABLE

on_every_kernel = pytest.mark.kernel_tls(native=True)


def choices(lb: Lb) -> list[dict[str, object]]:
    return [line for line in lb.lines if line["message"].startswith("TLS in ")]


@on_every_kernel
def test_auto_takes_the_kernel_where_it_can_and_says_which_and_why(authority: Authority) -> None:
    capabilities = ktls.probe()
    with (
        Feed(tls=authority.server_context("127.0.0.1")) as feed,
        Lb(feed.url, 1, "--ca-file", authority.ca_file, constants=SOON) as lb,
    ):
        for _ in range(2):
            with feed.session():
                where = lb.await_line("session open")["tls"]
        (choice,) = choices(lb)
    if capabilities.usable:
        assert choice["message"] == "TLS in the kernel"
        assert (choice["kernel"], choice["rekey"]) == (platform.release(), capabilities.can_rekey)
        assert where.startswith("kernel TLS 1.3 ")
    else:
        assert choice["message"] == "TLS in userspace"
        assert choice["reason"] == f"{capabilities.missing}; remedy: {capabilities.remedy}"
        assert platform.release() in str(choice["reason"])
        assert "modprobe tls" in str(choice["reason"])
        assert where.startswith("user TLSv1.3 ")


@pytest.mark.kernel_tls
def test_the_kernel_counts_a_session_that_it_holds(authority: Authority) -> None:
    with (
        Feed(tls=authority.server_context("127.0.0.1")) as feed,
        Lb(feed.url, 1, "--ca-file", authority.ca_file, "--tls", "kernel") as lb,
    ):
        lb.await_line("worker started")  # past the probe, which counts, too
        before = kernel.tls_stat()
        with feed.session() as peer:
            lb.await_line("session open")
            assert risen(before) == {"TlsTxSw": 1, "TlsRxSw": 1, "TlsCurrTxSw": 1, "TlsCurrRxSw": 1}
            peer.say(message([record(0)]))
            lb.await_records(1)
            assert "kernel TLS 1.3 " in lb.stop().statistics["tls"]
        assert risen(before) == {"TlsTxSw": 1, "TlsRxSw": 1}


@pytest.mark.kernel_tls
def test_user_never_tries_the_kernel(authority: Authority) -> None:
    before = kernel.tls_stat()
    with (
        Feed(tls=authority.server_context("127.0.0.1")) as feed,
        Lb(feed.url, 1, "--ca-file", authority.ca_file, "--tls", "user") as lb,
        feed.session(),
    ):
        assert lb.await_line("TLS in userspace")["reason"] == "--tls user"
        assert lb.await_line("session open")["tls"].startswith("user TLSv1.3 ")
        assert risen(before) == {}
        assert len(choices(lb)) == 1


def risen(before: dict[str, int]) -> dict[str, int]:
    """The counters of /proc/net/tls_stat that differ from `before`, and by how much. How often the kernel decrypted a
    record twice, because it was no data (a ticket, say), is its own affair."""
    now = kernel.tls_stat()
    return {name: now[name] - before[name] for name in now if now[name] != before[name] and name != "TlsDecryptRetry"}


def test_kernel_fails_with_the_reason_where_the_kernel_can_not(authority: Authority) -> None:
    capabilities = ktls.probe()
    if capabilities.usable:
        pytest.skip("this kernel has TLS")
    with Feed(tls=authority.server_context("127.0.0.1")) as feed:
        done = run_lb("--tls", "kernel", "--ca-file", authority.ca_file, KEY, feed.url, "1", ".", "true")
        assert not feed.has_caller()
    assert done.returncode == EX_UNAVAILABLE
    assert done.stderr == f"lb: --tls kernel: {capabilities.missing}; remedy: {capabilities.remedy}\n"
    assert f"Linux {platform.release()} has no TLS" in done.stderr


@on_every_kernel
def test_kernel_is_refused_where_there_is_no_tls_session() -> None:
    with Feed() as feed:
        done = run_lb("--tls", "kernel", KEY, feed.url, "1", ".", "true")
        assert not feed.has_caller()
    assert done.returncode == EX_UNAVAILABLE
    assert done.stderr == f"lb: --tls kernel: {feed.url} is not wss://, there is no TLS session\n"


@pytest.mark.kernel_tls
def test_auto_leaves_the_kernel_once_it_has_ended_three_sessions(authority: Authority, tmp_path: Path) -> None:
    with (
        ForgedFeed(authority, tmp_path) as feed,
        Lb(feed.url, 1, "--ca-file", authority.ca_file, constants=SOON) as lb,
    ):
        for _ in range(3):
            with feed.session() as peer:
                assert lb.await_line("session open")["tls"].startswith("kernel TLS 1.3 ")
                sealed = bytearray(peer.forge.ours.seal(DATA, frame(message([record(0)]))))
                sealed[-1] ^= 1
                peer.forge.send_raw(bytes(sealed))
                lb.await_line("session lost")
        with feed.session() as peer:
            assert lb.await_line("session open")["tls"].startswith("user TLSv1.3 ")
            peer.say(message([record(0)]))
            lb.await_records(1)
        lb.stop()
    _, leaving = choices(lb)
    assert leaving["message"] == "TLS in userspace from now on"
    assert "has ended 3 sessions within 600 s; receiving failed: a TLS record failed" in str(leaving["reason"])
