"""One call of Books.Watch, kept up: what arrives, and when the server was lost and is back.

Law: a credit is granted for each summary that the caller has worked through, so that the next is the newest. A server
that was never there, a refusal and an unknown symbol end it; one that was there is tried again until it is back.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trade_balancer.books.service import protos
from trade_balancer.errors import MissingExtraError, UsageError, WorkerError
from trade_balancer.private_file import contents, secret

try:
    import grpc
except ImportError:
    raise MissingExtraError("gRPC", "grpcio", "books") from None

_CREDITS = 2
"""One that is being worked through, and one on its way."""
_FIRST_WAIT_S = 0.25
_LONGEST_WAIT_S = 10.0
_OPTIONS = (
    # Nothing is taken in advance that would get old here.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 4096),
    # A server that is gone without a word.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
)
_AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN)
_HIDDEN_MAX = 3
"""So often a call is asked again that ended as INTERNAL: grpc.aio says that of one that the server ended while it was
written to, and hides why."""
ENDED = "it has ended the stream"


class NoServerError(WorkerError):
    """No lb-books answers at this address (exit code 69)."""

    exit_code = os.EX_UNAVAILABLE


class NotAdmittedError(WorkerError):
    """lb-books wants another token (exit code 77)."""

    exit_code = os.EX_NOPERM


@dataclass(frozen=True)
class Target:
    """A server, and how it is spoken to."""

    address: str
    is_tls: bool = False
    authority: Path | None = None
    """PEM, of who has signed the server's certificate; None: those that the system trusts."""
    certificate: Path | None = None
    """Ours, PEM, with its key: where the server asks for one."""
    key: Path | None = None
    token: Path | None = None
    """A file with what is said as `authorization: Bearer ...`."""

    def channel(self) -> Any:
        """
        Raises:
            InputError: a file cannot be read.
        """
        if not self.is_tls:
            return grpc.aio.insecure_channel(self.address, options=_OPTIONS)
        read = [contents(path) if path else None for path in (self.authority, self.key, self.certificate)]
        return grpc.aio.secure_channel(self.address, grpc.ssl_channel_credentials(*read), options=_OPTIONS)

    def metadata(self) -> list[tuple[str, str]]:
        """
        Raises:
            InputError: the token cannot be read, or others may read it.
        """
        return [("authorization", f"Bearer {secret(self.token)}")] if self.token else []


@dataclass(frozen=True)
class Lost:
    """The server is gone, or has not come back; it is tried again."""

    why: str


async def follow(
    target: Target, symbols: Sequence[str], *, depth: int = 0, max_rate_hz: float = 0.0
) -> AsyncIterator[Any]:
    """Yields each `protos.Summary` that arrives, and Lost in between. It never ends by itself.

    Raises:
        NoServerError, NotAdmittedError, InputError: it is not to be had.
        UsageError: a symbol that no venue has, or what else the server does not take.
    """
    wait_s, has_been_there, hidden = _FIRST_WAIT_S, False, 0
    asked = protos.WatchRequest(add=symbols, credits=_CREDITS, depth=depth, max_rate_hz=max_rate_hz)
    while True:
        why = ENDED
        try:
            async with target.channel() as channel:
                async for summary in _summaries(channel, target.metadata(), asked):
                    wait_s, has_been_there = _FIRST_WAIT_S, True
                    yield summary
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.INTERNAL and not has_been_there and hidden < _HIDDEN_MAX:
                hidden += 1
                continue
            why = why_ended(error)
            _raise_for(error.code(), why, target.address, has_been_there)
        yield Lost(why)
        await asyncio.sleep(wait_s)
        wait_s = min(2 * wait_s, _LONGEST_WAIT_S)


async def _summaries(channel: Any, metadata: list[tuple[str, str]], asked: Any) -> AsyncIterator[Any]:
    call = watch(channel, metadata)
    credit = protos.WatchRequest(credits=1)
    try:
        await write(call, asked)
        while (reply := await call.read()) is not grpc.aio.EOF:
            if reply.HasField("refused"):
                raise UsageError(reply.refused.reason)
            yield reply.summary
            await write(call, credit)
    finally:
        call.cancel()


def watch(channel: Any, metadata: list[tuple[str, str]]) -> Any:
    """A call of Books.Watch: `protos.WatchRequest` in, `protos.WatchReply` out."""
    return channel.stream_stream(
        f"/{protos.BOOKS}/Watch", protos.WatchRequest.SerializeToString, protos.WatchReply.FromString
    )(metadata=metadata)


def why_ended(error: grpc.aio.AioRpcError) -> str:
    """What the server has said of it, where grpc.aio does not hide that."""
    return ENDED if error.code() == grpc.StatusCode.INTERNAL else error.details() or error.code().name


async def write(call: Any, message: Any) -> None:
    """One that is over says why when it is read."""
    try:
        await call.write(message)
    except (asyncio.InvalidStateError, grpc.aio.UsageError):
        if not call.done():
            raise


def _raise_for(code: grpc.StatusCode, why: str, address: str, has_been_there: bool) -> None:
    if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
        raise NotAdmittedError(f"lb-books at {address} lets nobody in without its token: {why}") from None
    if code == grpc.StatusCode.UNIMPLEMENTED:
        raise NoServerError(f"what answers at {address} is no lb-books") from None
    if not has_been_there and code in _AGAIN:
        raise NoServerError(f"no lb-books answers at {address}: {why}") from None
    if code not in _AGAIN and code != grpc.StatusCode.RESOURCE_EXHAUSTED:
        raise UsageError(f"lb-books at {address} does not take that: {why}") from None
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED and not has_been_there:
        raise NoServerError(f"lb-books at {address} has no room: {why}") from None
