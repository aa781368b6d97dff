"""Certificates, contexts and servers for the tests of kernel TLS."""

import _ssl
import ctypes
import os
import ssl
import subprocess
from collections.abc import Callable, Iterator

import pytest
import trustme
from certificates import HOST, Certificate
from tls_servers import SERVERS, TlsServer, go_server_path, tls_server

import ktls

# The names by which SSLContext.set_ciphers and SSL_CTX_set_ciphersuites know the suites of a cipher.
TLS_1_2_NAMES = {ktls.AES_128_GCM: "ECDHE+AESGCM+AES128", ktls.AES_256_GCM: "ECDHE+AESGCM+AES256"}
TLS_1_2_NAMES[ktls.CHACHA20_POLY1305] = "ECDHE+CHACHA20"
TLS_1_3_NAMES = {
    ktls.AES_128_GCM: "TLS_AES_128_GCM_SHA256",
    ktls.AES_256_GCM: "TLS_AES_256_GCM_SHA384",
    ktls.CHACHA20_POLY1305: "TLS_CHACHA20_POLY1305_SHA256",
}


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """The authority that the clients of these tests trust."""
    return trustme.CA()


@pytest.fixture(scope="session")
def certificates(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Certificate]:
    """Certificates for HOST and 127.0.0.1: "RSA" and "ECDSA"."""
    folder = tmp_path_factory.mktemp("certificates")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    made = {}
    for kind in (trustme.KeyType.RSA, trustme.KeyType.ECDSA):
        issued = authority.issue_cert(HOST, "127.0.0.1", key_type=kind)
        certificate = Certificate(folder / f"{kind.name}.pem", folder / f"{kind.name}.key", folder / "authority.pem")
        certificate.chain.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(certificate.key)
        made[kind.name] = certificate
    return made


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, certificates: dict[str, Certificate]) -> Iterator[TlsServer]:
    """A server, shared by all tests with the same parameter: a stack and a key type, as in "openssl-RSA"."""
    stack, _, key_type = request.param.rpartition("-")
    with tls_server(stack, certificates[key_type].chain, certificates[key_type].key) as running:
        yield running


@pytest.fixture
def client_context(certificates: dict[str, Certificate]) -> Callable[..., ssl.SSLContext]:
    """Makes a context that trusts the tests' authority and offers one version, one cipher, where they are given."""

    def make(version: ssl.TLSVersion | None = None, cipher: ktls.Cipher | None = None) -> ssl.SSLContext:
        context = ktls.create_context(str(certificates["RSA"].authority))
        if version is not None:
            context.minimum_version = context.maximum_version = version
        if cipher is not None:
            context.set_ciphers(TLS_1_2_NAMES[cipher])
            offer_tls_1_3_suite(context, TLS_1_3_NAMES[cipher])
        return context

    return make


def offer_tls_1_3_suite(context: ssl.SSLContext, suite: str) -> None:
    """What Python's ssl has no call for before 3.15. The SSL_CTX is the first field of the context object."""
    openssl = ctypes.CDLL(_ssl.__file__)
    ssl_ctx = ctypes.c_void_p.from_address(id(context) + object.__basicsize__)
    if openssl.SSL_CTX_set_ciphersuites(ssl_ctx, suite.encode("ascii")) != 1:
        raise ValueError(f"OpenSSL has no suite {suite}")


def pytest_collection_finish(session: pytest.Session) -> None:
    """On the host, before guests boot: build what a guest, whose files are forgotten, would build again and again."""
    wanted = any("server" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and not session.config.option.collectonly and "GUEST_TEST_KERNEL" not in os.environ:
        subprocess.run([SERVERS / "prepare", go_server_path()], check=False)
