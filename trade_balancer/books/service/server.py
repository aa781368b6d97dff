"""The server: a market's summaries at an address.

Law: the loop of the market is the server's. A stop tells all streams first, then waits for what they still take.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import enable_server_reflection

from trade_balancer.books.market import Market
from trade_balancer.books.service import protos
from trade_balancer.books.service.access import Access
from trade_balancer.books.service.clients import Clients, Limits
from trade_balancer.books.service.streams import Streams
from trade_balancer.errors import WorkerError

PORT = 50051
"""Where clients of such services look."""
_LARGEST_REQUEST = 64 << 10
_STREAMS_OF_A_CONNECTION = 1000

_OPTIONS = (
    # Two lb-books at one port would each get some of the clients, and nobody would be told.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", _LARGEST_REQUEST),
    ("grpc.max_concurrent_streams", _STREAMS_OF_A_CONNECTION),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A client that is frozen, while there is traffic: the keepalive alone doesn't see it.
    ("grpc.http2.ping_timeout_ms", 10_000),
    # Clients may ask, too, whether we are there.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
)


_OTHERS = ("grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection")
_FOR_EVERYBODY = Access()
_LIMITS = Limits()


class ListenError(WorkerError):
    """Nothing can be served at this address (exit code 69)."""

    exit_code = 69


class Server:
    """To be started and stopped in the market's loop.

    Args:
        symbol: what orderbook.OrderbookAggregator serves; None: the only one that there is.
        options: of grpc, beside our own; they win.
    """

    def __init__(
        self,
        market: Market,
        *,
        access: Access = _FOR_EVERYBODY,
        limits: Limits = _LIMITS,
        symbol: str | None = None,
        options: tuple[tuple[str, int], ...] = (),
    ) -> None:
        self._access = access
        self._symbol = symbol
        self._options = tuple({**dict(_OPTIONS), **dict(options)}.items())
        self.clients = Clients(market, limits)
        self._health: Any = health.HealthServicer()
        self._server: Any = None
        self.is_serving = False
        """From the start until the stop begins."""

    async def start(self, address: str) -> int:
        """Serve at HOST:PORT, or at unix:PATH. Returns the port (that was chosen, where PORT is 0).

        Raises:
            UsageError: who may connect, and where, do not go together.
            InputError: a file of the access cannot be read.
            ListenError: this address cannot be had.
        """
        self._access.check(address)
        credentials, interceptors = self._access.credentials(), self._access.interceptors()
        server = grpc.aio.server(options=self._options, interceptors=interceptors)
        server.add_generic_rpc_handlers(tuple(Streams(self.clients, self._symbol).handlers()))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        enable_server_reflection((*protos.SERVICES, *_OTHERS), server, pool=_described())
        port = _bound(server, address, credentials)
        await server.start()
        if not port:
            await server.stop(0)  # started or not: one that was not would keep the process for 10 s at its end
            raise ListenError(f"nothing can be served at {address}: it is taken, or none of this machine's")
        self._server = server
        for name in ("", *protos.SERVICES):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        self.is_serving = True
        return port

    async def stop(self, grace_s: float = 5.0) -> None:
        """Tell all streams that it ends, wait for them for `grace_s`, and end."""
        self.is_serving = False
        await self._health.enter_graceful_shutdown()
        self.clients.drain()
        if self._server is not None:
            await self._server.stop(grace_s)


def _bound(server: Any, address: str, credentials: Any) -> int:
    """The port; 0: it cannot be had."""
    try:
        if credentials is None:
            return int(server.add_insecure_port(address))
        return int(server.add_secure_port(address, credentials))
    except RuntimeError:
        return 0


@cache
def _described() -> Any:
    """Our messages and those of health and reflection: all that somebody may ask about."""
    for module in (health_pb2, reflection_pb2):
        file = FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        protos.POOL.AddSerializedFile(file.SerializeToString())
    return protos.POOL
