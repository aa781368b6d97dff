"""Centrifugo beside lb-emit: the same clients, and frames of the same size at the same ticks, in the same round.

It gets each frame once, made, by its HTTP API, has one core (GOMAXPROCS=1), no history, and clients that never speak
(uni_websocket): nothing that it does is more than what lb-emit does, which also reads and conflates the feed. Where the
ticks are too quick for it, its queues grow, and its frames are those that it has sent.
"""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from harness import processes
from harness.emit import clients, row
from harness.errors import TrialError
from harness.rows import Absent, Terms

TO_CENTRIFUGO = "... to Centrifugo's, beside it"

_START_S = 20.0
_CLOCK_S = 0.01
_CHANNEL = "market"
_CONFIGURATION = {
    "client": {"allow_anonymous_connect_without_token": True},
    "channel": {"without_namespace": {"allow_subscribe_for_client": True, "allow_subscribe_for_anonymous": True}},
    "uni_websocket": {"enabled": True},
    "http_api": {"key": "bench"},
    "prometheus": {"enabled": True},
    "health": {"enabled": True},
    "log": {"level": "error"},
}
_SENT = "centrifugo_transport_messages_sent{"


@row(TO_CENTRIFUGO)
def to_centrifugo(terms: Terms) -> list[float]:
    if terms.centrifugo is None:
        raise Absent("no program was given with --centrifugo")
    pairs = [
        (clients.trial(terms, clients.SHARED).frames_per_core_s, _frames_per_core_s(terms)) for _ in range(terms.rounds)
    ]
    return [ours / theirs for ours, theirs in pairs]


def _frames_per_core_s(terms: Terms) -> float:
    terrain = clients.SHARED
    count = 40 if terms.quick else terrain.clients
    with _centrifugo(terms) as (pid, port):
        over = threading.Event()
        publishing = threading.Thread(target=_publish, args=(port, terrain, over))
        words = [json.dumps({"subs": {_CHANNEL: {}}})]
        with clients.many_clients(f"127.0.0.1:{port}/connection/uni_websocket", count, 0, words):
            publishing.start()
            try:
                time.sleep(clients.WARM_S)
                before, sent = processes.sample((pid,)), _sent(port)
                time.sleep(clients.seconds_of(terms))
                after, then = processes.sample((pid,)), _sent(port)
            finally:
                over.set()
                publishing.join()
    if then <= sent:
        raise TrialError("Centrifugo has sent nothing")
    used_s = sum(used.total_s for used in after.cpu_since(before))
    return (then - sent) / max(used_s, _CLOCK_S)  # a quick round takes less than what the kernel counts in


@contextlib.contextmanager
def _centrifugo(terms: Terms) -> Iterator[tuple[int, int]]:
    """Its pid and its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = terms.build / "centrifugo.json"
    settings.write_text(json.dumps({"http_server": {"address": "127.0.0.1", "port": str(port)}, **_CONFIGURATION}))
    command: list[str | Path] = [terms.centrifugo or "", "--config", settings]
    with subprocess.Popen(command, env=os.environ | {"GOMAXPROCS": "1"}) as process:
        try:
            _await_health(process, port)
            yield process.pid, port
        finally:
            process.kill()


def _await_health(process: subprocess.Popen[bytes], port: int) -> None:
    until_s = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < until_s:
        with contextlib.suppress(OSError):
            if _get(port, "/health") is not None:
                return
        time.sleep(0.05)
    raise TrialError("Centrifugo did not begin")


def _get(port: int, path: str) -> str | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_START_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
        return text if answer.status == http.HTTPStatus.OK else None
    finally:
        connection.close()


def _sent(port: int) -> float:
    """Messages to clients so far."""
    lines = (_get(port, "/metrics") or "").splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(_SENT))


def _publish(port: int, terrain: clients.Terrain, over: threading.Event) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_START_S)
    fields = {"X-API-Key": "bench", "Content-Type": "application/json"}
    due_s = time.monotonic()
    tick = 0
    try:
        while not over.is_set():
            tick += 1
            values = {f"S{number:03}": [100.25, 100, 1_781_622_376_036 + tick] for number in range(terrain.symbols)}
            said = {"tick": tick, "ms": time.time_ns() // 1_000_000, "skipped": 0, "T": values}
            connection.request("POST", "/api/publish", json.dumps({"channel": _CHANNEL, "data": said}), fields)
            connection.getresponse().read()
            due_s += terrain.tick_ms / 1e3
            time.sleep(max(0.0, due_s - time.monotonic()))
    finally:
        connection.close()
