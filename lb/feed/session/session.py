"""An upgraded connection: the pump reads it, and Python sends on it.

Law: nothing here waits. What can't be sent at once is kept and sent later; a failure of sending never touches what is
still to be read.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import termios
from array import array
from collections.abc import Mapping
from typing import Any

import ktls
from lb.errors import KernelTlsFailed, SessionLost
from lb.feed.session import frames
from lb.feed.session.secure import Stream, reason_of
from lb.feed.session.tls import UserTls
from lb.pump import Source, TlsRecord

MAX_UNSENT_BYTES = 1 << 20
"""A peer that asks for so many answers and takes none does not listen."""


class Session:
    """Owns the stream. `early`: bytes of the feed's that came right behind the upgrade."""

    def __init__(self, stream: Stream, description: str, early: bytes) -> None:
        self._stream = stream
        self._unsent = bytearray()
        self.description = description
        self.early = early
        self.source = _source_of(stream)
        stream.settimeout(0)

    @property
    def can_be_handed_over(self) -> bool:
        """Whether another program in this process can go on with it: not where its keys are in this one's memory."""
        return not isinstance(self._stream, UserTls)

    def hand_over(self) -> dict[str, Any]:
        """For adopt() in another program."""
        tls = self._stream.hand_over() if isinstance(self._stream, ktls.Socket) else None
        unsent = self._unsent.hex()
        return {"fd": self.fileno(), "description": self.description, "unsent": unsent, "tls": tls}

    @classmethod
    def adopt(cls, handed_over: Mapping[str, Any]) -> Session:
        fd, tls = handed_over["fd"], handed_over["tls"]
        stream = socket.socket(fileno=fd) if tls is None else ktls.Socket.adopt(fd, tls)
        session = cls(stream, handed_over["description"], b"")
        session._unsent += bytes.fromhex(handed_over["unsent"])
        return session

    def fileno(self) -> int:
        return self._stream.fileno()

    def read_into(self, room: memoryview) -> int:
        """Source.CALLER only: see UserTls.read_into. Raises EOFError at the end, SessionLost when the session is
        broken."""
        assert isinstance(self._stream, UserTls)
        try:
            return self._stream.read_into(room)
        except OSError as error:
            raise SessionLost(f"receiving failed: {reason_of(error)}") from None

    def read(self, limit_bytes: int) -> bytes:
        """Before the pump has the session: what has come, and b"" where nothing has. Raises as read_into()."""
        try:
            if not (more := self._stream.recv(limit_bytes)):
                raise EOFError
        except BlockingIOError:
            return b""
        except OSError as error:
            raise SessionLost(f"receiving failed: {reason_of(error)}") from None
        return more

    def control_record(self, record: TlsRecord) -> None:
        """Source.KTLS only: take a TLS record that is no application data.

        Raises EOFError after close_notify, SessionLost when the session is broken.
        """
        assert isinstance(self._stream, ktls.Socket)
        try:
            if not self._stream.control_record(record.record_type, record.content):
                raise EOFError
        except ktls.RekeyUnsupported as error:
            raise KernelTlsFailed(f"TLS: {error}") from None
        except OSError as error:
            raise SessionLost(f"TLS: {reason_of(error)}") from None

    @property
    def needs_close_notify(self) -> bool:
        """Whether an end of the stream that nobody announced means that bytes may be missing."""
        return isinstance(self._stream, ktls.Socket)

    @property
    def unread_bytes(self) -> int:
        """In the socket (SIOCINQ, tcp(7))."""
        unread = array("i", [0])
        fcntl.ioctl(self._stream.fileno(), termios.FIONREAD, unread)
        return unread[0]

    def send(self, opcode: int, payload: bytes) -> None:
        """Send one frame, or keep what does not fit now for flush(). Raises SessionLost where sending is over."""
        if self.unsent_bytes > MAX_UNSENT_BYTES:
            raise SessionLost(f"sending failed: the feed has not taken {self.unsent_bytes} bytes")
        self._unsent += frames.client_frame(opcode, payload, os.urandom(4))
        self.flush()

    def flush(self) -> None:
        """Send what was kept, as far as it goes without waiting. Raises as send()."""
        try:
            if isinstance(self._stream, UserTls):
                self._stream.flush()
            while self._unsent:
                del self._unsent[: self._stream.send(self._unsent)]
        except BlockingIOError:
            return
        except OSError as error:
            raise SessionLost(f"sending failed: {reason_of(error)}") from None

    @property
    def unsent_bytes(self) -> int:
        below = self._stream.unsent_bytes if isinstance(self._stream, UserTls) else 0
        return len(self._unsent) + below

    def close(self, code: int | None) -> None:
        """Close the connection, after a close frame with `code` (RFC 6455 section 7.4) if one is given and can be
        sent."""
        if code is not None:
            with contextlib.suppress(SessionLost):
                self.send(frames.CLOSE, frames.close_payload(code))
        self._stream.close()


def _source_of(stream: Stream) -> Source:
    if isinstance(stream, UserTls):
        return Source.CALLER
    return Source.KTLS if isinstance(stream, ktls.Socket) else Source.SOCKET
