"""`lb-books --metrics HOST:PORT`: metrics, health and readiness by HTTP (extra `metrics`).

Law: served in the loop of the books; who is slow to ask or to read is cut off, and holds up nobody.
"""

from __future__ import annotations

import asyncio
import socket

from trade_balancer.books.desk import Desk
from trade_balancer.books.exposition import Exposition
from trade_balancer.books.service.server import Server
from trade_balancer.page.connection import Clients, Connection
from trade_balancer.page.listening import bound, is_loopback
from trade_balancer.page.reply import Reply, Routes, plain, readiness
from trade_balancer.page.request import Request


class Site:
    def __init__(self, desk: Desk, server: Server, *, only_local: bool) -> None:
        self._desk = desk
        self._server = server
        self._exposition = Exposition(desk, server.clients)
        routes = {"/metrics": self._metrics, "/healthz": lambda _: plain(200, "ok"), "/readyz": self._readiness}
        self.reply = Routes(routes, only_local=only_local).reply

    def _metrics(self, request: Request) -> Reply:
        content_type, body = self._exposition.text(request.fields.get("accept", ""))
        return Reply(200, content_type, body)

    def _readiness(self, _request: Request) -> Reply:
        """One venue is enough: the books of the others leave the merge, and clients are told."""
        venues = [
            (f"{name} has a session, and its symbols are known", lb.is_open and self._desk.keeper.known(name) > 0)
            for name, lb in self._desk.lbs.items()
        ]
        serving = self._server.is_serving
        is_ready = serving and any(is_so for _, is_so in venues)
        return readiness([("gRPC is served", serving), *venues], is_ready=is_ready)


async def serve(listening: socket.socket, desk: Desk, server: Server) -> asyncio.Server:
    """To be closed."""
    bound(listening)
    clients = Clients(Site(desk, server, only_local=is_loopback(listening)).reply)
    return await asyncio.get_running_loop().create_server(lambda: Connection(clients), sock=listening)
