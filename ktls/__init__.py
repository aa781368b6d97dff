"""Kernel TLS for Python: handshake in userspace with `ssl`, records in the kernel.

    sock = ktls.connect(("feed.example", 443), ktls.create_context(), "feed.example")

`sock` is a `socket.socket`. What it receives is plain bytes from the kernel, so that a loop in C may read its file
descriptor with recvmsg and nothing else. What it is not: a server, session resumption, client certificates after the
handshake, DTLS.

Files in reading order: connection, handshake, keylog, key_schedule, kernel, tls_socket, records; capabilities; errors.
"""

from ktls.capabilities import Capabilities, probe
from ktls.ciphers import AES_128_GCM, AES_256_GCM, CHACHA20_POLY1305, CIPHERS, Cipher
from ktls.connection import connect, create_context, hand_over
from ktls.errors import (
    AlertReceived,
    CertificateRefused,
    ContextRefused,
    Error,
    HandshakeCut,
    HandshakeFailed,
    HandshakeTimeout,
    KernelUnsupported,
    RecordForged,
    RecordMalformed,
    RekeyUnsupported,
    SessionLost,
    Truncated,
    UnexpectedMessage,
    receive_error,
)
from ktls.handshake import Handshake, TlsSession
from ktls.memory import set_dumpable
from ktls.records import RecordType
from ktls.tls_socket import Socket

__all__ = [
    "AES_128_GCM",
    "AES_256_GCM",
    "CHACHA20_POLY1305",
    "CIPHERS",
    "AlertReceived",
    "Capabilities",
    "CertificateRefused",
    "Cipher",
    "ContextRefused",
    "Error",
    "Handshake",
    "HandshakeCut",
    "HandshakeFailed",
    "HandshakeTimeout",
    "KernelUnsupported",
    "RecordForged",
    "RecordMalformed",
    "RecordType",
    "RekeyUnsupported",
    "SessionLost",
    "Socket",
    "TlsSession",
    "Truncated",
    "UnexpectedMessage",
    "connect",
    "create_context",
    "hand_over",
    "probe",
    "receive_error",
    "set_dumpable",
]
