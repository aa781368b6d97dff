"""Serves the control socket: a request of each client per turn of the balancer, and what is pushed to those who watch.

Law: its callbacks only read; all else is done in tend(), between two runs of the pump. A client that asks without end
has one answer per turn, one that does not read is cut off, and one too many is told so.
"""

from __future__ import annotations

import errno
import socket
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lb import logs
from lb.control.client import Client, Later
from lb.control.listener import Listener
from lb.control.protocol import Fault, Id, Refusal, Request, error_line, result_line
from lb.errors import LbError
from lb.ration import Ration
from lb.signals import WakeUps

RESEND_S = 0.01
"""Between two tries to send what a client had no room for."""
PAUSE_S = 1.0
"""Where the system has no descriptor for a client: until the next try."""
PUSH_S = 1.0
"""Between two reports to those who watch."""

_NEVER_NS = 1 << 62


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request has come to; `fds` go with it (SCM_RIGHTS), and are closed when they have."""

    result: Mapping[str, object]
    fds: Sequence[int] = ()


Verb = Callable[[Mapping[str, object], Client], Answer | Later]
"""Takes a request's other members; raises Refusal where it is not carried out."""


class Server:
    """`listener`: where clients come from, besides those who are let in by join(). `verbs` by their names; `status` is
    what those who watch are told at intervals. To be closed; then all clients are."""

    def __init__(
        self,
        listener: Listener | None,
        wake_ups: WakeUps,
        verbs: Mapping[str, Verb],
        status: Callable[[], Mapping[str, object]],
        most_clients: int,
    ) -> None:
        self._listener = listener
        self._wake_ups = wake_ups
        self._verbs = verbs
        self._most_clients = most_clients
        self._clients: dict[int, Client] = {}
        self._status = status
        self._accept_ns = _NEVER_NS
        self._own = 0
        """Clients that came by join()."""
        self._has_callers = False
        self._push_ns = 0
        self._refusals = Ration(lines=1)
        self._lines: deque[Mapping[str, object]] = deque()
        """Of the log, untold: whoever opens a session is a thread of its own, and clients are the loop's."""
        if listener is not None:
            wake_ups.watch(listener.socket.fileno(), self._called)
        logs.listen(self._lines.append)

    def close(self) -> None:
        logs.listen(None)
        self._tell_lines()
        if self._listener is not None:
            self._wake_ups.unwatch(self._listener.socket.fileno())
        for client in list(self._clients.values()):
            client.flush()
            self._remove(client)

    def join(self, connection: socket.socket, may: Collection[str], on_close: Callable[[], object]) -> None:
        """Serve one of lb's own, besides the others. `may`: the verbs that it may use."""
        client = Client(connection, may)
        client.on_close.append(on_close)
        self._own += 1
        client.on_close.append(self._one_less)
        self._admit(client)

    @property
    def is_settled(self) -> bool:
        """Whether nobody waits for an answer that only this process can give."""
        return all(later.is_of_upgrade for client in self._clients.values() for _, later in client.later)

    def hand_over(self) -> list[dict[str, Any]]:
        """The clients, but lb's own, for adopt() in another process. To be settled."""
        clients = [client for client in self._clients.values() if client.may is None and not client.has_gone]
        for client in clients:
            while isinstance(client.request, Fault):
                self._serve(client)
        self._tell_lines()
        return [{**client.hand_over(), "upgrade_ids": [id_ for id_, _ in client.later]} for client in clients]

    @property
    def fds(self) -> list[int]:
        """Of the clients that are handed over."""
        return [fd for client in self._clients.values() if client.may is None for fd in client.fds]

    def adopt(self, handed_over: Sequence[Mapping[str, Any]], answer: Mapping[str, object]) -> list[Client]:
        """Serve those who came to another process. `answer`: what those are told who asked that one for an upgrade.
        Returns them in their order."""
        clients = [Client.adopt(one) for one in handed_over]
        for client, one in zip(clients, handed_over, strict=True):
            self._admit(client)
            client.later = [(id_, Later(lambda: answer, 0)) for id_ in one["upgrade_ids"]]
        return clients

    @property
    def deadline_ns(self) -> int:
        """When tend() has something to do next."""
        clients = self._clients.values()
        if self._lines or self._has_callers or any(client.request is not None or client.has_gone for client in clients):
            return 0
        resend_ns = (
            time.monotonic_ns() + int(RESEND_S * 1e9) if any(client.is_behind for client in clients) else _NEVER_NS
        )
        later_ns = min((later.until_ns for client in clients for _, later in client.later), default=_NEVER_NS)
        return min(later_ns, self._accept_ns, self._push_ns if self._is_watched else _NEVER_NS, resend_ns)

    @property
    def _door(self) -> Listener:
        assert self._listener is not None  # without it nobody calls
        return self._listener

    @property
    def _is_watched(self) -> bool:
        return any(client.watch is not False for client in self._clients.values())

    def _tell(self, event: Mapping[str, object]) -> None:
        """Push an event to those who watch."""
        for client in self._clients.values():
            client.tell(event)

    def _tell_lines(self) -> None:
        while self._lines:
            self._tell({"name": "log", **self._lines.popleft()})

    def tend(self, now_ns: int) -> None:
        """Answer what has been asked, a request of each client, and let go who has gone."""
        if now_ns >= self._accept_ns:
            self._accept_ns = _NEVER_NS
            self._has_callers = True
            self._wake_ups.watch(self._door.socket.fileno(), self._called)
        self._tell_lines()
        if now_ns >= self._push_ns and self._is_watched:
            self._push_ns = now_ns + int(PUSH_S * 1e9)
            self._tell({"name": "status", **self._status()})
        for client in list(self._clients.values()):
            self._serve(client)
            client.flush()
            if client.has_gone:
                self._remove(client)
        if self._has_callers:  # now that those who have gone make room
            self._has_callers = False
            self._accept()

    def _called(self) -> None:
        self._has_callers = True

    def _serve(self, client: Client) -> None:
        still_later: list[tuple[Id, Later]] = []
        for id_, later in client.later:
            try:
                result = later.look()
            except Refusal as error:
                client.say(error_line(id_, error))
                continue
            if result is None:
                still_later.append((id_, later))
            else:
                client.say(result_line(id_, result))
        client.later = still_later
        match client.request:
            case Request() as request:
                self._answer(client, request)
                client.next_request()
            case Fault(id_, refusal, is_last):
                client.say(error_line(id_, refusal))
                if is_last:
                    client.end()
                client.next_request()

    def _answer(self, client: Client, request: Request) -> None:
        try:
            if client.may is not None and request.verb not in client.may:
                raise Refusal("forbidden", f"{request.verb[:40]!r} is not for this client")
            if (verb := self._verbs.get(request.verb)) is None:
                raise Refusal("unknown-verb", f"{request.verb[:40]!r} is none of {', '.join(self._verbs)}")
            answer = verb(request.arguments, client)
        except Refusal as refusal:
            client.say(error_line(request.id, refusal))
        except LbError as error:
            client.say(error_line(request.id, Refusal("failed", str(error))))
        else:
            if isinstance(answer, Later):
                client.later.append((request.id, answer))
            else:
                client.watch = request.id if client.watch is True else client.watch
                client.say(result_line(request.id, answer.result), answer.fds)

    def _accept(self) -> None:
        """Let one in. Not more: whether there is room for the next shows only when it is looked who has gone."""
        try:
            connection, _ = self._door.socket.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                self._accept_later(error)
            return  # otherwise it has gone already
        client = Client(connection)
        if not self._door.admits(connection):
            self._send_away(client, Refusal("forbidden", "another user's programs are not served"))
        elif len(self._clients) - self._own >= self._most_clients:
            self._send_away(client, Refusal("too-many", f"{self._most_clients} clients are served already"))
        else:
            self._admit(client)

    def _admit(self, client: Client) -> None:
        self._clients[client.fileno()] = client
        self._wake_ups.watch(client.fileno(), client.receive)

    def _one_less(self) -> None:
        self._own -= 1

    def _accept_later(self, error: OSError) -> None:
        """For as long as a client waits and can't be let in, the socket would wake us again and again."""
        self._wake_ups.unwatch(self._door.socket.fileno())
        self._accept_ns = time.monotonic_ns() + int(PAUSE_S * 1e9)
        logs.error("no descriptor for a client of the control socket", error=error.strerror)

    def _send_away(self, client: Client, refusal: Refusal) -> None:
        client.say(error_line(None, refusal))
        client.close()
        if self._refusals.allows(time.monotonic_ns()):
            logs.warning("client of the control socket sent away", reason=str(refusal))

    def _remove(self, client: Client) -> None:
        del self._clients[client.fileno()]
        self._wake_ups.unwatch(client.fileno())
        client.close()
