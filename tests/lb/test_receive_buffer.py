"""The socket's receive buffer: room for what comes while lb has no CPU, and no more than the caches like."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.feed.session import dial

SO_RCVBUFFORCE = 33
TIMEOUT_S = 20.0


@given(round_trip_s=st.floats(min_value=0, max_value=10))
def test_it_holds_the_peak_of_a_round_trip_and_a_stall(round_trip_s: float) -> None:
    size_bytes = dial.receive_buffer_bytes(round_trip_s)
    assert size_bytes == pytest.approx(min(16 << 20, 200e6 * (round_trip_s + 0.010)), abs=1)


def may_force() -> bool:
    with socket.socket() as sock:
        try:
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 20)
        except PermissionError:
            return False
    return True


@pytest.mark.kernel_tls(native=True)  # in other kernels, too: how the window follows the buffer is theirs to decide
@pytest.mark.skipif(not may_force(), reason="without CAP_NET_ADMIN the kernel sizes the buffer")
def test_the_feed_can_send_that_much_to_a_stopped_reader() -> None:
    """A buffer whose window stays at its first size would hold 64 KiB."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with dial.Dialer("127.0.0.1", port).dial() as sock, listener.accept()[0] as feed:
            assert 0 < dial.round_trip_s(sock) < TIMEOUT_S
            size_bytes = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
            assert size_bytes >= 2 * dial.receive_buffer_bytes(0)  # the kernel doubles it, for its own bookkeeping
            feed.settimeout(TIMEOUT_S)
            feed.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
            feed.sendall(bytes(dial.receive_buffer_bytes(0)))
