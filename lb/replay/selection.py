"""What of the files is played, and by which times. No I/O."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Begin:
    """Where a tape begins: at a time (ns since 1970 UTC), or so long (ns) after its first message."""

    at_ns: int
    is_offset: bool = False


@dataclass(frozen=True)
class Selection:
    """By default all of it; recordings by when their records were received, other files by the `t` of the records."""

    begin: Begin | None = None
    by: Literal["received", "t"] | None = None
