"""many_websockets.py HOST:PORT/PATH CLIENTS SILENT WORDS...: so many websockets in one process, which read and throw
away; SILENT of them never read. Client number n says the n-th of the WORDS, and begins with them anew. Says `ready`
when all have said theirs, and ends with its standard input."""

import resource
import select
import socket
import sys
import threading

_ASK = (
    "GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_SILENT_BYTES = 4096
_READ_EVERY = 100
_ROOM = bytearray(1 << 18)


def main(place: str, clients: int, silent: int, words: list[str]) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    epoll = select.epoll()
    made = {}
    for number in range(clients):
        each = connected(place, is_silent=number < silent)
        each.sendall(masked(words[number % len(words)].encode()))
        each.setblocking(False)
        made[each.fileno()] = each
        if number >= silent:
            epoll.register(each.fileno(), select.EPOLLIN)
        if number % _READ_EVERY == 0:  # who does not read for too long is cut off
            read(epoll, made, 0)
    print("ready", flush=True)
    while not over.is_set():
        read(epoll, made, 0.1)


def read(epoll: select.epoll, made: dict[int, socket.socket], timeout_s: float) -> None:
    """And throws away."""
    for fd, _ in epoll.poll(timeout_s):
        if not made[fd].recv_into(_ROOM):
            raise SystemExit("a client that reads was closed")


def connected(place: str, *, is_silent: bool) -> socket.socket:
    host, _, path = place.partition("/")
    name, _, port = host.partition(":")
    client = socket.socket()
    if is_silent:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SILENT_BYTES)
    client.connect((name, int(port)))
    client.sendall(_ASK.format(host=host, path=path).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += client.recv(4096)
    return client


def masked(text: bytes) -> bytes:
    """A frame with a mask of zeros (RFC 6455, 5.2)."""
    length = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big")
    return b"\x81" + length + bytes(4) + text


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
