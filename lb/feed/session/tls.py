"""A TLS session in userspace: OpenSSL over two memory buffers, read in big pieces.

Law: one recv per 256 KiB, not two per TLS record as ssl.SSLSocket has it (header, body), and decryption straight into
the pump's input. Reading never fails because sending does: what the kernel holds is read to its end.
"""

from __future__ import annotations

import contextlib
import socket
import ssl

from lb.errors import SessionLost

RECEIVE_BYTES = 256 * 1024
"""Of one recv. With what a TLS record may hold back it stays within the room that the pump promises
(PUMP_ROOM_BYTES)."""


class UserTls:
    """Owns the socket. Honours its timeout: with 0 nothing blocks."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, server_hostname: str) -> None:
        """Shake hands. Raises ssl.SSLError or OSError."""
        self._sock = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)
        self._encrypted = memoryview(bytearray(RECEIVE_BYTES))
        self._unsent = bytearray()
        self._end: Exception | None = None
        try:
            self._shake_hands()
        except ssl.SSLError:
            with contextlib.suppress(OSError):
                self.flush()  # the alert that tells the peer why
            raise

    @property
    def description(self) -> str:
        """For example "TLSv1.3 TLS_AES_256_GCM_SHA384"."""
        cipher = self._tls.cipher()
        return f"{self._tls.version()} {cipher[0] if cipher else '?'}"

    def fileno(self) -> int:
        return self._sock.fileno()

    def gettimeout(self) -> float | None:
        return self._sock.gettimeout()

    def settimeout(self, timeout_s: float | None) -> None:
        self._sock.settimeout(timeout_s)

    def recv(self, limit_bytes: int) -> bytes:
        """As socket.recv on a blocking socket; b"" after the peer's close_notify."""
        while True:
            try:
                return self._tls.read(limit_bytes)
            except ssl.SSLWantReadError:
                self.flush()
                self._receive()
            except ssl.SSLZeroReturnError:
                return b""

    def read_into(self, room: memoryview) -> int:
        """Receive once and decrypt all of it into `room`, without waiting. 0: nothing there.

        Whatever ends the stream is raised when all before it has been handed out: EOFError after close_notify,
        SessionLost where there was none (what is missing may have been cut off by anybody), OSError for the rest.
        """
        if self._end is not None:
            raise self._end
        filled_bytes = 0
        may_receive = True
        try:
            while filled_bytes < len(room):
                try:
                    filled_bytes += self._decrypt_into(room[filled_bytes:])
                except ssl.SSLWantReadError:
                    with contextlib.suppress(OSError):  # whoever sends next meets it again
                        self.flush()
                    if not may_receive or not self._receive_if_any():
                        break
                    may_receive = False
        except OSError as error:
            self._end = _meaning_of(error)
            if not filled_bytes:
                raise self._end from None
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RD)  # polls as readable from now on, though no byte may follow
        return filled_bytes

    @property
    def unsent_bytes(self) -> int:
        """Encrypted, and not sent yet."""
        return len(self._unsent) + self._outgoing.pending

    def send(self, data: bytes | bytearray) -> int:
        """As socket.send: all of `data` is taken, or none with BlockingIOError while earlier data waits."""
        self.flush()
        self._tls.write(data)
        with contextlib.suppress(BlockingIOError):
            self.flush()
        return len(data)

    def close(self) -> None:
        """Send close_notify if that needs no waiting, and close the socket."""
        try:
            self._sock.settimeout(0)
            self._tls.unwrap()
        except (OSError, ValueError):
            pass  # SSLWantReadError: the peer's answer is not waited for
        with contextlib.suppress(OSError):
            self.flush()
        self._sock.close()

    def _shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.flush()
                self._receive()
        self.flush()

    def _decrypt_into(self, room: memoryview) -> int:
        """At least 1 byte. Raises SSLZeroReturnError after close_notify, which Python itself tells by 0 bytes."""
        count_bytes = self._tls.read(len(room), room)
        assert isinstance(count_bytes, int)  # with a buffer it answers a number, which typeshed does not say
        if count_bytes == 0:
            raise ssl.SSLZeroReturnError
        return count_bytes

    def _receive(self) -> None:
        count_bytes = self._sock.recv_into(self._encrypted)
        if count_bytes:
            self._incoming.write(self._encrypted[:count_bytes])
        else:
            self._incoming.write_eof()

    def _receive_if_any(self) -> bool:
        try:
            self._receive()
        except BlockingIOError:
            return False
        return True

    def flush(self) -> None:
        """Send what is encrypted. Keeps what can't be sent, and raises as socket.send."""
        if self._outgoing.pending:
            self._unsent += self._outgoing.read()
        while self._unsent:
            del self._unsent[: self._sock.send(self._unsent)]


def _meaning_of(error: OSError) -> Exception:
    """What an exception of a read says about the stream."""
    if isinstance(error, ssl.SSLZeroReturnError):
        return EOFError()
    # Python 3.11.2 (Debian 12) has no class for it where it is not told to take it for an end (secure.py).
    if isinstance(error, ssl.SSLEOFError) or getattr(error, "reason", None) == "UNEXPECTED_EOF_WHILE_READING":
        return SessionLost("connection closed without close_notify")
    return error
