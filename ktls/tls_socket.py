"""A socket whose TLS session is in the kernel: plain reads and writes, and control records taken care of.

Law: application data never passes through more Python than one recvmsg. Everything else that a record can carry goes
through `Socket.control_record`, whoever has read it: this class's own recv, or a loop in C that owns the file
descriptor.
"""

import errno
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from select import POLLIN, POLLOUT, poll
from ssl import TLSVersion
from threading import RLock
from time import monotonic, sleep
from typing import Any, Never

from ktls import kernel
from ktls.ciphers import CIPHERS
from ktls.errors import AlertReceived, RekeyUnsupported, Truncated, UnexpectedMessage, receive_error
from ktls.handshake import TlsSession
from ktls.key_schedule import TrafficSecret
from ktls.records import (
    CLOSE_NOTIFY,
    UNEXPECTED_MESSAGE,
    USER_CANCELED,
    AlertLevel,
    MessageJoiner,
    MessageType,
    RecordType,
    alert_name,
)

ALERT_BYTES = 2
_HALF_RECORD_PAUSE_S = 0.001


class Socket(socket.socket):
    """A connected TCP socket whose TLS session the kernel holds, both directions.

    It behaves as `socket.socket` does, blocking, with a timeout, or non-blocking, with these differences:

    - recv, recv_into, recvfrom, recvfrom_into absorb session tickets, answer key updates, return b"" (0) after
      close_notify, and raise the errors of `ktls.errors` for everything else. MSG_PEEK is refused: a control record
      cannot be peeked past.
    - recvmsg and recvmsg_into are the bare calls: who gives them room for ancillary data gets control records, too, and
      hands those to `control_record`.
    - Who waits for it with select or poll reads until BlockingIOError first: a key update that was read together with
      the data before it waits inside the kernel, and poll does not report it.
    - shutdown(SHUT_WR or SHUT_RDWR) and close() send close_notify first; close() without waiting for room.
    - dup() is refused: two owners would each see half of the control records.

    One thread may send while another receives.
    """

    def __init__(self, fileno: int, session: TlsSession, tx: TrafficSecret | None, rx: TrafficSecret | None) -> None:
        """Made by `hand_over`, after both keys are set; takes the file descriptor and the secrets over."""
        super().__init__(fileno=fileno)
        self.session = session
        self._tx = tx
        self._rx = rx
        self._messages = MessageJoiner()
        self._alert = b""
        self._peer_has_closed = False
        self._have_closed = False
        self._key_update_owed = False
        # Between a KeyUpdate and the new keys for it, no other thread may send.
        self._sending = RLock()

    # -- another program in the same process ---------------------------------------------------------------------

    def hand_over(self) -> dict[str, Any]:
        """What must be known beside the file descriptor to go on with the session, in JSON's words: adopt().

        Under TLS 1.3 the traffic secrets are among it, which a key update needs: as secret as the session.
        """
        session = self.session
        return {
            "version": session.version.name,
            "cipher": session.cipher.name,
            "suite": session.suite,
            "server_hostname": session.server_hostname,
            "tx": None if self._tx is None else self._tx.reveal().hex(),
            "rx": None if self._rx is None else self._rx.reveal().hex(),
            "messages": self._messages.held.hex(),
            "alert": self._alert.hex(),
            "peer_has_closed": self._peer_has_closed,
            "have_closed": self._have_closed,
            "key_update_owed": self._key_update_owed,
        }

    @classmethod
    def adopt(cls, fileno: int, handed_over: Mapping[str, Any]) -> "Socket":
        """A session that the kernel holds since before this program was there; takes the file descriptor over."""
        cipher = next(cipher for cipher in CIPHERS if cipher.name == handed_over["cipher"])
        version = TLSVersion[handed_over["version"]]
        session = TlsSession(version, cipher, handed_over["suite"], handed_over["server_hostname"])
        tx, rx = (
            None if handed_over[name] is None else TrafficSecret(bytearray.fromhex(handed_over[name]), cipher)
            for name in ("tx", "rx")
        )
        adopted = cls(fileno, session, tx, rx)
        adopted._messages.hold(bytes.fromhex(handed_over["messages"]))
        adopted._alert = bytes.fromhex(handed_over["alert"])
        adopted._peer_has_closed = handed_over["peer_has_closed"]
        adopted._have_closed = handed_over["have_closed"]
        adopted._key_update_owed = handed_over["key_update_owed"]
        return adopted

    # -- what lies between data -------------------------------------------------------------------------------

    def control_record(self, record_type: int, data: bytes) -> bool:
        """Take a record that is no application data, or a piece of one, as recvmsg brought it with its type.

        Read on before you wait: poll reports nothing while the kernel holds a key update, or the rest of one.

        Returns True to go on reading, False after close_notify: the stream has ended as it should.

        A session ticket is absorbed. A key update is followed at once, and answered if the peer asked for that; where
        the socket has no room for the answer, it goes out before the next thing sent through this object.

        Raises AlertReceived, RekeyUnsupported (Linux before 6.14) or UnexpectedMessage; the session is lost then.
        """
        if record_type == RecordType.ALERT:
            self._take_alert(data)
        elif record_type == RecordType.HANDSHAKE:
            try:
                for message_type, body in self._messages.receive(data):
                    self._take_message(message_type, body)
            except UnexpectedMessage:
                self._send_alert(AlertLevel.FATAL, UNEXPECTED_MESSAGE)
                raise
        else:
            self._send_alert(AlertLevel.FATAL, UNEXPECTED_MESSAGE)
            raise UnexpectedMessage(f"record of type {record_type} after the handshake")
        return not self._peer_has_closed

    def end_of_stream(self) -> None:
        """Say that recvmsg returned nothing, not even a record type: the peer's FIN.

        Raises Truncated unless close_notify came before it.
        """
        if not self._peer_has_closed:
            raise Truncated("the peer closed the connection without close_notify: the stream may be truncated")

    def update_keys(self, *, request_peer: bool = False) -> None:
        """Change the keys we send with (RFC 8446 4.6.3); with `request_peer`, ask the peer to change its keys, too.

        Raises RekeyUnsupported, before anything is sent, under TLS 1.2 and where the kernel cannot.
        """
        if self._tx is None or not kernel.can_rekey():
            raise RekeyUnsupported(f"no key update: {self.session} on this kernel")
        with self._sending:
            self._send_key_update(request_peer)

    def _take_alert(self, piece: bytes) -> None:
        self._alert += piece
        while len(self._alert) >= ALERT_BYTES and not self._peer_has_closed:
            level, description = self._alert[:ALERT_BYTES]
            self._alert = self._alert[ALERT_BYTES:]
            # In TLS 1.3 every other alert is fatal, whatever level it claims (RFC 8446 6).
            is_warning = level == AlertLevel.WARNING and self.session.version == TLSVersion.TLSv1_2
            if description == CLOSE_NOTIFY:
                self._peer_has_closed = True
            elif description != USER_CANCELED and not is_warning:
                raise AlertReceived(alert_name(description), "in mid-stream")

    def _take_message(self, message_type: int, body: bytes) -> None:
        if self.session.version == TLSVersion.TLSv1_2:
            # A HelloRequest may be ignored (RFC 5246 7.4.1.1); there is no renegotiation here.
            if message_type == MessageType.HELLO_REQUEST:
                return
        elif message_type == MessageType.NEW_SESSION_TICKET:
            return
        elif message_type == MessageType.KEY_UPDATE:
            self._follow_key_update(body)
            return
        raise UnexpectedMessage(f"handshake message of type {message_type} after the {self.session} handshake")

    def _follow_key_update(self, body: bytes) -> None:
        if body not in (b"\0", b"\1") or not self._messages.is_empty:
            raise UnexpectedMessage(f"malformed key update of {len(body)} bytes")
        assert self._rx is not None  # TLS 1.3 always has it
        self._set_next_keys(kernel.RX, self._rx)
        if body == b"\1":
            self._key_update_owed = True
            self._pay_key_update_if_there_is_room()

    def _pay_key_update_if_there_is_room(self) -> None:
        """A reader must neither wait to write (the peer may be waiting for us to read) nor fail because it can't (what
        the kernel holds is still to be read). Who sends next pays then, or meets the error."""
        if self._sending.acquire(blocking=False):
            try:
                # Asked first, because on a socket with a timeout Python waits even with MSG_DONTWAIT.
                if self._is_ready(POLLOUT, monotonic()):
                    with suppress(OSError):
                        self._pay_key_update(socket.MSG_DONTWAIT)
            finally:
                self._sending.release()

    def _pay_key_update(self, flags: int = 0) -> None:
        """One answer is enough, however often the peer has asked meanwhile (RFC 8446 4.6.3)."""
        if self._key_update_owed:
            self._send_key_update(False, flags)

    def _send_key_update(self, request_peer: bool, flags: int = 0) -> None:
        assert self._tx is not None  # TLS 1.3 always has it
        message = bytes([MessageType.KEY_UPDATE, 0, 0, 1, request_peer])
        super().sendmsg([message], kernel.record_type_header(RecordType.HANDSHAKE), flags)
        self._key_update_owed = False
        self._set_next_keys(kernel.TX, self._tx)

    def _set_next_keys(self, direction: int, secret: TrafficSecret) -> None:
        secret.advance()
        keys = secret.keys()
        try:
            kernel.set_keys(self, direction, self.session.version, self.session.cipher, keys, rec_seq=0)
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise RekeyUnsupported("the peer changed its keys, which Linux before 6.14 cannot follow") from error
            raise
        finally:
            keys.wipe()

    def _send_alert(self, level: AlertLevel, description: int) -> None:
        """Send an alert if the session still lets us; who is told why a session ends may be gone already."""
        with suppress(OSError):
            super().sendmsg(
                [bytes([level, description])], kernel.record_type_header(RecordType.ALERT), socket.MSG_NOSIGNAL
            )

    # -- receiving --------------------------------------------------------------------------------------------

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """As socket.recv. b"" means that the peer ended the stream with close_notify."""
        buffer = bytearray(bufsize)
        return bytes(memoryview(buffer)[: self._receive(memoryview(buffer), flags)])

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """As socket.recv_into. 0 means that the peer ended the stream with close_notify."""
        view = memoryview(buffer).cast("B")
        return self._receive(view[:nbytes] if nbytes else view, flags)

    def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, None]:
        """As recv; the address is None, as for every connected socket."""
        return self.recv(bufsize, flags), None

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, None]:
        """As recv_into; the address is None, as for every connected socket."""
        return self.recv_into(buffer, nbytes, flags), None

    def pending(self) -> int:
        """How many decrypted bytes wait outside the kernel: always 0. (What ssl.SSLSocket has, clients ask for.)"""
        return 0

    def _receive(self, buffer: memoryview, flags: int) -> int:
        if flags & socket.MSG_PEEK:
            raise ValueError("MSG_PEEK does not work on kernel TLS: a control record cannot be peeked past")
        if self._peer_has_closed or not buffer:
            return 0
        timeout_s = self.gettimeout()
        deadline = None if timeout_s is None else monotonic() + timeout_s
        while True:
            count, kind = self._receive_record(buffer, flags, deadline)
            if kind is None:
                self.end_of_stream()
                return 0
            if kind != RecordType.APPLICATION_DATA:
                if not self.control_record(kind, bytes(buffer[:count])):
                    return 0
            elif count:
                return count

    def _receive_record(self, buffer: memoryview, flags: int, deadline: float | None) -> tuple[int, int | None]:
        """kernel.receive, as soon as there is something to receive.

        Reading comes before waiting, always. Poll hides what Linux 7.2 has read of a key update already: the rest of
        one for which the buffer was too small, and one that was read by the call that returned the data before it.
        """
        said_readable = False
        while True:
            try:
                return kernel.receive(self.fileno(), buffer, flags | socket.MSG_DONTWAIT)
            except InterruptedError:
                continue
            except BlockingIOError:
                if flags & socket.MSG_DONTWAIT or self.gettimeout() == 0:
                    raise
            except OSError as error:
                raise receive_error(error.errno or 0) from error
            if said_readable:
                # Linux 6.1 reports half a record as readable. Wait for the rest without keeping a core busy.
                sleep(_HALF_RECORD_PAUSE_S)
            if deadline is not None and monotonic() >= deadline:
                raise TimeoutError("timed out")
            said_readable = self._is_ready(POLLIN, deadline)

    def _is_ready(self, event: int, deadline: float | None) -> bool:
        """Wait for an event, no longer than to a deadline of time.monotonic(); without one for as long as it takes."""
        waiting = poll()
        waiting.register(self, event)
        return bool(waiting.poll(None if deadline is None else max(0.0, deadline - monotonic()) * 1000))

    # -- sending ----------------------------------------------------------------------------------------------
    # An answer to a key update goes before the next data (RFC 8446 4.6.3); otherwise these are the kernel's.

    def send(self, data: Any, flags: int = 0, /) -> int:
        """As socket.send."""
        with self._sending:
            self._pay_key_update()
            return super().send(data, flags)

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """As socket.sendall."""
        with self._sending:
            self._pay_key_update()
            super().sendall(data, flags)

    def sendmsg(
        self, buffers: Iterable[Any], ancdata: Iterable[Any] = (), flags: int = 0, address: Any = None, /
    ) -> int:
        """As socket.sendmsg."""
        with self._sending:
            self._pay_key_update()
            return super().sendmsg(buffers, ancdata, flags, address)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """As socket.sendfile."""
        with self._sending:
            self._pay_key_update()
            return super().sendfile(file, offset, count)

    # -- ending -----------------------------------------------------------------------------------------------

    def shutdown(self, how: int, /) -> None:
        """As socket.shutdown; the end of the sending side is told with close_notify."""
        if how in (socket.SHUT_WR, socket.SHUT_RDWR):
            self._send_close_notify()
        super().shutdown(how)

    def detach(self) -> int:
        """As socket.detach: the caller owns the file descriptor; nobody follows key updates any more."""
        self._wipe()
        return super().detach()

    def dup(self) -> Never:
        """Refused."""
        raise NotImplementedError("a kernel TLS socket cannot be duplicated: each copy would miss control records")

    def _send_close_notify(self) -> None:
        if not self._have_closed:
            self._have_closed = True
            self._send_alert(AlertLevel.WARNING, CLOSE_NOTIFY)

    def _wipe(self) -> None:
        for secret in (self._tx, self._rx):
            if secret is not None:
                secret.wipe()

    def _real_close(self) -> None:
        # socket.socket calls this when the last makefile() is closed, too; ssl.SSLSocket hooks in at the same place.
        if self.fileno() >= 0:
            self.settimeout(0)
            self._send_close_notify()
        self._wipe()
        super()._real_close()  # type: ignore[misc]
