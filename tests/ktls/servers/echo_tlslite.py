"""An echo server over tlslite-ng, a TLS stack in pure Python. Arguments: certificate chain, key. Prints its port.

A line `!update N` makes it change its keys N times and ask for the same each time, before it echoes the line.
"""

import socket
import sys
import threading
from pathlib import Path

from tlslite.api import HandshakeSettings, TLSConnection, X509CertChain, parsePEMKey
from tlslite.constants import KeyUpdateMessageType
from tlslite.errors import TLSError

chain = X509CertChain()
chain.parsePemList(Path(sys.argv[1]).read_text())
key = parsePEMKey(Path(sys.argv[2]).read_text(), private=True)
settings = HandshakeSettings()
settings.minVersion = (3, 3)


def echo(accepted: socket.socket) -> None:
    """Handshake, then send back what comes, until the peer closes."""
    connection = TLSConnection(accepted)
    try:
        connection.handshakeServer(certChain=chain, privateKey=key, settings=settings)
        while data := connection.recv(65536):
            if data.startswith(b"!update "):
                for _ in range(int(data[8:])):
                    for _ in connection.send_keyupdate_request(KeyUpdateMessageType.update_requested):
                        pass
            connection.sendall(data)
        connection.close()
    except (TLSError, OSError):
        accepted.close()


with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    while True:
        client, _ = listener.accept()
        threading.Thread(target=echo, args=(client,), daemon=True).start()
