"""Who may connect: TLS, certificates of clients, a token.

Law: a token travels only where nobody can read it: over TLS, or within this machine. Credentials come from files, and
never appear in a text.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trade_balancer.errors import MissingExtraError, UsageError
from trade_balancer.private_file import contents, secret

try:
    import grpc
except ImportError:
    raise MissingExtraError("gRPC", "grpcio", "books") from None

HEALTH = "/grpc.health.v1.Health/"
"""Is answered without a token: what asks for it (an orchestrator's probe) has none to give, and learns nothing."""

_LOCAL = ("127.", "localhost:", "[::1]:", "unix:", "unix-abstract:")


@dataclass(frozen=True)
class Access:
    """Files, as they are named on the command line. Without any: plain text, for everybody."""

    certificate: Path | None = None
    """The server's chain, PEM."""
    key: Path | None = None
    client_authority: Path | None = None
    """PEM; whoever connects must have a certificate that it has signed."""
    token: Path | None = None
    """What clients must say, as `authorization: Bearer ...`; for nobody's eyes but the owner's (mode 0600 or less)."""

    def check(self, address: str) -> None:
        """
        Raises:
            UsageError: these do not go together, or not with this address.
        """
        if (self.certificate is None) != (self.key is None):
            raise UsageError("TLS needs both a certificate and its key")
        if self.client_authority and not self.certificate:
            raise UsageError("certificates of clients can be asked for only by a server that has one itself")
        if self.token and not self.certificate and not address.startswith(_LOCAL):
            raise UsageError(f"a token at {address} without TLS could be read by anybody on the way")

    def credentials(self) -> Any:
        """Of the server, for grpc; None: plain text.

        Raises:
            InputError: a file cannot be read.
        """
        if self.certificate is None or self.key is None:
            return None
        authority = contents(self.client_authority) if self.client_authority else None
        chain = [(contents(self.key), contents(self.certificate))]
        return grpc.ssl_server_credentials(chain, authority, require_client_auth=authority is not None)

    def interceptors(self) -> list[Any]:
        """
        Raises:
            InputError: the token's file cannot be read, is empty, or is open to others.
        """
        return [] if self.token is None else [TokenInterceptor(secret(self.token))]


class TokenInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc] # grpc has no types
    """Ends whatever comes without the token with UNAUTHENTICATED."""

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()
        # For calls of all kinds: of them all, this one does not wait for a request first.
        self._refusal = grpc.stream_stream_rpc_method_handler(_refuse)

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        if details.method.startswith(HEALTH) or self._is_said(details.invocation_metadata):
            return await continuation(details)
        return self._refusal

    def _is_said(self, metadata: Any) -> bool:
        said = [value for key, value in metadata if key == "authorization"]
        given = said[0] if len(said) == 1 else ""
        return hmac.compare_digest(given.encode() if isinstance(given, str) else given, self._expected)


async def _refuse(_requests: object, context: Any) -> None:
    await context.abort(
        grpc.StatusCode.UNAUTHENTICATED, "the metadata has no authorization: Bearer TOKEN that is right"
    )
