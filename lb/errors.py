"""What can go wrong, whose fault it is, and whether to try again.

    LbError
    |-- UsageError          the command line is wrong                            exit 64
    |-- KeyUnreadable       the key's file or variable can't be read             exit 66
    |-- Unavailable         a directory, program or kernel feature is missing,   exit 69
    |                       or workers end too often
    |-- InternalError       a bug or a failing system call of ours               exit 70
    +-- SessionError        the session can't go on
        |-- Refused         the feed refuses the key or the plan                 exit 77
        |-- OnceOver        --once: there is no next session                     exit 0, or 69
        +-- (retry)         the balancer opens the next session
            |-- ConnectFailed    name, address, TLS or upgrade
            |-- SessionLost      closed, reset or silent
            |   |-- FeedClosed       by a close frame
            |   |-- SessionLetGo     for an upgrade that can't keep it
            |   |-- FeedSilent       nothing comes any more
            |   +-- KernelTlsFailed  the kernel's TLS can't go on with it
            |-- ProtocolError    the feed broke RFC 6455; has the close code
            |-- Evicted          the feed ended the session in its own words
            +-- Superseded       another session, opened beside it, goes on in its place

Law: the balancer obeys `.retry` and `.exit_code`; it does not ask for types. No text holds a credential. Exit codes
are sysexits(3).
"""

from __future__ import annotations

EX_USAGE = 64
EX_NOINPUT = 66
EX_UNAVAILABLE = 69
EX_SOFTWARE = 70
EX_IOERR = 74
EX_NOPERM = 77


class LbError(Exception):
    """Base of all. `retry`: a new session may mend it. `exit_code`: of `lb`, where it does not."""

    retry = False
    exit_code = EX_SOFTWARE
    kind = "other"
    """In a word, for who counts them by reason."""


class UsageError(LbError):
    exit_code = EX_USAGE


class KeyUnreadable(LbError):
    exit_code = EX_NOINPUT


class Unavailable(LbError):
    exit_code = EX_UNAVAILABLE


class InternalError(LbError):
    exit_code = EX_SOFTWARE


class SessionError(LbError):
    """`least_delay_s`: the back-off before the next session is no shorter."""

    retry = True

    def __init__(self, text: str, least_delay_s: float = 0.0) -> None:
        super().__init__(text)
        self.least_delay_s = least_delay_s


class Refused(SessionError):
    kind = "refused"
    retry = False
    exit_code = EX_NOPERM


class ConnectFailed(SessionError):
    kind = "connect"


class SessionLost(SessionError):
    kind = "lost"


class FeedClosed(SessionLost):
    """`is_normal`: the close code says that the feed has nothing more to send (RFC 6455 section 7.4.1)."""

    kind = "closed"

    def __init__(self, text: str, *, is_normal: bool) -> None:
        super().__init__(text)
        self.is_normal = is_normal


class SessionLetGo(SessionLost):
    """By lb itself, for a program that can't go on with it."""

    kind = "upgrade"


class FeedSilent(SessionLost):
    """No answer, no byte or no record for too long."""

    kind = "silent"


class KernelTlsFailed(SessionLost):
    """A session in userspace might have gone on, or not: a kernel's fault and a forged byte look alike."""

    kind = "kernel-tls"


class ProtocolError(SessionError):
    """`close_code`: RFC 6455 section 7.4.1."""

    kind = "protocol"

    def __init__(self, close_code: int, text: str) -> None:
        super().__init__(f"{text} (close code {close_code})")
        self.close_code = close_code


class Evicted(SessionError):
    """The feed said why it ends the session."""

    kind = "evicted"


class Superseded(SessionError):
    """Another session goes on in the place of this one."""

    kind = "superseded"


class OnceOver(SessionError):
    """The only session that was asked for has ended, by the feed's normal close or by `error`."""

    retry = False
    exit_code = EX_UNAVAILABLE

    def __init__(self, error: SessionError) -> None:
        super().__init__(f"--once: {error}")
        if isinstance(error, FeedClosed) and error.is_normal:
            self.exit_code = 0
