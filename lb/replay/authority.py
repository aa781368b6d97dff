"""TLS for the server: a certificate from files, or a certificate authority of its own that lives as long as the server.

The authority's certificate lies in a private directory, which is removed with it; its key never leaves the memory.
"""

import ssl
import tempfile
from pathlib import Path

import trustme

from lb.replay.errors import InputError

_NAMES = ("localhost", "127.0.0.1", "::1")


class SelfSigned:
    """An authority made on the spot, and its certificate for localhost, 127.0.0.1 and ::1."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="lb-replay-")
        self.ca_file = Path(self._directory.name) / "ca.pem"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.ca_file))
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(*_NAMES).configure_cert(self.context)

    def close(self) -> None:
        """Removes the directory."""
        self._directory.cleanup()


def context_from_files(cert: Path, key_file: Path) -> ssl.SSLContext:
    """A server's TLS context with a certificate chain and its key, both PEM. Raises InputError if they are not."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert, key_file)
    except ssl.SSLError:
        raise InputError(f"{cert} and {key_file} are not a certificate and its key in PEM") from None
    except OSError as error:
        raise InputError(f"{cert} or {key_file} cannot be read: {error.strerror}") from None
    return context
