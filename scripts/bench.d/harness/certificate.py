"""A certificate for the feeder, made anew for each comparison, and the CA file that lets a client trust it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificate:
    server_pem: Path
    """The private key and the chain, for the feeder."""
    ca_pem: Path
    missing: str
    """Why there is none; empty when there is one."""


def issue(folder: Path) -> Certificate:
    """For localhost and 127.0.0.1."""
    certificate = Certificate(folder / "feeder.pem", folder / "ca.pem", "")
    try:
        import trustme  # only here: an optional package, and plain ws does without
    except ImportError:
        return Certificate(certificate.server_pem, certificate.ca_pem, "Python package 'trustme' is not installed")
    authority = trustme.CA()
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        str(certificate.server_pem)
    )
    authority.cert_pem.write_to_path(str(certificate.ca_pem))
    return certificate
