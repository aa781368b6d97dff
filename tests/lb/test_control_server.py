"""The control socket's server beside a thread that logs, as the one does that opens a session."""

from __future__ import annotations

import threading
from pathlib import Path

from harness.joining import Joined

from lb import logs
from lb.config import LogLevel
from lb.control import Answer, Listener, Server
from lb.control.client import Client
from lb.signals import WakeUps

LINES = 3000


def test_a_thread_that_logs_while_clients_come_and_go_costs_no_line_and_no_client(tmp_path: Path) -> None:
    def watch(_: object, client: Client) -> Answer:
        client.watch = True
        return Answer({})

    path = tmp_path / "lb.sock"
    logs.set_level(LogLevel.ERROR)
    with WakeUps() as wake_ups:
        listener = Listener(str(path), None)
        server = Server(listener, wake_ups, {"watch": watch}, dict, 8)

        def turn() -> None:
            wake_ups.take()
            server.tend(0)

        with Joined(path) as watching:
            watching.send(b'{"v":1,"id":1,"verb":"watch"}\n')
            for _ in range(4):
                turn()
            assert watching.receive()["result"] == {}
            thread = threading.Thread(target=lambda: [logs.warning("said", number=number) for number in range(LINES)])
            thread.start()
            told: list[int] = []
            while len(told) < LINES:
                with Joined(path):
                    turn()
                turn()
                while server.deadline_ns == 0:
                    turn()
                watching.socket.setblocking(False)
                try:
                    while True:
                        event = watching.receive()["event"]
                        told += [event["number"]] if event["name"] == "log" and event["message"] == "said" else []
                except BlockingIOError:
                    pass
            thread.join()
            assert told == [*range(LINES)]
        server.close()
        listener.close()
