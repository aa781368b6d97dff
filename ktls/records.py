"""What records can carry besides data: their types, the alerts' names, and handshake messages joined from pieces."""

from collections.abc import Iterator
from enum import IntEnum

from ktls.errors import UnexpectedMessage


class RecordType(IntEnum):
    """ContentType (RFC 8446 5.1)."""

    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23


class MessageType(IntEnum):
    """The HandshakeType values (RFC 8446 4, RFC 5246 7.4) that matter here."""

    HELLO_REQUEST = 0
    SERVER_HELLO = 2
    NEW_SESSION_TICKET = 4
    KEY_UPDATE = 24


class AlertLevel(IntEnum):
    """AlertLevel (RFC 8446 6)."""

    WARNING = 1
    FATAL = 2


CLOSE_NOTIFY = 0
UNEXPECTED_MESSAGE = 10
USER_CANCELED = 90

# RFC 8446 6, and what older RFCs (4346, 5246) had.
_ALERT_NAMES = {
    CLOSE_NOTIFY: "close_notify",
    UNEXPECTED_MESSAGE: "unexpected_message",
    20: "bad_record_mac",
    21: "decryption_failed",
    22: "record_overflow",
    30: "decompression_failure",
    40: "handshake_failure",
    41: "no_certificate",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    49: "access_denied",
    50: "decode_error",
    51: "decrypt_error",
    60: "export_restriction",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    86: "inappropriate_fallback",
    USER_CANCELED: "user_canceled",
    100: "no_renegotiation",
    109: "missing_extension",
    110: "unsupported_extension",
    111: "certificate_unobtainable",
    112: "unrecognized_name",
    113: "bad_certificate_status_response",
    114: "bad_certificate_hash_value",
    115: "unknown_psk_identity",
    116: "certificate_required",
    120: "no_application_protocol",
}


def alert_name(description: int) -> str:
    """The name of an AlertDescription, or its number where no RFC names it."""
    return _ALERT_NAMES.get(description, f"number {description}")


class MessageJoiner:
    """Joins handshake messages from the pieces that records, and small read buffers, bring.

    A message is a type (1 byte), a length (3 bytes, big-endian) and a body; it may span records, and a record may hold
    several (RFC 8446 5.1).
    """

    HEADER_BYTES = 4
    # NewSessionTicket, the longest one to be expected, has at most 4 + 4 + 1 + 255 + 2 + 65535 + 2 + 65534 bytes.
    MAX_BODY_BYTES = 1 << 17

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def is_empty(self) -> bool:
        """Whether no part of a message is waiting for its rest."""
        return not self._buffer

    @property
    def held(self) -> bytes:
        """The part of a message that waits for its rest."""
        return bytes(self._buffer)

    def hold(self, held: bytes) -> None:
        """Go on behind that."""
        self._buffer[:] = held

    def receive(self, piece: bytes) -> Iterator[tuple[int, bytes]]:
        """Take a piece; yield each message it completes, as (type, body).

        Raises UnexpectedMessage for a length beyond MAX_BODY_BYTES, before the body is waited for.
        """
        self._buffer += piece
        while len(self._buffer) >= self.HEADER_BYTES:
            body_bytes = int.from_bytes(self._buffer[1 : self.HEADER_BYTES])
            if body_bytes > self.MAX_BODY_BYTES:
                raise UnexpectedMessage(f"handshake message of {body_bytes} bytes exceeds {self.MAX_BODY_BYTES} bytes")
            end = self.HEADER_BYTES + body_bytes
            if len(self._buffer) < end:
                return
            message_type, body = self._buffer[0], bytes(self._buffer[self.HEADER_BYTES : end])
            del self._buffer[:end]
            yield message_type, body
