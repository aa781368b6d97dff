"""Which side holds the TLS session, and what follows when the kernel can't."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from harness import SOON, Authority, Feed, Lb

import ktls
from lb.config import Config, Tls
from lb.endpoint import Endpoint
from lb.errors import KernelTlsFailed, Unavailable
from lb.feed.session import Security
from lb.key import Key


def config(tls: Tls, url: str = "wss://feed.example/stocks") -> Config:
    return Config(Key("k"), Endpoint.parse(url), 1, ".", "worker", (), tls=tls)


FINAL = [ktls.KernelUnsupported("no ChaCha20"), ktls.AlertReceived("handshake_failure", "during the handshake")]


@pytest.mark.parametrize("error", FINAL)
def test_with_auto_the_next_session_is_userspaces(error: ktls.Error) -> None:
    """Trying the same again would meet the same answer for ever."""
    security = Security(config(Tls.AUTO))
    security.side = Tls.KERNEL
    assert security.refused(error).retry
    assert security.side is Tls.USER


@pytest.mark.parametrize("tls", [Tls.AUTO, Tls.KERNEL])
@pytest.mark.parametrize("error", [ktls.HandshakeCut("cut"), ktls.AlertReceived("internal_error", "later")])
def test_what_may_go_well_next_time_is_tried_again_in_the_kernel(tls: Tls, error: ktls.Error) -> None:
    security = Security(config(Tls.AUTO))
    security.side = Tls.KERNEL
    failure = security.refused(error)
    assert (failure.retry, failure.least_delay_s) == (True, 0.0)
    assert security.side is Tls.KERNEL


def kernel_session(tls: Tls) -> Security:
    """As where the kernel has TLS."""
    security = Security(config(Tls.AUTO))
    security._config = config(tls)
    security.side = Tls.KERNEL
    return security


def sides_after(security: Security, *failures_s: float) -> list[Tls]:
    sides = []
    for at_s in failures_s:
        security.kernel_failed(KernelTlsFailed("a TLS record failed its authentication tag"), int(at_s * 1e9))
        sides.append(security.side)
    return sides


def test_what_the_kernels_tls_ends_again_and_again_goes_to_userspace(capfd: pytest.CaptureFixture[str]) -> None:
    assert sides_after(kernel_session(Tls.AUTO), 0, 300, 600) == [Tls.KERNEL, Tls.KERNEL, Tls.USER]
    *_, line = capfd.readouterr().err.splitlines()
    assert "TLS in userspace from now on" in line
    assert "the kernel's TLS has ended 3 sessions within 600 s; a TLS record failed its authentication tag" in line


def test_seldom_or_where_the_kernel_alone_will_do_nothing_changes() -> None:
    assert set(sides_after(kernel_session(Tls.AUTO), *range(0, 6000, 301))) == {Tls.KERNEL}
    assert set(sides_after(kernel_session(Tls.KERNEL), 0, 1, 2, 3)) == {Tls.KERNEL}


def test_kernel_alone_is_unavailable_where_there_is_none() -> None:
    if ktls.probe().usable:
        pytest.skip("this kernel has TLS")
    with pytest.raises(Unavailable, match="--tls kernel: "):
        Security(config(Tls.KERNEL))
    with pytest.raises(Unavailable, match="is not wss://"):
        Security(config(Tls.KERNEL, "ws://feed.example/"))


def test_a_ca_file_that_is_away_for_a_moment_ends_nothing(authority: Authority, tmp_path: Path) -> None:
    """As while it is renewed."""
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(Path(authority.ca_file).read_bytes())
    with (
        Feed(tls=authority.server_context("127.0.0.1")) as feed,
        Lb(feed.url, 1, "--ca-file", str(ca_file), constants=SOON) as lb,
    ):
        with feed.session():
            lb.await_line("session open")
            ca_file.unlink()
        with feed.session():
            assert lb.await_line("certificates read earlier are used", level="warning")
            lb.await_line("session open")
        assert lb.stop().exit_code == 0


def test_secrets_of_the_session_go_to_no_file_unless_asked(authority: Authority, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    with Feed(tls=authority.server_context("127.0.0.1")) as feed:
        for options, is_written in [((), False), (("--dumpable",), True)]:
            environment = {"SSLKEYLOGFILE": str(keys)}
            with (
                Lb(feed.url, 1, "--ca-file", authority.ca_file, *options, environment=environment) as lb,
                feed.session(),
            ):
                lb.await_line("session open")
                assert (keys.exists() and keys.stat().st_size > 0) == is_written


CHOICES = [
    (frozenset({(ssl.TLSVersion.TLSv1_2, ktls.AES_128_GCM)}), "TLSv1.2", "AES128-GCM"),
    (frozenset({(ssl.TLSVersion.TLSv1_2, ktls.CHACHA20_POLY1305)}), "TLSv1.2", "CHACHA20"),
    (
        frozenset({(ssl.TLSVersion.TLSv1_2, ktls.AES_256_GCM), (ssl.TLSVersion.TLSv1_3, ktls.AES_256_GCM)}),
        "TLSv1.2",
        "AES256-GCM",
    ),
    (frozenset((ssl.TLSVersion.TLSv1_3, cipher) for cipher in ktls.CIPHERS), "TLSv1.3", ""),
    (
        frozenset(
            (version, cipher) for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3) for cipher in ktls.CIPHERS
        ),
        "TLSv1.3",
        "",
    ),
]


@pytest.mark.parametrize(("offer", "version", "cipher"), CHOICES)
def test_a_context_offers_no_more_than_the_kernel_has(
    authority: Authority, offer: frozenset[tuple[ssl.TLSVersion, ktls.Cipher]], version: str, cipher: str
) -> None:
    client, server = ktls.create_context(authority.ca_file, offer), authority.server_context("127.0.0.1")
    ends = [ssl.MemoryBIO() for _ in range(2)]
    ours = client.wrap_bio(ends[0], ends[1], server_hostname="127.0.0.1")
    theirs = server.wrap_bio(ends[1], ends[0], server_side=True)
    open_ends = [ours, theirs]
    while open_ends:
        for end in list(open_ends):
            try:
                end.do_handshake()
                open_ends.remove(end)
            except ssl.SSLWantReadError:
                pass
    agreed = ours.cipher()
    assert ours.version() == version
    assert agreed is not None
    assert cipher in agreed[0]
