"""Every error of this package, as one tree.

    Error (OSError)                         retry
    |-- ContextRefused (ValueError)         no     the caller's SSLContext does not check certificates
    |-- KernelUnsupported                   no     this kernel has no TLS, or not this version or cipher
    |-- HandshakeFailed                     yes    the TLS exchange did not complete
    |   |-- CertificateRefused              no     our SSLContext does not trust the peer's certificate or name
    |   |-- HandshakeCut                    yes    the peer closed or reset the connection during it
    |   `-- HandshakeTimeout (TimeoutError) yes    not complete within timeout_s
    |-- AlertReceived                       *      the peer sent an alert, during the handshake or later
    `-- SessionLost                         yes    the session was up and cannot go on
        |-- Truncated                       yes    FIN without close_notify: bytes may be missing
        |-- RecordForged                    yes    a record failed its authentication tag
        |-- RecordMalformed                 yes    the bytes are no TLS record of this session
        |-- UnexpectedMessage               yes    a message that has no place after the handshake
        `-- RekeyUnsupported                yes    the peer changed its keys and this kernel cannot (Linux before 6.14)

`.retry` says whether connecting again may help: a value for the caller to obey. `*`: no for alerts about what the two
sides are or want (see _HOPELESS_ALERTS), yes for the rest. Errors of TCP itself (refused, reset, no route, no such
name) stay the standard library's. No text here ever holds key material.
"""

import errno
import os


class Error(OSError):
    """Root of the tree. Not raised itself."""

    retry: bool = False


class ContextRefused(Error, ValueError):
    """The SSLContext given does not check certificates or host names, and the caller did not say that this is meant."""


class KernelUnsupported(Error):
    """This kernel lacks TLS, or the version or cipher that was negotiated. The text says what is missing."""


class HandshakeFailed(Error):
    """The TLS exchange did not complete."""

    retry = True


class CertificateRefused(HandshakeFailed):
    """The peer's certificate was not accepted; the text is OpenSSL's reason. No key has reached the kernel."""

    retry = False


class HandshakeCut(HandshakeFailed):
    """The peer closed or reset the connection before the handshake was complete."""


class HandshakeTimeout(HandshakeFailed, TimeoutError):
    """The handshake was not complete within the time given."""


# Alerts after which the same attempt would meet the same answer (RFC 8446 6.2).
_HOPELESS_ALERTS = frozenset(
    {
        "handshake_failure",
        "bad_certificate",
        "unsupported_certificate",
        "certificate_revoked",
        "certificate_expired",
        "certificate_unknown",
        "unknown_ca",
        "access_denied",
        "protocol_version",
        "insufficient_security",
        "missing_extension",
        "unsupported_extension",
        "unrecognized_name",
        "unknown_psk_identity",
        "certificate_required",
        "no_application_protocol",
    }
)


class AlertReceived(Error):
    """The peer sent an alert other than close_notify. `alert` is its name in RFC 8446 6, or in an older RFC."""

    def __init__(self, alert: str, when: str) -> None:
        super().__init__(f"the peer sent the TLS alert {alert} {when}")
        self.alert = alert
        self.retry = alert not in _HOPELESS_ALERTS


class SessionLost(Error):
    """The session was up and cannot go on."""

    retry = True


class Truncated(SessionLost):
    """The peer's FIN came without close_notify (RFC 8446 6.1): the stream may have been cut by anybody on the way."""


class RecordForged(SessionLost):
    """A record failed its authentication tag (the kernel's EBADMSG). Sending is over, too."""


class RecordMalformed(SessionLost):
    """What came is no TLS record of this session: wrong length (EMSGSIZE) or wrong version (EINVAL)."""


class UnexpectedMessage(SessionLost):
    """A record or handshake message that has no place after the handshake, or is not well formed."""


class RekeyUnsupported(SessionLost):
    """A KeyUpdate (RFC 8446 4.6.3) that this kernel cannot follow. Linux can from 6.14 on."""


def receive_error(error_number: int) -> OSError:
    """The exception that stands for an errno of recvmsg on a kernel TLS socket."""
    if error_number == errno.EBADMSG:
        return RecordForged("a record failed its authentication tag (EBADMSG)")
    if error_number == errno.EMSGSIZE:
        return RecordMalformed("the peer sent a record longer than TLS allows, or no TLS at all (EMSGSIZE)")
    if error_number == errno.EINVAL:
        return RecordMalformed("the peer sent a record of another TLS version (EINVAL)")
    return OSError(error_number, os.strerror(error_number))
