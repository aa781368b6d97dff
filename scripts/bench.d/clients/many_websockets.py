"""many_websockets.py PORT CLIENTS SILENT TOPICS...: so many websockets of lb-emit in one process, which read and throw
away; SILENT of them never read. Client number n asks for the n-th of the TOPICS, each a list with commas, and begins
with them anew. Says `ready` when all have asked, and ends with its standard input."""

import json
import resource
import select
import socket
import sys
import threading

_ASK = (
    "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_SILENT_BYTES = 4096


def main(port: int, clients: int, silent: int, topics: list[str]) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    epoll = select.epoll()
    made = {}
    for number in range(clients):
        each = connected(port, is_silent=number < silent)
        each.sendall(subscription(topics[number % len(topics)]))
        each.setblocking(False)
        made[each.fileno()] = each
        if number >= silent:
            epoll.register(each.fileno(), select.EPOLLIN)
    print("ready", flush=True)
    room = bytearray(1 << 18)
    while not over.is_set():
        for fd, _ in epoll.poll(0.1):
            if not made[fd].recv_into(room):
                raise SystemExit("lb-emit has closed a client that reads")


def connected(port: int, *, is_silent: bool) -> socket.socket:
    client = socket.socket()
    if is_silent:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SILENT_BYTES)
    client.connect(("127.0.0.1", port))
    client.sendall(_ASK.format(port=port).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += client.recv(4096)
    return client


def subscription(topics: str) -> bytes:
    """A frame with a mask of zeros (RFC 6455, 5.2)."""
    text = json.dumps({"action": "subscribe", "params": topics}).encode()
    length = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big")
    return b"\x81" + length + bytes(4) + text


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
