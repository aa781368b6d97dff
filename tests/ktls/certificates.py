"""What the tests of kernel TLS know of their servers' certificates."""

from dataclasses import dataclass
from pathlib import Path

HOST = "feed.example"


@dataclass(frozen=True)
class Certificate:
    """A server certificate in files, and the authority that vouches for it."""

    chain: Path
    key: Path
    authority: Path
