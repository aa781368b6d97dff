"""A certificate authority of the test's own."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


class Authority:
    """Its certificate stands in `ca_file`."""

    def __init__(self, directory: Path) -> None:
        self._authority = trustme.CA()
        self.ca_file = str(directory / "ca.pem")
        self._authority.cert_pem.write_to_path(self.ca_file)

    def server_context(self, *names: str) -> ssl.SSLContext:
        """The context of a server whose certificate is for `names`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert(*names).configure_cert(context)
        return context

    def server_files(self, directory: Path, *names: str) -> tuple[Path, Path]:
        """Files with the certificate chain of a server for `names`, and with its key."""
        issued = self._authority.issue_cert(*names)
        chain, key = directory / "chain.pem", directory / "key.pem"
        chain.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key))
        return chain, key
