"""An echo server over Python's ssl. Arguments: certificate chain, key. Prints its port."""

import socket
import ssl
import sys
import threading


def echo(connection: ssl.SSLSocket) -> None:
    """Handshake, then send back what comes, until the peer closes."""
    with connection:
        try:
            connection.do_handshake()
            while data := connection.recv(65536):
                connection.sendall(data)
            connection.unwrap()
        except OSError:
            return


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    while True:
        accepted, _ = listener.accept()
        wrapped = context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=echo, args=(wrapped,), daemon=True).start()
