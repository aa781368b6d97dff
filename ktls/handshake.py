"""The TLS handshake by Python's own ssl, without I/O, one record at a time.

Law: never ask for a byte behind the record that is being read. What the server sends after its Finished must still be
in the kernel's socket when the keys get there; a byte read too far would be lost.
"""

import ssl
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from ktls.ciphers import VERSION_NAMES, Cipher, cipher_of_suite
from ktls.errors import AlertReceived, CertificateRefused, ContextRefused, HandshakeFailed, KernelUnsupported
from ktls.key_schedule import TrafficKeys, TrafficSecret, hash_bytes, key_block_1_2
from ktls.keylog import KeyLog
from ktls.memory import wipe
from ktls.records import MessageJoiner, MessageType, RecordType

RECORD_HEADER_BYTES = 5
# RFC 5246 6.2.3: 2^14 + 2048. (TLS 1.3 allows less, OpenSSL checks it.)
MAX_RECORD_BODY_BYTES = (1 << 14) + 2048
RANDOM_BYTES = 32
# Record header, message header and legacy_version come before ClientHello.random (RFC 8446 4.1.2).
_CLIENT_RANDOM_AT = RECORD_HEADER_BYTES + MessageJoiner.HEADER_BYTES + 2
# As SSLObject.version() spells them.
_VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True)
class TlsSession:
    """What the two sides agreed on."""

    version: ssl.TLSVersion
    cipher: Cipher
    suite: str
    """The cipher suite, in OpenSSL's spelling."""
    server_hostname: str | None

    def __str__(self) -> str:
        return f"{VERSION_NAMES[self.version]} {self.cipher.name}"


@dataclass(frozen=True, repr=False)
class DirectionKeys:
    """What the kernel needs for one direction, and what a later key update starts from."""

    keys: TrafficKeys
    rec_seq: int
    """The number of the first record the kernel will see."""
    secret: TrafficSecret | None
    """None under TLS 1.2, which has no key update."""

    def wipe(self) -> None:
        """Overwrite all of it."""
        self.keys.wipe()
        if self.secret is not None:
            self.secret.wipe()


class Handshake:
    """One client handshake, driven by the caller. Use as a context manager: leaving it wipes the logged secrets.

        with Handshake(context, "feed.example") as handshake:
            handshake.start()
            while not handshake.is_complete:
                send(handshake.data_to_send())
                handshake.receive(read_exactly(handshake.wanted_bytes))
            send(handshake.data_to_send())
            tx, rx = handshake.direction_keys()

    Also after an exception, `data_to_send()` has what the peer should get: the alert that tells it why.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        server_hostname: str | None,
        *,
        allow_unverified: bool = False,
        deadline: float | None = None,
    ) -> None:
        """Raises ContextRefused where `context` checks no certificates or no host names, unless `allow_unverified`.

        `deadline`, of time.monotonic(), bounds the wait for another handshake that is using the same context.
        """
        if not allow_unverified:
            _require_verification(context)
        self._keylog = KeyLog(context, deadline)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)
        self._server_hostname = server_hostname
        self._record = bytearray()
        self._plain_messages = MessageJoiner()
        self._client_random = b""
        self._server_random = b""
        self.is_complete = False

    def __enter__(self) -> Self:
        self._keylog.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._keylog.__exit__(kind, error, traceback)

    @property
    def wanted_bytes(self) -> int:
        """How many bytes complete the record header or record being read. Never read more than this."""
        if len(self._record) < RECORD_HEADER_BYTES:
            return RECORD_HEADER_BYTES - len(self._record)
        return RECORD_HEADER_BYTES + self._body_bytes() - len(self._record)

    def start(self) -> None:
        """Produce the ClientHello; `data_to_send()` has it then."""
        self._advance()

    def data_to_send(self) -> bytes:
        """What must go to the peer now; empty if nothing must."""
        data = self._outgoing.read()
        if not self._client_random and data:
            self._client_random = data[_CLIENT_RANDOM_AT : _CLIENT_RANDOM_AT + RANDOM_BYTES]
        return data

    def receive(self, data: bytes) -> None:
        """Take up to `wanted_bytes` bytes from the peer.

        Raises CertificateRefused, AlertReceived, or HandshakeFailed with OpenSSL's reason.
        """
        if len(data) > self.wanted_bytes:
            raise ValueError(f"received {len(data)} bytes, wanted at most {self.wanted_bytes} bytes")
        self._record += data
        if len(self._record) < RECORD_HEADER_BYTES:
            return
        self._check_header()
        if self.wanted_bytes:
            return
        self._incoming.write(self._record)
        self._advance()
        # After OpenSSL, which refuses what is malformed.
        if self._record[0] == RecordType.HANDSHAKE and not self._server_random:
            self._look_for_server_hello()
        self._record.clear()

    def session(self) -> TlsSession:
        """What was agreed on, once complete. Raises KernelUnsupported for what Linux has no cipher for."""
        version_name = self._tls.version()
        suite = (self._tls.cipher() or ("none",))[0]
        version = _VERSIONS.get(version_name or "")
        cipher = cipher_of_suite(suite)
        if version is None or cipher is None:
            raise KernelUnsupported(f"Linux has no keys for {version_name} with {suite}")
        return TlsSession(version, cipher, suite, self._server_hostname)

    def direction_keys(self) -> tuple[DirectionKeys, DirectionKeys]:
        """The keys to send with and to receive with, once complete, and before the context manager's end."""
        session = self.session()
        if session.version == ssl.TLSVersion.TLSv1_3:
            return (
                self._traffic_1_3("CLIENT_TRAFFIC_SECRET_0", session.cipher),
                self._traffic_1_3("SERVER_TRAFFIC_SECRET_0", session.cipher),
            )
        master_secret = self._logged("CLIENT_RANDOM", 48)
        tx_keys, rx_keys = key_block_1_2(master_secret, self._client_random, self._server_random, session.cipher)
        wipe(master_secret)
        # Each side's Finished was record 0 under these keys.
        return DirectionKeys(tx_keys, 1, None), DirectionKeys(rx_keys, 1, None)

    def _traffic_1_3(self, label: str, cipher: Cipher) -> DirectionKeys:
        secret = TrafficSecret(self._logged(label, hash_bytes(cipher)), cipher)
        return DirectionKeys(secret.keys(), 0, secret)

    def _logged(self, label: str, expected_bytes: int) -> bytearray:
        secret = self._keylog.secret(label, self._client_random)
        if secret is None or len(secret) != expected_bytes:
            found = "nothing" if secret is None else f"{len(secret)} bytes"
            raise HandshakeFailed(f"the TLS library logged {found} for {label}, expected {expected_bytes} bytes")
        return secret

    def _body_bytes(self) -> int:
        return int.from_bytes(self._record[3:RECORD_HEADER_BYTES])

    def _check_header(self) -> None:
        """Before a body is waited for that may never come: is this a TLS record at all?"""
        is_tls = self._record[0] in frozenset(RecordType) and self._record[1] == 3
        if not is_tls or self._body_bytes() > MAX_RECORD_BODY_BYTES:
            start = bytes(self._record[:RECORD_HEADER_BYTES])
            raise HandshakeFailed(f"the peer does not speak TLS: its record starts with {start!r}")

    def _look_for_server_hello(self) -> None:
        """TLS 1.2 keys need ServerHello.random. (A HelloRetryRequest means TLS 1.3, whose keys do not.)"""
        for message_type, body in self._plain_messages.receive(bytes(self._record[RECORD_HEADER_BYTES:])):
            if message_type == MessageType.SERVER_HELLO:
                self._server_random = body[2 : 2 + RANDOM_BYTES]
                return

    def _advance(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLCertVerificationError as error:
            raise CertificateRefused(f"certificate refused: {error.verify_message}") from error
        except ssl.SSLError as error:
            raise _handshake_error(error) from error
        if self._incoming.pending:
            raise HandshakeFailed(f"{self._incoming.pending} bytes were read behind the end of the handshake")
        self.is_complete = True


def _require_verification(context: ssl.SSLContext) -> None:
    if context.verify_mode != ssl.CERT_REQUIRED:
        raise ContextRefused(f"SSLContext.verify_mode is {context.verify_mode.name}, expected CERT_REQUIRED")
    if not context.check_hostname:
        raise ContextRefused("SSLContext.check_hostname is False, expected True")


def _handshake_error(error: ssl.SSLError) -> AlertReceived | HandshakeFailed:
    """OpenSSL names a received alert in the reason: TLSV1_ALERT_PROTOCOL_VERSION, SSLV3_ALERT_HANDSHAKE_FAILURE, ..."""
    reason = error.reason or str(error)
    _, separator, alert = reason.partition("_ALERT_")
    if separator:
        return AlertReceived(alert.lower(), "during the handshake")
    return HandshakeFailed(f"TLS handshake failed: {reason}")
