"""The files that make lb a service: where each goes, and what is in it. Law: reads the package's own, no others."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from importlib import resources

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""Of an instance: what systemd needs no escapes for."""


class LargePipes(enum.Enum):
    """What lets the service have them."""

    SYSCTL = "sysctl"
    CAPABILITY = "capability"


@dataclass(frozen=True, slots=True)
class Piece:
    """A file to be put in place."""

    path: str
    """Absolute, seen from the root that it is put under."""
    text: str
    mode: int = 0o644


def shared_pieces(bin_folder: str, large_pipes: LargePipes) -> list[Piece]:
    """What all instances need. `bin_folder`: where `lb` is."""
    units = "/etc/systemd/system"
    pieces = [
        Piece("/etc/sysusers.d/lb.conf", _text("sysusers.conf")),
        Piece("/etc/modules-load.d/lb.conf", _text("modules-load.conf")),
        Piece(f"{units}/lb@.service", _text("lb@.service").replace("@BIN@", bin_folder)),
    ]
    if large_pipes is LargePipes.CAPABILITY:
        pieces.append(Piece(f"{units}/lb@.service.d/10-capability.conf", _text("capability.conf")))
    else:
        pieces.append(Piece("/etc/sysctl.d/60-lb.conf", _text("sysctl.conf")))
    return pieces


def instance_piece(name: str) -> Piece:
    """The settings of a new instance; a proxy's password may come to be among them."""
    return Piece(settings_path(name), _text("instance.env").replace("@NAME@", name), 0o600)


def settings_path(name: str) -> str:
    return f"/etc/lb/{name}.env"


def key_path(name: str) -> str:
    return f"/etc/lb/{name}.key"


def state_path(name: str) -> str:
    return f"/var/lib/lb/{name}"


def sysctls() -> dict[str, str]:
    """Name and value of each limit that is lifted."""
    pairs = (line.split(" = ") for line in _text("sysctl.conf").splitlines() if line and not line.startswith("#"))
    return dict(pairs)


def _text(name: str) -> str:
    return resources.files("lb.setup").joinpath("files", name).read_text(encoding="utf-8")
