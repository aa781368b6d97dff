"""The feed moves: its name gets another address while lb runs."""

from __future__ import annotations

import socket
from pathlib import Path

from harness import SOON, Feed, Lb
from harness.preload import preload

# Any name has the address that stands in the file ADDRESS.
MOVING_NAME = r"""
struct addrinfo;
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    int (*const next)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        (int (*)())dlsym(RTLD_NEXT, "getaddrinfo");
    char address[64] = "";
    const int fd = open(getenv("ADDRESS"), O_RDONLY);
    const ssize_t length = read(fd, address, sizeof address - 1);
    close(fd);
    return next(length > 0 ? address : node, service, hints, found);
}
"""


def test_the_next_session_is_at_the_new_one(tmp_path: Path) -> None:
    address = tmp_path / "address"
    address.write_text("127.0.0.1")
    environment = preload(tmp_path, "#include <fcntl.h>\n" + MOVING_NAME) | {"ADDRESS": str(address)}
    with (
        Feed(name="feed.invalid") as feed,
        socket.create_server(("127.0.0.2", feed.port)) as elsewhere,
        Lb(feed.url, constants=SOON, environment=environment) as lb,
    ):
        elsewhere.settimeout(20)
        with feed.session():
            lb.await_line("session open")
            address.write_text("127.0.0.2")
        with elsewhere.accept()[0] as moved:
            assert moved.recv(65536).startswith(b"GET /stocks HTTP/1.1")
            assert not feed.has_caller()
        assert lb.stop().exit_code == 0
