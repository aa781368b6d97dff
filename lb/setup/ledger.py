"""What lb-setup has put in place, so that it can be undone: kept beside the settings, in /etc/lb.

Law: a file counts as ours for as long as it is what was written; whoever has changed it owns it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

PATH = "/etc/lb/.lb-setup.json"


@dataclass
class Ledger:
    """`files`: SHA-256 by path. `sysctls`: the value that each had before."""

    files: dict[str, str] = field(default_factory=dict)
    sysctls: dict[str, str] = field(default_factory=dict)
    made_user: bool = False

    @classmethod
    def read(cls, root: Path) -> Ledger:
        """An empty one where there is none."""
        try:
            return cls(**json.loads(_below(root).read_text()))
        except FileNotFoundError:
            return cls()

    def write(self, root: Path) -> None:
        """Or delete it, where there is nothing left to undo."""
        path = _below(root)
        if self.files or self.sysctls or self.made_user:
            path.parent.mkdir(0o755, parents=True, exist_ok=True)
            path.write_text(json.dumps(asdict(self), indent=1, sort_keys=True) + "\n")
        else:
            path.unlink(missing_ok=True)

    def is_ours(self, root: Path, path: str) -> bool:
        """Whether the file is there as it was written."""
        file = root / path.lstrip("/")
        return file.is_file() and self.files.get(path) == digest(file.read_bytes())


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _below(root: Path) -> Path:
    return root / PATH.lstrip("/")
